//! Services that become longer, shorter or smaller: bookings, holds and slots keep their length.

use prost::Message;
use rpc::{Code, Fault};
use testkit::database::Database;
use uuid::Uuid;
use wire::{
    booking::{Change, CreateHoldRequest, Hold, SlotTaken, change::Owner},
    common::ClaimKind,
};

use crate::{
    fake_availability::Offer,
    harness::{CLASS, GRACE, HERE, Harness, PLAIN, ROOMS, after, code, fault, of_hold, slot, slot_of, visit},
};

testkit::engines!(
    a_hold_is_booked_as_it_was_kept,
    a_held_place_is_booked_after_the_capacity_has_shrunk,
    a_slot_of_a_changed_service_is_refused_with_alternatives,
    a_visit_that_moves_keeps_its_length,
    a_session_keeps_its_length_until_it_is_empty,
    a_session_has_no_more_members_than_places,
);

/// The service as it is from now on.
fn becomes(harness: &Harness, service: Uuid, minutes: i64, capacity: u32) {
    let offer = Offer { minutes, capacity, buffer_minutes: 15, rooms: ROOMS.to_vec(), ..Offer::default() };
    harness.availability.offer(service, offer);
}

async fn hold(harness: &Harness, slot: &str) -> Hold {
    let request = CreateHoldRequest { slot_ids: vec![slot.to_owned()], ..CreateHoldRequest::default() };
    harness.booking.clone().create_hold(harness.request(request)).await.unwrap().into_inner()
}

/// From when to when each change of a snapshot takes its practitioner, in minutes after the first start.
fn practitioners(changes: &[Change]) -> Vec<(i64, i64)> {
    let claims = changes.iter().flat_map(|change| &change.claims);
    let minutes = |us: i64| (us - after(0).as_microsecond()) / 60_000_000;
    let mut spans: Vec<(i64, i64)> = claims
        .filter(|claim| claim.kind == ClaimKind::Practitioner as i32)
        .map(|claim| (minutes(claim.starts_at_us), minutes(claim.ends_at_us)))
        .collect();
    spans.sort_unstable();
    spans
}

async fn a_hold_is_booked_as_it_was_kept(database: Database) {
    let harness = Harness::over(&database).await;
    let kept = hold(&harness, &slot(PLAIN, GRACE, after(0))).await;
    assert_eq!(kept.slots[0].ends_at_us, after(30).as_microsecond());
    becomes(&harness, PLAIN, 60, 1);
    let booked = harness.book(of_hold(&kept.id, 1)).await;
    assert_eq!((booked.starts_at_us, booked.ends_at_us), (kept.slots[0].starts_at_us, kept.slots[0].ends_at_us));
    assert_eq!(practitioners(&harness.snapshot().await.0), [(-5, 35)], "exactly the time that it kept");
    // The one after begins where that one ends, with the buffers of today.
    harness.book(visit(&slot_of(HERE, PLAIN, GRACE, after(50), 60), 2)).await;
    assert_eq!(practitioners(&harness.snapshot().await.0), [(-5, 35), (35, 125)]);
}

async fn a_held_place_is_booked_after_the_capacity_has_shrunk(database: Database) {
    let harness = Harness::over(&database).await;
    let class = slot(CLASS, GRACE, after(0));
    let held = [hold(&harness, &class).await, hold(&harness, &class).await];
    for (number, (hold, capacity)) in (1..).zip(held.iter().zip([1, 1])) {
        becomes(&harness, CLASS, 60, capacity);
        let booked = harness.book(of_hold(&hold.id, number)).await;
        assert_eq!((booked.starts_at_us, booked.ends_at_us), (hold.slots[0].starts_at_us, hold.slots[0].ends_at_us));
        assert!(!booked.group_id.is_empty(), "a place in a session");
    }
    assert_eq!(practitioners(&harness.snapshot().await.0), [(-5, 35)], "one session, as long as it was");
}

/// The slots that a refusal names, and how many others it offers.
fn named(fault: &Fault) -> (Vec<String>, usize) {
    let extra = fault.extra.as_ref().unwrap();
    let lost = SlotTaken::decode(extra.value.as_slice()).unwrap();
    (lost.slot_ids, lost.alternatives.len())
}

