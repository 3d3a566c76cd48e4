//! What a change of a rule does to its messages: it neither drops nor doubles any.

use domain::patient::Channel;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::{Known, Planned, before_start, due_before_start};
use crate::rules::{Rule, Trigger, quiet_hours};

/// A message that is planned and not on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) trigger: Trigger,
    pub(crate) channel: Channel,
    pub(crate) base_at_us: i64,
    pub(crate) due_at_us: i64,
    pub(crate) service: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    /// Whether it stands in for one that could not reach its patient on another channel.
    pub(crate) stands_in: bool,
}

/// What becomes of a pending message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It stays as it is.
    Keep,
    /// It is due at another time.
    Due(i64),
    /// It is taken back, with the reason.
    Suppress(&'static str),
}

/// What becomes of a pending message when its rule is now this one. A new time that has passed already changes nothing:
/// the message would be lost, and nobody asked for that.
pub(crate) fn again(rule: &Rule, pending: &Pending, now_us: i64) -> Again {
    if rule.archived_at_us.is_some() {
        return Again::Suppress("rule_archived");
    }
    let body = &rule.body;
    if !rule.wants(pending.trigger, pending.channel, pending.stands_in, pending.service) {
        return Again::Suppress("rule_changed");
    }
    if pending.stands_in {
        // It is due since the other one failed, whatever the rule's time.
        return Again::Keep;
    }
    let zone = domain::time::zone(&pending.time_zone).unwrap_or(TimeZone::UTC);
    let starts_at_us = pending.starts_at_us;
    let after_us = pending.base_at_us + rule.offset_us();
    let until_us = pending.trigger.valid_until_us(after_us, starts_at_us);
    let due_at_us = match pending.trigger {
        Trigger::BeforeStart => {
            quiet_hours::before_start(body.quiet_hours, starts_at_us - rule.offset_us(), starts_at_us, &zone)
        }
        _ => quiet_hours::after_event(body.quiet_hours, after_us, until_us, &zone),
    };
    if due_at_us == pending.due_at_us || due_at_us <= now_us || due_at_us >= until_us {
        return Again::Keep;
    }
    Again::Due(due_at_us)
}

/// The messages that a new or changed rule plans for a visit that it did not plan for.
pub(crate) fn newly(rule: &Rule, known: &Known, now_us: i64) -> Vec<Planned> {
    if !known.appointment.status.is_ahead() || due_before_start(rule, &known.appointment, now_us).is_none() {
        return vec![];
    }
    before_start(std::slice::from_ref(rule), &known.appointment, known.visit_version, now_us, now_us)
}
