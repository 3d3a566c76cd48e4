//! Rules: which event plans a message, when it is due, on which channels and with which text.

pub(crate) mod crud;
pub(crate) mod organisations;
pub(crate) mod quiet_hours;
mod stored;
pub(crate) mod wire;

pub(crate) use domain::message::{Question, Trigger};
use domain::{
    id::ServiceId,
    patient::{Channel, ConsentKind},
    time::WallTime,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::templates::Template;

/// Hours of the location's clock in which nothing is sent; `from` after `to` spans midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuietHours {
    pub(crate) from: WallTime,
    pub(crate) to: WallTime,
}

/// The contents of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) trigger: Trigger,
    /// Minutes from the trigger to the message; for `before_start`, minutes before the start.
    pub(crate) offset_minutes: u32,
    pub(crate) channels: Vec<Channel>,
    /// The channel of fallbacks; at most one, and none of `channels`.
    #[serde(default)]
    pub(crate) fallback_channels: Vec<Channel>,
    /// Empty for all services.
    pub(crate) service_ids: Vec<ServiceId>,
    pub(crate) template: Template,
    /// The language of the patients; `None` for all.
    pub(crate) language: Option<String>,
    pub(crate) quiet_hours: Option<QuietHours>,
    #[serde(default)]
    pub(crate) asks: Option<Question>,
    /// The consent that its messages need.
    #[serde(default = "service")]
    pub(crate) consent: ConsentKind,
    /// Whether a message with an unknown outcome is sent again.
    #[serde(default)]
    pub(crate) repeat_unknown: bool,
}

fn service() -> ConsentKind {
    ConsentKind::Service
}

impl Body {
    /// The name of the shipped text that replaces an empty template.
    pub(crate) fn text_name(&self) -> &'static str {
        match self.asks {
            Some(Question::Score) => "check_in",
            None => self.trigger.as_str(),
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) body: Body,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) archived_at_us: Option<i64>,
}

impl Rule {
    /// A first version.
    pub(crate) fn new(id: Uuid, body: Body, now_us: i64) -> Self {
        Self { id, version: 1, body, created_at_us: now_us, updated_at_us: now_us, archived_at_us: None }
    }

    /// Whether the rule plans messages for visits of this service.
    pub(crate) fn covers(&self, service: Uuid) -> bool {
        let services = &self.body.service_ids;
        self.archived_at_us.is_none() && (services.is_empty() || services.iter().any(|id| id.uuid() == service))
    }

    /// Whether the rule would still plan a message.
    pub(crate) fn wants(&self, trigger: Trigger, channel: Channel, is_fallback: bool, service: Uuid) -> bool {
        let Body { channels, fallback_channels, .. } = &self.body;
        let on = channels.contains(&channel) || (is_fallback && fallback_channels.contains(&channel));
        // An invitation is for a session after its appointment, whose service does not count.
        let covered = trigger == Trigger::PlanSessionUnbooked || self.covers(service);
        self.archived_at_us.is_none() && self.body.trigger == trigger && on && covered
    }

    pub(crate) fn offset_us(&self) -> i64 {
        i64::from(self.body.offset_minutes) * 60_000_000
    }
}

/// Whether a patient would rather get such a message twice than not at all: without it they miss the appointment, or come for
/// nothing.
fn is_rather_doubled(trigger: Trigger) -> bool {
    matches!(trigger, Trigger::BeforeStart | Trigger::Cancelled | Trigger::Rescheduled)
}

/// The rules of a new organisation.
pub(crate) fn defaults() -> Vec<Body> {
    let rule = |trigger, offset_minutes, channels: &[Channel]| Body {
        trigger,
        offset_minutes,
        channels: channels.to_vec(),
        fallback_channels: vec![],
        service_ids: vec![],
        template: Template::default(),
        language: None,
        quiet_hours: None,
        asks: None,
        consent: ConsentKind::Service,
        repeat_unknown: is_rather_doubled(trigger),
    };
    let both = [Channel::Sms, Channel::Email];
    vec![
        rule(Trigger::Booked, 0, &both),
        rule(Trigger::BeforeStart, 72 * 60, &[Channel::Email]),
        rule(Trigger::BeforeStart, 24 * 60, &[Channel::Sms]),
        rule(Trigger::BeforeStart, 2 * 60, &[Channel::Sms]),
        rule(Trigger::Cancelled, 0, &both),
        rule(Trigger::Rescheduled, 0, &both),
        rule(Trigger::WaitlistOffer, 0, &both),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reminder_a_move_and_a_cancellation_are_rather_sent_twice_than_not_at_all() {
        let repeated = defaults().into_iter().filter(|rule| rule.repeat_unknown).map(|rule| rule.trigger.as_str());
        let expected = ["before_start", "before_start", "before_start", "cancelled", "rescheduled"];
        assert_eq!(repeated.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_rule_wants_what_it_would_plan_and_nothing_once_it_is_archived() {
        let mut rule = Rule::new(Uuid::nil(), defaults().remove(0), 0);
        (rule.body.channels, rule.body.fallback_channels) = (vec![Channel::Sms], vec![Channel::Email]);
        rule.body.service_ids = vec![ServiceId::new(Uuid::from_u128(1))];
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let wants = |rule: &Rule, trigger, channel, is_fallback| {
            [mine, other].map(|service| rule.wants(trigger, channel, is_fallback, service))
        };
        assert_eq!(wants(&rule, Trigger::Booked, Channel::Sms, false), [true, false]);
        assert_eq!(wants(&rule, Trigger::Booked, Channel::Email, true), [true, false]);
        assert_eq!(wants(&rule, Trigger::Booked, Channel::Email, false), [false; 2]);
        assert_eq!(wants(&rule, Trigger::Missed, Channel::Sms, false), [false; 2]);
        rule.body.trigger = Trigger::PlanSessionUnbooked;
        assert_eq!(wants(&rule, Trigger::PlanSessionUnbooked, Channel::Sms, false), [true; 2], "whatever came before");
        rule.archived_at_us = Some(1);
        assert_eq!(wants(&rule, Trigger::PlanSessionUnbooked, Channel::Sms, false), [false; 2]);
    }
}
