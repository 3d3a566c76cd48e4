//! Which messages a change of a visit plans, and which it takes back. Pure: no clock, no store, no call.
//!
//! A message belongs to one appointment, to the version at which its time and place became true, to one rule and one
//! channel; that is its key, so planning twice plans once. The decisions, in the order in which they are read below:
//!
//! - visits that are booked in one moment for one plan are told of together, by the message about the first;
//! - a booking plans `booked` and what is still ahead of `before_start`; a `before_start` message whose time had come
//!   when the visit was booked is not planned, since the `booked` message says the same;
//! - a visit that is first seen in a snapshot plans `before_start` only: the booking is old news; one that had ended by then
//!   plans nothing;
//! - a new time, place, practitioner or service takes back everything pending, plans `before_start` anew, and a
//!   `rescheduled` message that names what changed, unless the patient was last told just that. All of these wait until the
//!   move has settled, so that a drag in
//!   the diary and back sends nothing. What came due while the visit was elsewhere comes again then, for the same reason:
//!   nothing else says it;
//! - one whose clock was corrected, so that its hour stays what the patient knows, plans `before_start` anew and no news;
//! - a cancellation takes back everything pending and plans `cancelled`, unless the visit was over already;
//! - a visit that has begun takes back everything pending;
//! - one that was completed or missed plans what follows it, once.

mod fallback;
mod offer;
mod plan_at_risk;
mod rule_change;
#[cfg(test)]
mod tests;

use domain::{appointment::Status, patient::Channel};
use uuid::Uuid;

pub(crate) use self::{
    fallback::{misses, stand_in},
    offer::{Offered, offered},
    plan_at_risk::{Risk, recall},
    rule_change::{Again, Pending, again, newly},
};
pub(crate) use crate::appointment::{Appointment, Arrangement, Changed, Visit};
use crate::rules::{Rule, Trigger, quiet_hours};

/// What is stored of an appointment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) appointment: Appointment,
    /// The version at which the present arrangement became true.
    pub(crate) visit_version: i64,
    /// When it was booked, where that was seen.
    pub(crate) booked_at_us: Option<i64>,
    /// What the patient knows: what was booked, or what the last message said.
    pub(crate) told: Arrangement,
}

/// How a change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// In a snapshot: how the appointment stands, not what happened to it.
    Snapshot,
    /// The same of one that ended before the snapshot, and is read later than what has happened since.
    Past,
    /// It was booked just now.
    Booked,
    /// Its instant was moved so that it shows the hour that the patient was told.
    Corrected,
    /// Something else happened to it.
    Other,
}

impl Event {
    /// Whether it says how an appointment stands, and not what happened to it.
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

/// A message to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) rule: Uuid,
    pub(crate) trigger: Trigger,
    pub(crate) channel: Channel,
    /// The appointment's version at which its content became true.
    pub(crate) version: i64,
    /// What the rule's offset counts from.
    pub(crate) base_at_us: i64,
    pub(crate) due_at_us: i64,
    /// What it says has changed.
    pub(crate) changed: Changed,
}

/// What is known of the visits that were booked together with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Series {
    /// It is the first of them, or the only one.
    First,
    /// An earlier one is told of, and tells of all.
    Told,
}

/// What a change leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What is to be stored.
    pub(crate) known: Known,
    /// Why everything that is pending is taken back; `None`: it stays.
    pub(crate) suppress: Option<&'static str>,
    /// Where the visit is back at what the patient knows: what was taken back about it comes again.
    pub(crate) revive: Option<Revive>,
    /// The messages to come.
    pub(crate) add: Vec<Planned>,
}

/// What was taken back while a visit was elsewhere, and comes again since nobody is told of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revive {
    /// What came due by this instant; all else is planned anew.
    pub(crate) until_us: i64,
    /// When it is due now.
    pub(crate) due_at_us: i64,
}

/// Decides what a change leads to; `None` where it is older than what is known.
pub(crate) fn plan(
    rules: &[Rule],
    known: Option<&Known>,
    change: &Change,
    now_us: i64,
    settle_us: i64,
    series: Series,
) -> Option<Plan> {
    let next = &change.appointment;
    // A snapshot is how booking stands, even where a restored database took it back to an older version.
    let news = known.is_none_or(|known| match change.event {
        Event::Snapshot => next.version != known.appointment.version,
        _ => next.version > known.appointment.version,
    });
    if !news {
        return None;
    }
    let mut plan = Plan { known: carried(known, change), suppress: None, revive: None, add: vec![] };
    let version = plan.known.visit_version;
    // What has ended is stored, so that it is counted; nobody is told of it any more.
    if change.event == Event::Past && known.is_none() {
        return Some(plan);
    }
    // What happened is as old as the change; how it stands in a snapshot is as old as this moment.
    let since_us = if change.event == Event::Snapshot { now_us } else { change.changed_at_us };
    if next.status == Status::Cancelled {
        if known.is_none_or(|known| known.appointment.status != Status::Cancelled) {
            plan.suppress = known.map(|_| "cancelled");
            if known.map_or(!change.event.is_state(), |known| known.appointment.status.is_ahead()) {
                plan.add = after_event(rules, Trigger::Cancelled, next, next.version, since_us);
            }
        }
    } else if !next.status.is_ahead() {
        let became = known.is_none_or(|known| known.appointment.status != next.status);
        plan.suppress = known.filter(|_| became).map(|_| over(next.status));
        let news = known.is_some() || !change.event.is_state();
        if let Some(trigger) = follows(next.status).filter(|_| became && news) {
            plan.add = after_event(rules, trigger, next, next.version, since_us);
        }
    } else if let Some(known) = known.filter(|known| !known.appointment.is_as(next)) {
        plan.suppress = Some("superseded");
        let settled_us = since_us + settle_us;
        plan.add = before_start(rules, next, version, since_us, settled_us);
        let (before, after) = (known.appointment.arrangement(), next.arrangement());
        if change.event == Event::Corrected && known.told == before {
            plan.known.told = after;
        } else if after == known.told && after != before {
            plan.revive = Some(Revive { until_us: since_us, due_at_us: settled_us });
        } else {
            plan.add.extend(rescheduled(rules, next, version, settled_us, &known.told));
        }
    } else if known.is_none() {
        plan.add = before_start(rules, next, version, since_us, since_us);
        if change.event == Event::Booked && series == Series::Told {
            // The message about the first visit of the series tells them all.
        } else if change.event == Event::Booked {
            plan.add.extend(after_event(rules, Trigger::Booked, next, version, since_us));
        } else if next.arrangement() != plan.known.told {
            let told = plan.known.told;
            plan.add.extend(rescheduled(rules, next, version, since_us + settle_us, &told));
        }
    }
    Some(plan)
}

