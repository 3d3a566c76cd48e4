//! Plans at risk: each brings an invitation to book its next session.

use jiff::tz::TimeZone;
use uuid::Uuid;

use super::{PlannedMessage, each_channel};
use crate::rules::{Rule, Trigger, quiet_hours};

/// A plan with a session left, none booked, and the last day for it near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanAtRisk {
    pub(crate) organization: Uuid,
    pub(crate) plan: Uuid,
    /// The plan's last appointment, through which the patient is reached.
    pub(crate) last_appointment: Uuid,
    /// The service of the session that is left.
    pub(crate) service: Uuid,
    /// The last day for it, in days since 1970-01-01.
    pub(crate) book_by: i64,
    pub(crate) since_us: i64,
}

/// The invitations. Their key holds the last day, so a plan is invited once for each last day.
pub(super) fn for_plan_at_risk(rules: &[Rule], plan: &PlanAtRisk, zone: &TimeZone) -> Vec<PlannedMessage> {
    let trigger = Trigger::PlanSessionUnbooked;
    let rules = rules.iter().filter(|rule| rule.body.trigger == trigger && rule.covers(plan.service));
    let due = |rule: &Rule| {
        let at_us = plan.since_us + rule.offset_us();
        quiet_hours::after_event(rule.body.quiet_hours, at_us, trigger.valid_until_us(at_us, 0), zone)
    };
    rules.flat_map(|rule| each_channel(rule, plan.book_by, plan.since_us, due(rule))).collect()
}
