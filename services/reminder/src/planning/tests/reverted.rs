//! A revert makes an appointment upcoming again, or lets it end a second time.

use super::*;
use crate::planning::{
    plan_messages,
    reverted::{LeftMessage, needs_left},
};

const NOW_TO_START: i64 = 100 * HOUR;

fn with(status: Status, starts: i64, version: i64) -> Appointment {
    Appointment { status, ..at(starts, version) }
}

/// The plan for the next state of an appointment, when these messages have left.
fn next(known: &StoredAppointment, now: i64, to: Appointment, left: &[LeftMessage]) -> MessagePlan {
    let change = change(Event::Other, now, to);
    assert!(left.is_empty() || needs_left(Some(known), &change));
    plan_messages(&rules(), Some(known), &change, now, SETTLE, Series::First, left).unwrap()
}

/// The messages of a plan, as if they had left.
fn sent(plan: &MessagePlan) -> Vec<LeftMessage> {
    let left = |one: &PlannedMessage| LeftMessage {
        rule: one.rule,
        trigger: one.trigger,
        channel: one.channel,
        version: one.version,
    };
    plan.add.iter().map(left).collect()
}

#[test]
fn a_cancellation_that_was_not_told_leaves_nothing_behind() {
    let start = us("2026-03-10T15:00:00Z");
    let now = start - NOW_TO_START;
    let known = booked(start, now);
    let off = next(&known.stored, now + HOUR, with(Status::Cancelled, start, 2), &[]);
    let back = next(&off.stored, now + 2 * HOUR, at(start, 3), &[]);
    assert_eq!(back.suppress, Some("superseded"), "the news of the cancellation");
    let reminders = |plan: &MessagePlan| {
        let mut due = due_minutes(plan, start);
        due.retain(|one| one.0 == "before_start");
        due
    };
    assert_eq!((due_minutes(&back, start).len(), reminders(&back)), (3, reminders(&known)), "no second announcement");
    assert!(back.add.iter().all(|one| one.version == 3), "under new keys: those of the booking are taken back");
    // What came due meanwhile is sent late, also the announcement itself.
    assert_eq!(back.revive.map(|revival| revival.until_us), Some(now + 2 * HOUR));
}

#[test]
fn a_patient_who_was_told_of_the_cancellation_is_told_that_the_visit_stands() {
    let start = us("2026-03-10T15:00:00Z");
    let now = start - NOW_TO_START;
    let off = next(&booked(start, now).stored, now + HOUR, with(Status::Cancelled, start, 2), &[]);
    let back = next(&off.stored, now + 2 * HOUR, at(start, 3), &sent(&off));
    let corrections: Vec<_> = back.add.iter().filter(|one| one.trigger == Trigger::Booked).collect();
    assert_eq!((corrections.len(), back.revive), (2, None));
    assert!(corrections.iter().all(|one| one.due_at_us == now + 2 * HOUR + SETTLE));
    // Cancelled and taken back once more before a message leaves: the first cancellation was corrected already.
    let again = next(&back.stored, now + 3 * HOUR, with(Status::Cancelled, start, 4), &[]);
    assert_eq!(again.add.len(), 2, "the second cancellation is news again");
    let back = next(&again.stored, now + 3 * HOUR, at(start, 5), &sent(&off));
    assert!(back.add.iter().all(|one| one.trigger == Trigger::BeforeStart) && back.revive.is_some());
}

#[test]
fn what_follows_a_visit_is_said_once() {
    let start = us("2026-03-10T15:00:00Z");
    let mut rules = rules();
    let after = rules::Body { trigger: Trigger::AfterCompleted, ..rules[0].body.clone() };
    let missed = rules::Body { trigger: Trigger::Missed, ..rules[0].body.clone() };
    rules.extend([(91, after), (92, missed)].map(|(id, body)| Rule::new(Uuid::from_u128(id), body, 0)));
    for status in [Status::Fulfilled, Status::Noshow] {
        let known = booked(start, start - NOW_TO_START).stored;
        let plan = |known: &StoredAppointment, to: Appointment, left: &[LeftMessage]| {
            let change = change(Event::Other, start + HOUR, to);
            plan_messages(&rules, Some(known), &change, start + HOUR, SETTLE, Series::First, left).unwrap()
        };
        let over = plan(&known, with(status, start, 2), &[]);
        assert!(!over.add.is_empty());
        let before = if status == Status::Fulfilled { Status::CheckedIn } else { Status::Booked };
        let back = plan(&over.stored, with(before, start, 3), &sent(&over));
        assert!(back.suppress.is_some() && back.add.is_empty(), "{status}: {:?}", back.add);
        assert_eq!(plan(&back.stored, with(status, start, 4), &sent(&over)).add, []);
        let unsent = plan(&back.stored, with(status, start, 4), &[]);
        assert_eq!(unsent.add.len(), over.add.len(), "what was taken back is planned again");
    }
}

#[test]
fn an_arrival_by_mistake_brings_the_reminders_of_the_day_back() {
    let start = us("2026-03-10T15:00:00Z");
    let known = booked(start, start - NOW_TO_START).stored;
    let here = next(&known, start - 5 * HOUR, with(Status::Arrived, start, 2), &[]);
    assert_eq!(here.suppress, Some("visit_begun"));
    let back = next(&here.stored, start - 4 * HOUR, at(start, 3), &[]);
    assert_eq!(due_minutes(&back, start), [("before_start", "sms", -120)]);
}
