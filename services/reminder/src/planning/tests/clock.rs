//! The hour of the day that a patient knows.

use super::*;

#[test]
fn another_hour_of_the_same_instant_is_announced_and_a_corrected_clock_is_not() {
    let start = us("2026-03-10T15:00:00Z");
    let known = booked(start, start - 100 * HOUR).stored;
    let east = Appointment { time_zone: "America/New_York".into(), ..at(start, 2) };
    let follow = |event, next: Appointment| {
        let change = change(event, start - 50 * HOUR, next);
        plan_messages(&rules(), Some(&known), &change, start - 50 * HOUR, SETTLE, Series::First).unwrap()
    };
    let stayed = follow(Event::Other, east);
    assert_eq!((stayed.suppress, stayed.revive, stayed.stored.visit_version), (Some("superseded"), None, 2));
    assert!(stayed.add.iter().any(|one| one.trigger == Trigger::Rescheduled));
    assert!(stayed.add.iter().any(|one| one.trigger == Trigger::BeforeStart && one.version == 2));
    // Another name of the same clock changes nothing.
    let same = follow(Event::Other, Appointment { time_zone: "America/Denver".into(), ..at(start, 2) });
    assert_eq!((same.suppress, same.add.len(), same.stored.visit_version), (None, 0, 1));
    let corrected = follow(Event::Corrected, at(start + HOUR, 2));
    assert!(corrected.add.iter().all(|one| one.trigger == Trigger::BeforeStart) && !corrected.add.is_empty());
    assert_eq!(
        (corrected.suppress, corrected.stored.announced),
        (Some("superseded"), corrected.stored.appointment.arrangement())
    );
}
