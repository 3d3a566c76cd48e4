//! The ways to patients: the providers of each channel in the order in which they are asked, each with its gate before it.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use domain::patient::Channel;
use runtime::Clock;

use super::{
    Outcome, Provider, http::Http, limiter::Gate, sandbox::Sandbox, smtp::Smtp, twilio::Twilio, vonage::Vonage,
};
use crate::{Error, config::Config};

/// A provider with its gate.
pub(crate) struct Way {
    /// How many ways are asked before it.
    pub(crate) place: usize,
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) gate: Gate,
    /// When it last said to come back.
    rests_until_us: AtomicI64,
}

impl Way {
    fn new(place: usize, provider: Box<dyn Provider>, gate: Gate) -> Self {
        Self { place, provider, gate, rests_until_us: AtomicI64::default() }
    }

    /// For how long it asked to be left alone, from now on.
    pub(crate) fn rests(&self, now_us: i64) -> Option<Duration> {
        let left_us = u64::try_from(self.rests_until_us.load(Ordering::Relaxed).saturating_sub(now_us)).ok()?;
        (left_us > 0).then(|| Duration::from_secs(left_us.div_ceil(1_000_000)))
    }

    /// The provider's name.
    pub(crate) fn name(&self) -> &'static str {
        self.provider.name()
    }
}

/// The ways of each channel.
pub(crate) struct Ways {
    sms: Vec<Way>,
    email: Vec<Way>,
    /// Whether another way stands in for the first one, which is told once.
    stood_in: AtomicBool,
}

impl Ways {
    /// The ways that the configuration, checked before, describes.
    pub(crate) fn build(config: &Config, clock: &Clock) -> Result<Self, Error> {
        let mut sms = Vec::new();
        for (place, name) in config.sms_providers().enumerate() {
            let gate = Gate::new(config.sms_per_second, config.breaker_failures);
            sms.push(Way::new(place, text_provider(config, name, clock)?, gate));
        }
        let gate = Gate::new(config.emails_per_second, config.breaker_failures);
        let email = vec![Way::new(0, mail_provider(config, clock)?, gate)];
        Ok(Self { sms, email, stood_in: AtomicBool::new(false) })
    }

    /// The ways of this channel, the first one first.
    pub(crate) fn of(&self, channel: Channel) -> &[Way] {
        match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        }
    }

    /// Who sends text messages under this name; `None` where nobody does.
    pub(crate) fn sms(&self, name: &str) -> Option<&dyn Provider> {
        self.sms.iter().map(|way| way.provider.as_ref()).find(|provider| provider.name() == name)
    }

    /// What became of a message of so many segments that went this way.
    pub(crate) fn note(&self, way: &Way, outcome: &Outcome, segments: i32, now_us: i64) {
        way.gate.note(outcome, segments, now_us);
        if let Outcome::Busy { after: Some(after), .. } = outcome {
            let after_us = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
            way.rests_until_us.store(now_us.saturating_add(after_us), Ordering::Relaxed);
        }
        if !matches!(outcome, Outcome::Delivered { .. } | Outcome::Sent { .. }) {
            return;
        }
        // Only text messages have a second way: what an e-mail met says nothing about them.
        let Some(way) = self.sms.iter().find(|one| std::ptr::eq(*one, way)) else { return };
        let stands_in = way.place > 0;
        match (stands_in, self.stood_in.swap(stands_in, Ordering::Relaxed)) {
            (true, false) => {
                tracing::warn!(provider = way.name(), "a fallback sends text messages: the one before it takes none");
            }
            (false, true) => tracing::info!(provider = way.name(), "text messages go by their first provider again"),
            _ => {}
        }
    }
}

fn text_provider(config: &Config, name: &str, clock: &Clock) -> Result<Box<dyn Provider>, Error> {
    let providers = &config.providers;
    Ok(match name {
        "twilio" => Box::new(Twilio::new(&providers.twilio)?),
        "vonage" => Box::new(Vonage::new(&providers.vonage)?),
        "http" => Box::new(Http::new(&providers.http, clock.clone())?),
        _ => Box::new(Sandbox),
    })
}

fn mail_provider(config: &Config, clock: &Clock) -> Result<Box<dyn Provider>, Error> {
    let (Some(url), Some(from)) = (&config.smtp.url, &config.smtp.from) else {
        if config.sms_provider != "sandbox" {
            tracing::warn!("text messages are sent, e-mails stay in the sandbox: set reminder.smtp.url");
        }
        return Ok(Box::new(Sandbox));
    };
    let (ca_file, within) = (config.smtp.ca_file.as_deref(), config.smtp.timeout_seconds);
    let smtp = Smtp::new(url, from, ca_file, within, clock.clone()).map_err(Error::Smtp)?;
    Ok(Box::new(smtp))
}
