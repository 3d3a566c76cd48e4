//! Planning: the messages that a change of an appointment brings, and those that it takes back.
//!
//! This file decides and does no I/O; `apply.rs` and `rule_change.rs` run its decisions in a transaction. A message
//! belongs to one appointment, to the version at which its time and location became true, to one rule and one channel.
//! That is its key, so planning twice plans once. In the order of the code below:
//!
//! - Appointments that are booked in one moment for one plan are announced together, by the message about the first.
//! - A booking plans `booked` and the `before_start` messages that are still to come. A `before_start` message whose time
//!   had passed at the booking is not planned, since `booked` says the same.
//! - An appointment first seen in a snapshot plans `before_start` only. One that had ended plans nothing.
//! - A new time, location, practitioner or service takes back all pending messages, plans `before_start` anew, and plans a
//!   `rescheduled` message that names the difference, unless the last message announced just that. All of these wait until
//!   the move has settled, so a drag in the diary and back sends nothing. Messages that came due in between are revived,
//!   since nothing else replaces them.
//! - A corrected clock, after which the hour is the one that the patient knows, plans `before_start` anew and nothing else.
//! - A cancellation takes back all pending messages and plans `cancelled`, unless the appointment had begun.
//! - An appointment that has begun takes back all pending messages.
//! - A completed or missed appointment plans the messages that follow it, once.
//! - An appointment that a restore of booking has put back, or that a revert has made upcoming again, plans anew what is
//!   still to come, and corrects what the patient was told (`restored.rs`, `reverted.rs`).

pub(crate) mod apply;
mod fallback;
mod offer;
mod pending_writes;
mod plan_at_risk;
pub(crate) mod restored;
pub(crate) mod reverted;
pub(crate) mod rule_change;
mod stored;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use domain::{appointment::Status, patient::Channel};
use jiff::tz::TimeZone;
use uuid::Uuid;

pub(crate) use self::{
    fallback::{EndedMessage, misses, plan_fallbacks},
    offer::OfferChange,
    plan_at_risk::PlanAtRisk,
    reverted::LeftMessage,
};
use self::{offer::for_offer, plan_at_risk::for_plan_at_risk, rule_change::PendingMessage};
use crate::{
    appointment::{Appointment, Arrangement, Changed, Visit},
    rules::{Rule, Trigger, quiet_hours},
    subject::Subject,
};

/// The subject of messages, with what their planning needs of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) subject: Subject,
    pub(crate) patient: Uuid,
    pub(crate) service: Uuid,
    pub(crate) visit: Visit,
    pub(crate) time_zone: &'a str,
}

impl About<'_> {
    /// The location's time zone; UTC for an unknown one.
    fn zone(&self) -> TimeZone {
        domain::time::zone(self.time_zone).unwrap_or(TimeZone::UTC)
    }
}

impl Appointment {
    fn about(&self) -> About<'_> {
        About {
            subject: Subject::Appointment(self.id),
            patient: self.patient,
            service: self.service,
            visit: self.visit,
            time_zone: &self.time_zone,
        }
    }
}

/// An appointment as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredAppointment {
    pub(crate) appointment: Appointment,
    /// The version at which the present arrangement became true.
    pub(crate) visit_version: i64,
    /// The instant of its booking; `None` when the booking was not seen.
    pub(crate) booked_at_us: Option<i64>,
    /// The arrangement that the patient knows: the booked one, or that of the last message.
    pub(crate) announced: Arrangement,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The state of an appointment in a snapshot.
    Snapshot,
    /// The state of an appointment that ended before the snapshot; changes since then may be applied already.
    Past,
    /// A booking.
    Booked,
    /// A move to the instant that shows the hour which the patient knows.
    Corrected,
    /// Any other event.
    Other,
}

impl Event {
    /// Whether it is a state rather than an event.
    fn is_state(self) -> bool {
        matches!(self, Self::Snapshot | Self::Past)
    }
}

/// A change of an appointment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) organization: Uuid,
    pub(crate) event: Event,
    pub(crate) changed_at_us: i64,
    pub(crate) appointment: Appointment,
    /// The start before the last move.
    pub(crate) moved_from_us: Option<i64>,
}

/// A message to insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedMessage {
    pub(crate) rule: Uuid,
    pub(crate) trigger: Trigger,
    pub(crate) channel: Channel,
    /// The appointment's version at which its content became true.
    pub(crate) version: i64,
    /// The instant from which the rule's offset counts.
    pub(crate) base_at_us: i64,
    pub(crate) due_at_us: i64,
    /// The changed details that it names.
    pub(crate) changed: Changed,
}

/// The place of an appointment among those booked together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Series {
    /// The first, or the only one.
    First,
    /// A later one: the message about the first announces all.
    Announced,
}

