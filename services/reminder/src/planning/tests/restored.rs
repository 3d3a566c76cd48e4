//! A restore of booking puts appointments back to an earlier state.

use super::*;
use crate::planning::restored::version_of_key;

const NOW_TO_START: i64 = 100 * HOUR;

fn known(appointment: Appointment, announced: &Appointment) -> StoredAppointment {
    let visit_version = appointment.version;
    StoredAppointment { visit_version, booked_at_us: None, announced: announced.arrangement(), appointment }
}

fn snapshot(known: &StoredAppointment, next: Appointment, now: i64) -> Option<MessagePlan> {
    plan_messages(&rules(), Some(known), &change(Event::Snapshot, now, next), now, SETTLE, Series::First)
}

fn triggers(plan: &MessagePlan) -> Vec<&'static str> {
    let mut found: Vec<_> = plan.add.iter().map(|one| one.trigger.as_str()).collect();
    found.sort_unstable();
    found
}

#[test]
fn a_cancelled_appointment_that_stands_again_is_announced_and_reminded_under_new_keys() {
    let start = us("2026-03-10T15:00:00Z");
    let off = Appointment { status: Status::Cancelled, ..at(start, 2) };
    let plan = snapshot(&known(off, &at(start, 1)), at(start, 1), start - NOW_TO_START).unwrap();
    assert_eq!(triggers(&plan), ["before_start", "before_start", "before_start", "booked", "booked"]);
    assert!(plan.add.iter().all(|one| one.version != 1 && version_of_key(one.version) == 1));
    // It is cancelled again, under the version of the first cancellation: the message has another key.
    let again = change(Event::Other, start - NOW_TO_START, Appointment { status: Status::Cancelled, ..at(start, 2) });
    let stored = Some(&plan.stored);
    let plan = plan_messages(&rules(), stored, &again, start - NOW_TO_START, SETTLE, Series::First).unwrap();
    assert_eq!(triggers(&plan), ["cancelled", "cancelled"]);
    assert!(plan.add.iter().all(|one| one.version > 1 << 32));
}

#[test]
fn a_patient_who_was_told_of_a_move_that_is_undone_is_told_so() {
    let start = us("2026-03-10T15:00:00Z");
    let moved = at(start + HOUR, 2);
    let plan = snapshot(&known(moved.clone(), &moved), at(start, 1), start - NOW_TO_START).unwrap();
    assert_eq!(triggers(&plan), ["before_start", "before_start", "before_start", "rescheduled", "rescheduled"]);
    assert_eq!((plan.suppress, plan.revive), (Some("superseded"), None));
    // The move had not been announced: nothing but what is still to come, and what came due meanwhile.
    let plan = snapshot(&known(moved, &at(start, 1)), at(start, 1), start - NOW_TO_START).unwrap();
    assert_eq!(triggers(&plan), ["before_start"; 3]);
    assert!(plan.revive.is_some());
}

#[test]
fn another_state_under_the_same_version_counts_and_the_same_state_does_not() {
    let start = us("2026-03-10T15:00:00Z");
    let known = known(at(start, 2), &at(start, 2));
    assert_eq!(snapshot(&known, at(start, 2), start - NOW_TO_START), None);
    let plan = snapshot(&known, at(start + HOUR, 2), start - NOW_TO_START).unwrap();
    assert_eq!(triggers(&plan), ["before_start", "before_start", "before_start", "rescheduled", "rescheduled"]);
}