/// The messages that a booking brings, for another visit of a series whose first one fell away untold.
pub(crate) fn handed_on(rules: &[Rule], next: &Known, now_us: i64) -> Vec<Planned> {
    let (visit, version) = (&next.appointment, next.visit_version);
    after_event(rules, Trigger::Booked, visit, version, next.booked_at_us.unwrap_or(now_us))
}

/// What is to be stored after a change.
fn carried(known: Option<&Known>, change: &Change) -> Known {
    let next = &change.appointment;
    match known {
        Some(known) => Known {
            appointment: next.clone(),
            visit_version: if known.appointment.is_as(next) { known.visit_version } else { next.version },
            booked_at_us: known.booked_at_us,
            told: known.told,
        },
        None => {
            // Whoever booked knows when; of a move that is seen first, they know the time before.
            let moved = change.moved_from_us.filter(|_| change.event == Event::Other);
            let visit = Visit { starts_at_us: moved.unwrap_or(next.visit.starts_at_us), ..next.visit };
            let told = Arrangement { visit, ..next.arrangement() };
            let booked_at_us = (change.event == Event::Booked).then_some(change.changed_at_us);
            Known { appointment: next.clone(), visit_version: next.version, booked_at_us, told }
        }
    }
}

/// Why a visit in this status needs no message any more.
fn over(status: Status) -> &'static str {
    match status {
        Status::Noshow => "missed",
        Status::EnteredInError => "entered_in_error",
        _ => "visit_begun",
    }
}

/// What follows a visit in this status.
fn follows(status: Status) -> Option<Trigger> {
    match status {
        Status::Fulfilled => Some(Trigger::AfterCompleted),
        Status::Noshow => Some(Trigger::Missed),
        _ => None,
    }
}

/// The messages about something that has happened at `base_at_us`.
fn after_event(rules: &[Rule], trigger: Trigger, next: &Appointment, version: i64, base_at_us: i64) -> Vec<Planned> {
    let rules = rules.iter().filter(|rule| rule.body.trigger == trigger && rule.covers(next.service));
    let due = |rule: &Rule| {
        let at_us = base_at_us + rule.offset_us();
        let until_us = trigger.valid_until_us(at_us, next.visit.starts_at_us);
        let due_at_us = quiet_hours::after_event(rule.body.quiet_hours, at_us, until_us, &next.zone());
        (due_at_us < until_us).then_some(due_at_us)
    };
    rules
        .filter_map(|rule| Some((rule, due(rule)?)))
        .flat_map(|(rule, due_at_us)| each_channel(rule, version, base_at_us, due_at_us))
        .collect()
}

/// The messages that name what is other than the patient knows.
fn rescheduled(
    rules: &[Rule],
    next: &Appointment,
    version: i64,
    base_at_us: i64,
    told: &Arrangement,
) -> impl Iterator<Item = Planned> {
    let changed = Changed::between(told, &next.arrangement());
    let planned = after_event(rules, Trigger::Rescheduled, next, version, base_at_us);
    planned.into_iter().map(move |one| Planned { changed, ..one })
}

/// The messages before the start: not those whose time had come by `since_us`, and none before `earliest_us`.
fn before_start(rules: &[Rule], next: &Appointment, version: i64, since_us: i64, earliest_us: i64) -> Vec<Planned> {
    let starts_at_us = next.visit.starts_at_us;
    let rules = rules.iter().filter(|rule| rule.body.trigger == Trigger::BeforeStart && rule.covers(next.service));
    rules
        .filter_map(|rule| Some((rule, due_before_start(rule, next, since_us)?.max(earliest_us))))
        .filter(|(_, due_at_us)| *due_at_us < starts_at_us)
        .flat_map(|(rule, due_at_us)| each_channel(rule, version, starts_at_us, due_at_us))
        .collect()
}

/// When a rule's message before the start is due; `None` where that time has come by `since_us`.
fn due_before_start(rule: &Rule, next: &Appointment, since_us: i64) -> Option<i64> {
    let starts_at_us = next.visit.starts_at_us;
    let at_us = starts_at_us - rule.offset_us();
    let due_at_us = quiet_hours::before_start(rule.body.quiet_hours, at_us, starts_at_us, &next.zone());
    (at_us > since_us && due_at_us > since_us).then_some(due_at_us)
}

fn each_channel(rule: &Rule, version: i64, base_at_us: i64, due_at_us: i64) -> impl Iterator<Item = Planned> {
    let (id, trigger) = (rule.id, rule.body.trigger);
    let changed = Changed::default();
    let planned = move |channel| Planned { rule: id, trigger, channel, version, base_at_us, due_at_us, changed };
    rule.body.channels.iter().map(move |channel| planned(*channel))
}