async fn a_slot_of_a_changed_service_is_refused_with_alternatives(database: Database) {
    let harness = Harness::over(&database).await;
    let said = slot(PLAIN, GRACE, after(0));
    for minutes in [60, 15] {
        becomes(&harness, PLAIN, minutes, 1);
        let refused = harness.try_book(visit(&said, 1)).await.unwrap_err();
        assert_eq!((refused.code, named(&refused)), (Code::SlotChanged, (vec![said.clone()], 3)));
        let request = CreateHoldRequest { slot_ids: vec![said.clone()], ..CreateHoldRequest::default() };
        let refused = harness.booking.clone().create_hold(harness.request(request)).await.unwrap_err();
        assert_eq!(fault(&refused).code, Code::SlotChanged);
    }
    assert!(harness.snapshot().await.0.is_empty(), "nothing was booked at another length");
    // Longer buffers do not change the appointment.
    becomes(&harness, PLAIN, 30, 1);
    harness.book(visit(&said, 1)).await;
    assert_eq!(practitioners(&harness.snapshot().await.0), [(-15, 45)]);
}

async fn a_visit_that_moves_keeps_its_length(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    becomes(&harness, PLAIN, 60, 1);
    // Whether its slot has the length of the service now or of the appointment.
    for (start, minutes) in [(120, 60), (240, 30)] {
        let there = slot_of(HERE, PLAIN, GRACE, after(start), minutes);
        let moved = harness.reschedule(&booked.id, there).await.unwrap();
        assert_eq!(moved.starts_at_us, after(start).as_microsecond());
        assert_eq!(moved.ends_at_us, after(start + 30).as_microsecond());
        assert_eq!(practitioners(&harness.snapshot().await.0), [(start - 15, start + 45)]);
    }
    // A quarter of an hour over its own old time.
    let moved = harness.reschedule(&booked.id, slot(PLAIN, GRACE, after(255))).await.unwrap();
    assert_eq!(moved.ends_at_us, after(285).as_microsecond());
}

async fn a_session_keeps_its_length_until_it_is_empty(database: Database) {
    let harness = Harness::over(&database).await;
    let first = harness.book(visit(&slot(CLASS, GRACE, after(0)), 1)).await;
    becomes(&harness, CLASS, 60, 8);
    let longer = slot_of(HERE, CLASS, GRACE, after(0), 60);
    // Availability does not know the session; the transaction does.
    let refused = harness.try_book(visit(&longer, 2)).await.unwrap_err();
    assert_eq!((refused.code, named(&refused)), (Code::SlotChanged, (vec![longer.clone()], 3)));
    assert_eq!(code(harness.try_book(visit(&slot_of(HERE, CLASS, GRACE, after(30), 60), 2)).await), Code::SlotTaken);
    let next = harness.book(visit(&slot_of(HERE, CLASS, GRACE, after(50), 60), 2)).await;
    assert_eq!(practitioners(&harness.snapshot().await.0), [(-5, 35), (35, 125)]);
    harness.cancel(&next.id).await;

    harness.cancel(&first.id).await;
    let again = harness.book(visit(&longer, 3)).await;
    let joined = harness.book(visit(&longer, 4)).await;
    assert_eq!((again.ends_at_us, &again.group_id), (after(60).as_microsecond(), &first.group_id));
    assert_eq!(joined.ends_at_us, after(60).as_microsecond());
    let (changes, _) = harness.snapshot().await;
    let sessions: Vec<i64> = changes
        .iter()
        .filter_map(|change| match &change.owner {
            Some(Owner::Group(session)) => Some(session.ends_at_us),
            _ => None,
        })
        .collect();
    assert_eq!(sessions, [after(60).as_microsecond()], "a session that began anew is as long as it says");
    // Availability knows the shorter session, and not yet the longer one in its place.
    let joins = again.group_id;
    let shorter = Offer { minutes: 30, capacity: 8, rooms: ROOMS.to_vec(), joins, ..Offer::default() };
    harness.availability.offer(CLASS, shorter);
    assert_eq!(code(harness.try_book(visit(&slot(CLASS, GRACE, after(0)), 5)).await), Code::SlotChanged);
}

async fn a_session_has_no_more_members_than_places(database: Database) {
    let harness = Harness::over(&database).await;
    let class = slot(CLASS, GRACE, after(0));
    let mut members = Vec::new();
    for number in 1..=3 {
        members.push(harness.book(visit(&class, number)).await);
    }
    becomes(&harness, CLASS, 30, 2);
    // The first place is free again, and two are in the session: that is as many as there are places.
    harness.cancel(&members[0].id).await;
    let racing = futures::future::join_all((4..8).map(|number| harness.try_book(visit(&class, number)))).await;
    for answer in racing {
        assert_eq!(code(answer), Code::SlotTaken);
    }
    becomes(&harness, CLASS, 30, 3);
    harness.book(visit(&class, 4)).await;
    assert_eq!(code(harness.try_book(visit(&class, 5)).await), Code::SlotTaken);
}
