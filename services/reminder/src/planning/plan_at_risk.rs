//! What a plan at risk brings: an invitation to book its next session.

use jiff::tz::TimeZone;
use uuid::Uuid;

use super::{Planned, each_channel};
use crate::rules::{Rule, Trigger, quiet_hours};

/// A plan of which a session is left, none is booked, and the last day for it is near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Risk {
    pub(crate) organization: Uuid,
    /// The plan's last visit, through which the patient is reached.
    pub(crate) visit: Uuid,
    /// The service of the session that is left.
    pub(crate) service: Uuid,
    /// The last day for it, in days since 1970-01-01.
    pub(crate) book_by: i64,
    pub(crate) since_us: i64,
}

/// The invitations. Their key holds the last day: as long as the plan stands as it does, it is invited once.
pub(crate) fn recall(rules: &[Rule], risk: &Risk, zone: &TimeZone) -> Vec<Planned> {
    let trigger = Trigger::PlanSessionUnbooked;
    let rules = rules.iter().filter(|rule| rule.body.trigger == trigger && rule.covers(risk.service));
    let due = |rule: &Rule| {
        let at_us = risk.since_us + rule.offset_us();
        quiet_hours::after_event(rule.body.quiet_hours, at_us, trigger.valid_until_us(at_us, 0), zone)
    };
    rules.flat_map(|rule| each_channel(rule, risk.book_by, risk.since_us, due(rule))).collect()
}
