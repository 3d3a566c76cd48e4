//! The change of a rule and what follows for its messages: none is dropped, none is doubled.

use domain::patient::Channel;
use jiff::tz::TimeZone;
use runtime::Ids;
use service::{idempotency::Remember, store::Tx};
use sql::Failure;
use uuid::Uuid;

use super::{PlannedMessage, StoredAppointment, before_start, due_before_start, pending_writes::PendingWrites};
use crate::{
    idempotency::{self, Refusal},
    rules::{Rule, Trigger, organisations::ensure_organisation, quiet_hours},
    store::{
        Store,
        appointments::select_upcoming,
        planned_messages::{move_message, select_pending_of_rule, suppress_message},
        rules::{insert_rule, update_rule},
    },
};

/// Appointments or messages that are read at a time.
const PAGE: i64 = 500;

/// A write of one rule.
pub(crate) struct RuleWrite<'a> {
    pub(crate) organization: Uuid,
    /// The new state; its version follows on the stored one, or is 1.
    pub(crate) rule: &'a Rule,
    pub(crate) now_us: i64,
    pub(crate) remember: Option<&'a Remember>,
    pub(crate) ids: &'a Ids,
}

/// A message that is planned and not on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingMessage {
    pub(crate) trigger: Trigger,
    pub(crate) channel: Channel,
    pub(crate) base_at_us: i64,
    pub(crate) due_at_us: i64,
    pub(crate) service: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) is_fallback: bool,
}

/// What a change of its rule does to a pending message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PendingChange {
    Keep,
    /// It is due at another instant.
    MoveTo(i64),
    /// It is taken back, with the reason.
    Suppress(&'static str),
}

/// Writes a rule and changes its messages, all or nothing; answers the number of new messages.
///
/// # Errors
/// [`Refusal::Stale`] when the stored version is another.
pub(crate) async fn write_rule(store: &Store, write: &RuleWrite<'_>) -> Result<u64, Refusal> {
    let (organization, rule) = (write.organization, write.rule);
    let row = rule.to_row()?;
    let mut tx = store.of(organization).begin().await?;
    ensure_organisation(&mut tx, organization, write.now_us, write.ids).await?;
    if rule.version == 1 {
        insert_rule(&mut tx, organization, &row).await?;
    } else if update_rule(&mut tx, organization, &row).await? {
        change_pending(&mut tx, write).await?;
    } else {
        return Err(Refusal::Stale);
    }
    let planned = plan_upcoming(&mut tx, write).await?;
    idempotency::insert(&mut tx, write.remember, write.now_us).await?;
    tx.commit().await?;
    Ok(planned)
}

/// Changes the pending messages of a rule.
async fn change_pending(tx: &mut Tx, write: &RuleWrite<'_>) -> Result<(), Failure> {
    let (organization, now_us) = (write.organization, write.now_us);
    let mut after = Uuid::nil();
    loop {
        let rows = select_pending_of_rule(tx, organization, write.rule.id, after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        for row in rows {
            let id = row.id;
            match for_pending(write.rule, &PendingMessage::from_row(row)?, now_us) {
                PendingChange::Keep => {}
                PendingChange::MoveTo(due_at_us) => move_message(tx, organization, id, due_at_us, now_us).await?,
                PendingChange::Suppress(reason) => suppress_message(tx, organization, id, reason, now_us).await?,
            }
        }
    }
}

/// Plans what a new or changed rule wants for the upcoming appointments.
async fn plan_upcoming(tx: &mut Tx, write: &RuleWrite<'_>) -> Result<u64, Failure> {
    let mut after = (write.now_us, Uuid::max());
    let mut writes = PendingWrites::new(write.now_us, write.ids);
    loop {
        let rows = select_upcoming(tx, write.organization, after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(writes.planned) };
        after = (last.starts_at_us, last.id);
        for row in rows {
            let stored = StoredAppointment::from_row(row)?;
            let planned = for_new_rule(write.rule, &stored, write.now_us);
            writes.plan(write.organization, &stored.appointment.about(), planned);
        }
        writes.flush(tx).await?;
    }
}

/// What becomes of a pending message when its rule is now this one. A message whose new time has passed keeps its old
/// time, since it would be lost otherwise.
pub(crate) fn for_pending(rule: &Rule, pending: &PendingMessage, now_us: i64) -> PendingChange {
    if rule.archived_at_us.is_some() {
        return PendingChange::Suppress("rule_archived");
    }
    let body = &rule.body;
    if !rule.wants(pending.trigger, pending.channel, pending.is_fallback, pending.service) {
        return PendingChange::Suppress("rule_changed");
    }
    if pending.is_fallback {
        // A fallback is due since its message failed, whatever the rule's time.
        return PendingChange::Keep;
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
        return PendingChange::Keep;
    }
    PendingChange::MoveTo(due_at_us)
}

/// The messages that a new or changed rule plans for an appointment that it planned none for.
pub(crate) fn for_new_rule(rule: &Rule, stored: &StoredAppointment, now_us: i64) -> Vec<PlannedMessage> {
    if !stored.appointment.status.is_upcoming() || due_before_start(rule, &stored.appointment, now_us).is_none() {
        return vec![];
    }
    before_start(std::slice::from_ref(rule), &stored.appointment, stored.visit_version, now_us, now_us)
}