/// The consequences of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessagePlan {
    /// The appointment to store.
    pub(crate) stored: StoredAppointment,
    /// The reason for which all pending messages are taken back; `None` when they stay.
    pub(crate) suppress: Option<&'static str>,
    /// Set when the appointment is back at the arrangement that the patient knows.
    pub(crate) revive: Option<Revival>,
    /// The messages to insert.
    pub(crate) add: Vec<PlannedMessage>,
}

/// The messages that are scheduled again after a move and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revival {
    /// Messages that came due by this instant; later ones are planned anew.
    pub(crate) until_us: i64,
    /// Their new due time.
    pub(crate) due_at_us: i64,
}

/// The consequences of a change; `None` when the change is older than the stored appointment. `settle_us`: how long a
/// move waits before it is announced; `left`: the messages that have left, where [`reverted::needs_left`].
pub(crate) fn plan_messages(
    rules: &[Rule],
    known: Option<&StoredAppointment>,
    change: &Change,
    now_us: i64,
    settle_us: i64,
    series: Series,
    left: &[LeftMessage],
) -> Option<MessagePlan> {
    let next = &change.appointment;
    // A snapshot counts even when a restored database of booking went back to an older version.
    let is_new = known.is_none_or(|known| match change.event {
        Event::Snapshot => next.version != known.appointment.version || restored::is_restored(known, change),
        _ => next.version > known.appointment.version,
    });
    if !is_new {
        return None;
    }
    let mut plan = MessagePlan { stored: merge(known, change), suppress: None, revive: None, add: vec![] };
    let version = plan.stored.visit_version;
    let event_version = restored::key_version(version, next.version);
    // Past appointments are stored for the report and bring no messages.
    if change.event == Event::Past && known.is_none() {
        return Some(plan);
    }
    // An event is as old as its change, and no event is still to come: booking's clock may have been set back since. A
    // state in a snapshot holds from now on.
    let since_us = if change.event == Event::Snapshot { now_us } else { change.changed_at_us.min(now_us) };
    if next.status == Status::Cancelled {
        if known.is_none_or(|known| known.appointment.status != Status::Cancelled) {
            plan.suppress = known.map(|_| "cancelled");
            if known.map_or(!change.event.is_state(), |known| known.appointment.status.is_upcoming()) {
                plan.add = after_event(rules, Trigger::Cancelled, &next.about(), event_version, since_us);
            }
        }
    } else if !next.status.is_upcoming() {
        let became = known.is_none_or(|known| known.appointment.status != next.status);
        plan.suppress = known.filter(|_| became).map(|_| reason_after(next.status));
        let is_event = known.is_some() || !change.event.is_state();
        if let Some(trigger) = trigger_after(next.status).filter(|_| became && is_event) {
            let planned = after_event(rules, trigger, &next.about(), event_version, since_us);
            plan.add = reverted::without_left(planned, left);
        }
    } else if let Some(known) = known.filter(|known| restored::is_restored(known, change)) {
        let is_told = known.appointment.status == Status::Cancelled;
        reverted::plan(rules, known, change, (now_us, settle_us), is_told, &mut plan);
    } else if let Some(known) = known.filter(|known| reverted::stands_again(known, change)) {
        let is_told = reverted::is_told(known, left);
        reverted::plan(rules, known, change, (since_us, settle_us), is_told, &mut plan);
    } else if let Some(known) = known.filter(|known| !known.appointment.is_same_as(next)) {
        plan.suppress = Some("superseded");
        let settled_us = since_us + settle_us;
        plan.add = before_start(rules, next, version, since_us, settled_us);
        let (before, after) = (known.appointment.arrangement(), next.arrangement());
        if change.event == Event::Corrected && known.announced == before {
            plan.stored.announced = after;
        } else if after == known.announced && after != before {
            plan.revive = Some(Revival { until_us: since_us, due_at_us: settled_us });
        } else {
            plan.add.extend(rescheduled(rules, next, version, settled_us, &known.announced));
        }
    } else if known.is_none() {
        plan.add = before_start(rules, next, version, since_us, since_us);
        if change.event == Event::Booked && series == Series::Announced {
            // The message about the first appointment of the series announces all.
        } else if change.event == Event::Booked {
            plan.add.extend(after_event(rules, Trigger::Booked, &next.about(), version, since_us));
        } else if next.arrangement() != plan.stored.announced {
            let announced = plan.stored.announced;
            plan.add.extend(rescheduled(rules, next, version, since_us + settle_us, &announced));
        }
    }
    Some(plan)
}

/// The messages about the booking of a series, for its next appointment when the first fell away unannounced.
pub(crate) fn for_next_of_series(rules: &[Rule], next: &StoredAppointment, now_us: i64) -> Vec<PlannedMessage> {
    let (visit, version) = (&next.appointment, next.visit_version);
    after_event(rules, Trigger::Booked, &visit.about(), version, next.booked_at_us.unwrap_or(now_us))
}

