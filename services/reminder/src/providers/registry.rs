//! The configured providers: for each channel a list in order of preference, each provider behind its limiter.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use domain::patient::Channel;
use runtime::Clock;

use super::{
    Provider, SendOutcome,
    http::Http,
    limiter::Limiter,
    sandbox::Sandbox,
    smtp::{Smtp, check_certificates},
    twilio::Twilio,
    vonage::Vonage,
};
use crate::{Error, config::Config};

/// A provider of a channel, with its limiter.
pub(crate) struct ProviderRoute {
    /// 0 for the preferred provider of the channel, 1 for its fallback.
    pub(crate) position: usize,
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) limiter: Limiter,
    /// Until when the provider asked for no messages, in readings of `Clock::elapsed_us`.
    busy_until_us: AtomicI64,
}

impl ProviderRoute {
    fn new(position: usize, provider: Box<dyn Provider>, limiter: Limiter) -> Self {
        Self { position, provider, limiter, busy_until_us: AtomicI64::default() }
    }

    /// How long the provider still asks for no messages, in whole seconds rounded up.
    pub(crate) fn retry_after(&self, elapsed_us: i64) -> Option<Duration> {
        let left_us = u64::try_from(self.busy_until_us.load(Ordering::Relaxed).saturating_sub(elapsed_us)).ok()?;
        (left_us > 0).then(|| Duration::from_secs(left_us.div_ceil(1_000_000)))
    }

    /// The provider's name.
    pub(crate) fn name(&self) -> &'static str {
        self.provider.name()
    }
}

/// The providers of each channel.
pub(crate) struct ProviderRoutes {
    sms: Vec<ProviderRoute>,
    email: Vec<ProviderRoute>,
    /// Whether the fallback sends text messages at present; each change is logged once.
    fallback_active: AtomicBool,
}

impl ProviderRoutes {
    /// Builds the providers of a validated configuration.
    ///
    /// # Errors
    /// When an HTTP client or the TLS of the mail server cannot be set up.
    pub(crate) fn build(config: &Config, clock: &Clock) -> Result<Self, Error> {
        let mut sms = Vec::new();
        for (position, name) in config.sms_providers().enumerate() {
            let limiter = Limiter::new(config.sms_per_second, config.breaker_failures);
            sms.push(ProviderRoute::new(position, sms_provider(config, name, clock)?, limiter));
        }
        let limiter = Limiter::new(config.emails_per_second, config.breaker_failures);
        let email = vec![ProviderRoute::new(0, email_provider(config, clock)?, limiter)];
        Ok(Self { sms, email, fallback_active: AtomicBool::new(false) })
    }

    /// The providers of a channel in order of preference.
    pub(crate) fn for_channel(&self, channel: Channel) -> &[ProviderRoute] {
        match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        }
    }

    /// The SMS provider of this name; `None` where it is not configured.
    pub(crate) fn sms_provider(&self, name: &str) -> Option<&dyn Provider> {
        self.sms.iter().map(|route| route.provider.as_ref()).find(|provider| provider.name() == name)
    }

    /// Records the outcome of a message of `segments` segments.
    pub(crate) fn record(&self, route: &ProviderRoute, outcome: &SendOutcome, segments: i32, elapsed_us: i64) {
        route.limiter.record(outcome, segments, elapsed_us);
        if let SendOutcome::Busy { retry_after: Some(retry_after), .. } = outcome {
            let retry_after_us = i64::try_from(retry_after.as_micros()).unwrap_or(i64::MAX);
            route.busy_until_us.store(elapsed_us.saturating_add(retry_after_us), Ordering::Relaxed);
        }
        if !matches!(outcome, SendOutcome::Delivered { .. } | SendOutcome::Sent { .. }) {
            return;
        }
        // Only text messages have a fallback.
        let Some(route) = self.sms.iter().find(|candidate| std::ptr::eq(*candidate, route)) else { return };
        let is_fallback = route.position > 0;
        match (is_fallback, self.fallback_active.swap(is_fallback, Ordering::Relaxed)) {
            (true, false) => {
                tracing::warn!(provider = route.name(), "the fallback provider sends text messages");
            }
            (false, true) => tracing::info!(provider = route.name(), "the first provider sends text messages again"),
            _ => {}
        }
    }
}

impl Config {
    /// Reads the files that the configuration names, so that a wrong one is refused before anything is opened.
    ///
    /// # Errors
    /// When `smtp.ca_file` is unreadable or holds no certificate.
    pub fn check_files(&self) -> Result<(), Error> {
        match &self.smtp.url {
            Some(url) => check_certificates(url, self.smtp.ca_file.as_deref()).map_err(Error::Smtp),
            None => Ok(()),
        }
    }
}

fn sms_provider(config: &Config, name: &str, clock: &Clock) -> Result<Box<dyn Provider>, Error> {
    let providers = &config.providers;
    Ok(match name {
        "twilio" => Box::new(Twilio::new(&providers.twilio)?),
        "vonage" => Box::new(Vonage::new(&providers.vonage)?),
        "http" => Box::new(Http::new(&providers.http, clock.clone())?),
        _ => Box::new(Sandbox),
    })
}

fn email_provider(config: &Config, clock: &Clock) -> Result<Box<dyn Provider>, Error> {
    let (Some(url), Some(from)) = (&config.smtp.url, &config.smtp.from) else {
        if config.sms_provider != "sandbox" {
            tracing::warn!("text messages are sent, e-mails stay in the sandbox: set reminder.smtp.url");
        }
        return Ok(Box::new(Sandbox));
    };
    let (ca_file, timeout_seconds) = (config.smtp.ca_file.as_deref(), config.smtp.timeout_seconds);
    let smtp = Smtp::new(url, from, ca_file, timeout_seconds, clock.clone()).map_err(Error::Smtp)?;
    Ok(Box::new(smtp))
}
