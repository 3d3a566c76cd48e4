//! Group sessions: places, and joining.

use serde_json::json;
use wire::{availability::SearchSlotsRequest, common::BookingChannel};

use crate::world::{Clinic, World, at, day, service, slot_id, worlds};

/// Friday, 10:00 in Edmonton.
const FRIDAY: &str = "2026-03-06T17:00:00Z";

async fn class(world: &World) -> Clinic {
    let clinic = world.clinic().await;
    let class = json!({"capacity": 3, "room_type": "treatment-room"});
    Clinic { service: world.create("", "service", service(class)).await, shared: true, ..clinic }
}

async fn places(world: &World, revision: &str, clinic: &Clinic) -> Vec<(String, u32)> {
    let answer = world.slots(revision, day(clinic, "2026-03-06")).await;
    world.local_starts(&answer).into_iter().zip(answer.slots.iter().map(|slot| slot.places_left)).collect()
}

#[tokio::test]
async fn a_session_shows_the_places_that_are_left_and_hides_when_full() {
    for world in worlds().await {
        let clinic = class(&world).await;
        let mut visit = world.visit(&clinic, FRIDAY, 30);
        visit.claims.pop();
        let (id, revision) = world.booking.group(&visit, 3, 2);
        let open = places(&world, &revision, &clinic).await;
        let expected = [("09:00", 3), ("09:30", 3), ("10:00", 1), ("10:30", 3), ("11:00", 3), ("11:30", 3)];
        assert_eq!(open, expected.map(|(start, left)| (start.to_owned(), left)));
        let checked = &world.check(&revision, &[slot_id(&clinic, at(FRIDAY))], BookingChannel::Online).await[0];
        assert!(checked.refusals.is_empty());
        assert_eq!((checked.slot.as_ref().unwrap().places_left, &checked.room_ids), (1, &vec![clinic.room.clone()]));
        assert_eq!(checked.group_id, domain::id::GroupId::new(id).to_string());
        // Pages of one slot contain the session in its order.
        let (mut paged, mut cursor) = (vec![], String::new());
        loop {
            let page = SearchSlotsRequest { limit: 1, cursor, ..day(&clinic, "2026-03-06") };
            let answer = world.slots(&revision, page).await;
            paged.extend(world.local_starts(&answer).into_iter().zip(answer.slots.iter().map(|slot| slot.places_left)));
            cursor = answer.next_cursor;
            if cursor.is_empty() {
                break;
            }
        }
        assert_eq!(paged, open);

        let place = crate::fake_booking::claim(domain::claim::Kind::Place, id, 2, visit.starts_at_us, visit.ends_at_us);
        let last = crate::fake_booking::Visit { claims: vec![place], ..visit.clone() };
        let (appointment, revision) = world.booking.book(&last);
        assert_eq!(places(&world, &revision, &clinic).await.len(), 5, "a full one is hidden");
        assert_eq!(world.refusals(&revision, &clinic, FRIDAY).await, ["slot_taken"]);
        let revision = world.booking.publish(&last, &appointment, 2, "cancelled", false);
        assert_eq!(places(&world, &revision, &clinic).await[2], ("10:00".into(), 1));

        let sized = |capacity: u32| service(json!({"capacity": capacity, "room_type": "treatment-room"}));
        world.update(&clinic.service, "service", sized(5), 0).await.unwrap();
        assert_eq!(places(&world, &revision, &clinic).await[2], ("10:00".into(), 3), "the service has grown");
        for smaller in [2, 1] {
            world.update(&clinic.service, "service", sized(smaller), 0).await.unwrap();
            assert_eq!(places(&world, &revision, &clinic).await.len(), 5, "two are in it already");
            let clinic = Clinic { shared: smaller > 1, ..clinic.clone() };
            assert_eq!(world.refusals(&revision, &clinic, FRIDAY).await[0], "slot_taken");
        }
    }
}

#[tokio::test]
async fn another_service_cannot_join_and_an_infeasible_session_is_hidden() {
    for world in worlds().await {
        let clinic = class(&world).await;
        let mut visit = world.visit(&clinic, FRIDAY, 30);
        visit.claims.pop();
        let (_, revision) = world.booking.group(&visit, 3, 1);
        let other = world.create("", "service", service(json!({"capacity": 3}))).await;
        let other = Clinic { service: other, ..clinic.clone() };
        assert_eq!(world.refusals(&revision, &other, FRIDAY).await, ["slot_taken"]);
        let off = json!({"starts_at": "2026-03-06T16:45:00Z", "ends_at": "2026-03-06T17:15:00Z", "reason": "ill"});
        world.create(&clinic.practitioner, "time_off", off).await;
        let starts: Vec<_> = places(&world, &revision, &clinic).await.into_iter().map(|(start, _)| start).collect();
        assert_eq!(starts, ["09:00", "10:30", "11:00", "11:30"]);
        assert_eq!(world.refusals(&revision, &clinic, FRIDAY).await, ["outside_roster"]);
    }
}

#[tokio::test]
async fn a_day_of_nothing_but_sessions_comes_in_pages() {
    for world in worlds().await {
        let clinic = class(&world).await;
        let mut revision = String::new();
        for start in ["16:00", "16:30", "17:00", "17:30", "18:00", "18:30"] {
            let mut visit = world.visit(&clinic, &format!("2026-03-06T{start}:00Z"), 30);
            visit.claims.pop();
            revision = world.booking.group(&visit, 3, 1).1;
        }
        for limit in 1..=7 {
            let (mut starts, mut cursor) = (vec![], String::new());
            loop {
                let page = SearchSlotsRequest { limit, cursor, ..day(&clinic, "2026-03-06") };
                let answer = world.slots(&revision, page).await;
                starts.extend(world.local_starts(&answer));
                cursor = answer.next_cursor;
                if cursor.is_empty() {
                    break;
                }
            }
            assert_eq!(starts, ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"], "limit {limit}");
        }
    }
}
