//! Caps and the road hold in the booking transaction itself: of many who book in the same instant no more get through.

use rpc::Code;
use testkit::database::Database;
use uuid::Uuid;

use crate::{
    fake_availability::Offer,
    harness::{ALAN, CLASS, GRACE, HERE, ROOMS, World, after, code, slot, slot_at, visit},
};

testkit::engines!(
    of_many_at_once_the_cap_lets_so_many_in,
    a_cap_of_needling_counts_needling,
    a_visit_that_is_called_off_makes_room,
    of_two_locations_at_once_one_is_in_reach,
    a_session_is_joined_whatever_the_cap_has_become,
);

const VISIT: Uuid = Uuid::from_u128(0x501);
const NEEDLES: Uuid = Uuid::from_u128(0x502);
const THERE: Uuid = Uuid::from_u128(0x92);

async fn of_many_at_once_the_cap_lets_so_many_in(database: Database) {
    let world = World::over(&database).await;
    world.availability.offer(VISIT, Offer { most_a_day: Some(3), rooms: ROOMS.to_vec(), ..Offer::default() });
    for round in 0..5 {
        let book = |number: u32| {
            let start = after(24 * 60 * round - 8 * 60 + 30 * i64::from(number));
            world.try_book(visit(&slot(VISIT, GRACE, start), number))
        };
        let answers = futures::future::join_all((0..8).map(book)).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3, "round {round}");
        assert!(answers.into_iter().filter_map(Result::err).all(|fault| fault.code == Code::DailyCap));
        // Another practitioner's day is another.
        let other = world.try_book(visit(&slot(VISIT, ALAN, after(24 * 60 * round)), 20)).await;
        assert!(other.is_ok(), "round {round}");
    }
}

async fn a_cap_of_needling_counts_needling(database: Database) {
    let world = World::over(&database).await;
    world.availability.offer(VISIT, Offer::default());
    let needles = Offer { needling: true, most_a_day: Some(1), needling_counts: true, ..Offer::default() };
    world.availability.offer(NEEDLES, needles);
    world.book(visit(&slot(VISIT, GRACE, after(0)), 1)).await;
    world.book(visit(&slot(NEEDLES, GRACE, after(60)), 2)).await;
    assert_eq!(code(world.try_book(visit(&slot(NEEDLES, GRACE, after(120)), 3)).await), Code::DailyCap);
    world.book(visit(&slot(VISIT, GRACE, after(120)), 3)).await;
}

async fn a_visit_that_is_called_off_makes_room(database: Database) {
    let world = World::over(&database).await;
    world.availability.offer(VISIT, Offer { most_a_day: Some(1), ..Offer::default() });
    let first = world.book(visit(&slot(VISIT, GRACE, after(0)), 1)).await;
    assert_eq!(code(world.try_book(visit(&slot(VISIT, GRACE, after(60)), 2)).await), Code::DailyCap);
    // Moved within the day it does not count itself.
    world.reschedule(&first.id, slot(VISIT, GRACE, after(120))).await.unwrap();
    world.cancel(&first.id).await;
    world.book(visit(&slot(VISIT, GRACE, after(60)), 2)).await;
}

async fn of_two_locations_at_once_one_is_in_reach(database: Database) {
    let world = World::over(&database).await;
    let (to_there, to_here) = (Uuid::from_u128(0x503), Uuid::from_u128(0x504));
    world.availability.offer(to_there, Offer { road: Some((THERE, 40)), ..Offer::default() });
    world.availability.offer(to_here, Offer { road: Some((HERE, 40)), ..Offer::default() });
    for round in 0..10 {
        let start = 24 * 60 * round;
        let here = visit(&slot_at(HERE, to_there, GRACE, after(start)), 1);
        let there = visit(&slot_at(THERE, to_here, GRACE, after(start + 60)), 2);
        let answers = futures::join!(world.try_book(here), world.try_book(there));
        let faults: Vec<_> = [answers.0, answers.1].into_iter().filter_map(Result::err).collect();
        assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [Code::TravelTime], "round {round}");
        // Ten minutes more and the way is done.
        world.book(visit(&slot_at(HERE, to_there, GRACE, after(start + 240)), 3)).await;
        world.book(visit(&slot_at(THERE, to_here, GRACE, after(start + 310)), 4)).await;
    }
}

async fn a_session_is_joined_whatever_the_cap_has_become(database: Database) {
    let world = World::over(&database).await;
    let class = Offer { capacity: 8, ..Offer::default() };
    world.availability.offer(CLASS, class.clone());
    world.book(visit(&slot(CLASS, GRACE, after(0)), 1)).await;
    world.availability.offer(CLASS, Offer { most_a_day: Some(0), ..class });
    world.book(visit(&slot(CLASS, GRACE, after(0)), 2)).await;
    assert_eq!(code(world.try_book(visit(&slot(CLASS, GRACE, after(60)), 3)).await), Code::DailyCap);
}