/// The appointment to store after a change.
fn merge(known: Option<&StoredAppointment>, change: &Change) -> StoredAppointment {
    let next = &change.appointment;
    match known {
        Some(known) => StoredAppointment {
            appointment: next.clone(),
            visit_version: if restored::is_restored(known, change) {
                restored::next_generation(known.visit_version, next.version)
            } else if known.appointment.is_same_as(next) && !reverted::stands_again(known, change) {
                known.visit_version
            } else {
                restored::key_version(known.visit_version, next.version)
            },
            booked_at_us: known.booked_at_us,
            announced: known.announced,
        },
        None => {
            // After a move without a stored appointment the patient knows the start before it.
            let moved = change.moved_from_us.filter(|_| change.event == Event::Other);
            let visit = Visit { starts_at_us: moved.unwrap_or(next.visit.starts_at_us), ..next.visit };
            let announced = Arrangement { visit, ..next.arrangement() };
            let booked_at_us = (change.event == Event::Booked).then_some(change.changed_at_us);
            StoredAppointment { appointment: next.clone(), visit_version: next.version, booked_at_us, announced }
        }
    }
}

/// The reason for which messages before an appointment in this status are taken back.
fn reason_after(status: Status) -> &'static str {
    match status {
        Status::Noshow => "missed",
        Status::EnteredInError => "entered_in_error",
        _ => "visit_begun",
    }
}

/// The trigger of the messages after an appointment in this status.
fn trigger_after(status: Status) -> Option<Trigger> {
    match status {
        Status::Fulfilled => Some(Trigger::AfterCompleted),
        Status::Noshow => Some(Trigger::Missed),
        _ => None,
    }
}

/// The messages about an event at `base_at_us`.
fn after_event(
    rules: &[Rule],
    trigger: Trigger,
    about: &About<'_>,
    version: i64,
    base_at_us: i64,
) -> Vec<PlannedMessage> {
    let rules = rules.iter().filter(|rule| rule.body.trigger == trigger && rule.covers(about.service));
    let due = |rule: &Rule| {
        let at_us = base_at_us + rule.offset_us();
        let until_us = trigger.valid_until_us(at_us, about.visit.starts_at_us);
        let due_at_us = quiet_hours::after_event(rule.body.quiet_hours, at_us, until_us, &about.zone());
        (due_at_us < until_us).then_some(due_at_us)
    };
    rules
        .filter_map(|rule| Some((rule, due(rule)?)))
        .flat_map(|(rule, due_at_us)| each_channel(rule, version, base_at_us, due_at_us))
        .collect()
}

/// The messages that name the differences from the arrangement that the patient knows.
fn rescheduled(
    rules: &[Rule],
    next: &Appointment,
    version: i64,
    base_at_us: i64,
    announced: &Arrangement,
) -> impl Iterator<Item = PlannedMessage> {
    let changed = Changed::between(announced, &next.arrangement());
    let planned = after_event(rules, Trigger::Rescheduled, &next.about(), version, base_at_us);
    planned.into_iter().map(move |message| PlannedMessage { changed, ..message })
}

/// The messages before the start: without those whose time had passed at `since_us`, and none before `earliest_us`.
fn before_start(
    rules: &[Rule],
    next: &Appointment,
    version: i64,
    since_us: i64,
    earliest_us: i64,
) -> Vec<PlannedMessage> {
    let starts_at_us = next.visit.starts_at_us;
    let rules = rules.iter().filter(|rule| rule.body.trigger == Trigger::BeforeStart && rule.covers(next.service));
    rules
        .filter_map(|rule| Some((rule, due_before_start(rule, next, since_us)?.max(earliest_us))))
        .filter(|(_, due_at_us)| *due_at_us < starts_at_us)
        .flat_map(|(rule, due_at_us)| each_channel(rule, version, starts_at_us, due_at_us))
        .collect()
}

/// The due time of a rule's message before the start; `None` when it had passed at `since_us`.
fn due_before_start(rule: &Rule, next: &Appointment, since_us: i64) -> Option<i64> {
    let starts_at_us = next.visit.starts_at_us;
    let at_us = starts_at_us - rule.offset_us();
    let due_at_us = quiet_hours::before_start(rule.body.quiet_hours, at_us, starts_at_us, &next.zone());
    (at_us > since_us && due_at_us > since_us).then_some(due_at_us)
}

fn each_channel(rule: &Rule, version: i64, base_at_us: i64, due_at_us: i64) -> impl Iterator<Item = PlannedMessage> {
    let (id, trigger) = (rule.id, rule.body.trigger);
    let changed = Changed::default();
    let planned = move |channel| PlannedMessage { rule: id, trigger, channel, version, base_at_us, due_at_us, changed };
    rule.body.channels.iter().map(move |channel| planned(*channel))
}
