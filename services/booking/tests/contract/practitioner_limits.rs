//! Caps and travel times hold in the booking transaction itself, for concurrent bookings too.

use rpc::Code;
use testkit::database::Database;
use uuid::Uuid;

use crate::{
    fake_availability::Offer,
    harness::{ALAN, CLASS, GRACE, HERE, Harness, ROOMS, after, code, slot, slot_at, visit},
};

testkit::engines!(
    concurrent_bookings_do_not_exceed_the_cap,
    a_needling_cap_counts_only_needling,
    a_cancelled_appointment_does_not_count,
    concurrent_bookings_at_two_locations_respect_the_travel_time,
    a_session_is_joined_despite_a_lower_cap,
);

const VISIT: Uuid = Uuid::from_u128(0x501);
const NEEDLES: Uuid = Uuid::from_u128(0x502);
const THERE: Uuid = Uuid::from_u128(0x92);

async fn concurrent_bookings_do_not_exceed_the_cap(database: Database) {
    let harness = Harness::over(&database).await;
    harness.availability.offer(VISIT, Offer { most_a_day: Some(3), rooms: ROOMS.to_vec(), ..Offer::default() });
    for round in 0..5 {
        let book = |number: u32| {
            let start = after(24 * 60 * round - 8 * 60 + 30 * i64::from(number));
            harness.try_book(visit(&slot(VISIT, GRACE, start), number))
        };
        let answers = futures::future::join_all((0..8).map(book)).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3, "round {round}");
        assert!(answers.into_iter().filter_map(Result::err).all(|fault| fault.code == Code::DailyCap));
        // Another practitioner's day is another.
        let other = harness.try_book(visit(&slot(VISIT, ALAN, after(24 * 60 * round)), 20)).await;
        assert!(other.is_ok(), "round {round}");
    }
}

async fn a_needling_cap_counts_only_needling(database: Database) {
    let harness = Harness::over(&database).await;
    harness.availability.offer(VISIT, Offer::default());
    let needles = Offer { needling: true, most_a_day: Some(1), needling_counts: true, ..Offer::default() };
    harness.availability.offer(NEEDLES, needles);
    harness.book(visit(&slot(VISIT, GRACE, after(0)), 1)).await;
    harness.book(visit(&slot(NEEDLES, GRACE, after(60)), 2)).await;
    assert_eq!(code(harness.try_book(visit(&slot(NEEDLES, GRACE, after(120)), 3)).await), Code::DailyCap);
    harness.book(visit(&slot(VISIT, GRACE, after(120)), 3)).await;
}

async fn a_cancelled_appointment_does_not_count(database: Database) {
    let harness = Harness::over(&database).await;
    harness.availability.offer(VISIT, Offer { most_a_day: Some(1), ..Offer::default() });
    let first = harness.book(visit(&slot(VISIT, GRACE, after(0)), 1)).await;
    assert_eq!(code(harness.try_book(visit(&slot(VISIT, GRACE, after(60)), 2)).await), Code::DailyCap);
    // Moved within the day it does not count itself.
    harness.reschedule(&first.id, slot(VISIT, GRACE, after(120))).await.unwrap();
    harness.cancel(&first.id).await;
    harness.book(visit(&slot(VISIT, GRACE, after(60)), 2)).await;
}

async fn concurrent_bookings_at_two_locations_respect_the_travel_time(database: Database) {
    let harness = Harness::over(&database).await;
    let (to_there, to_here) = (Uuid::from_u128(0x503), Uuid::from_u128(0x504));
    harness.availability.offer(to_there, Offer { road: Some((THERE, 40)), ..Offer::default() });
    harness.availability.offer(to_here, Offer { road: Some((HERE, 40)), ..Offer::default() });
    for round in 0..10 {
        let start = 24 * 60 * round;
        let here = visit(&slot_at(HERE, to_there, GRACE, after(start)), 1);
        let there = visit(&slot_at(THERE, to_here, GRACE, after(start + 60)), 2);
        let answers = futures::join!(harness.try_book(here), harness.try_book(there));
        let faults: Vec<_> = [answers.0, answers.1].into_iter().filter_map(Result::err).collect();
        assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [Code::TravelTime], "round {round}");
        // Ten minutes more leave time for the travel.
        harness.book(visit(&slot_at(HERE, to_there, GRACE, after(start + 240)), 3)).await;
        harness.book(visit(&slot_at(THERE, to_here, GRACE, after(start + 310)), 4)).await;
    }
}

async fn a_session_is_joined_despite_a_lower_cap(database: Database) {
    let harness = Harness::over(&database).await;
    let class = Offer { capacity: 8, ..Offer::default() };
    harness.availability.offer(CLASS, class.clone());
    harness.book(visit(&slot(CLASS, GRACE, after(0)), 1)).await;
    harness.availability.offer(CLASS, Offer { most_a_day: Some(0), ..class });
    harness.book(visit(&slot(CLASS, GRACE, after(0)), 2)).await;
    assert_eq!(code(harness.try_book(visit(&slot(CLASS, GRACE, after(60)), 3)).await), Code::DailyCap);
}
