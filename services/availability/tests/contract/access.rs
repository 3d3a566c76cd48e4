//! The first, second and third available appointment of a location.

use serde_json::json;
use wire::availability::{SearchSlotsRequest, Slot, SlotFilters};

use crate::world::{Clinic, World, at, day, roster, service, worlds};

const FRIDAY: &str = "2026-03-06";

/// The appointments of the clinic's location from Friday to the Friday after.
async fn next(world: &World, revision: &str, clinic: &Clinic) -> Vec<Slot> {
    let week = SearchSlotsRequest { to_us: at("2026-03-14T06:00:00Z"), ..day(clinic, FRIDAY) };
    let request = if revision.is_empty() { world.request(week) } else { world.after(revision, week) };
    let locations = world.search.clone().next_slots(request).await.unwrap().into_inner().locations;
    locations.into_iter().find(|one| one.location_id == clinic.location).unwrap().slots
}

/// Day and wall-clock time of each.
fn starts(world: &World, slots: &[Slot]) -> Vec<String> {
    let days = slots.iter().map(|slot| crate::world::text_of(slot.starts_at_us)[8..10].to_owned());
    days.zip(world.local_starts_of(slots)).map(|(day, time)| format!("{day} {time}")).collect()
}

async fn offered(world: &World, clinic: &Clinic, own: serde_json::Value) -> Clinic {
    Clinic { service: world.create("", "service", service(own)).await, ..clinic.clone() }
}

#[tokio::test]
async fn starts_of_one_practitioner_that_overlap_are_one_appointment() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let own = json!({"duration_minutes": 45, "start_alignment_minutes": 5, "room_type": "treatment-room"});
        let plain = offered(&world, &clinic, own.clone()).await;
        assert_eq!(starts(&world, &next(&world, "", &plain).await), ["06 09:00", "06 09:45", "06 10:30"]);
        let mut buffered = own;
        (buffered["prep_minutes"], buffered["cleanup_minutes"]) = (json!(5), json!(10));
        let buffered = offered(&world, &clinic, buffered).await;
        let found = starts(&world, &next(&world, "", &buffered).await);
        assert_eq!(found, ["06 09:05", "06 10:05", "06 11:05"], "an hour with its buffers");
        // A booked start is no longer available.
        let (_, revision) = world.booking.book(&world.visit(&clinic, "2026-03-06T17:00:00Z", 45));
        assert_eq!(starts(&world, &next(&world, &revision, &plain).await), ["06 09:00", "06 10:45", "09 09:00"]);
    }
}

#[tokio::test]
async fn practitioners_share_rooms_and_equipment() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        for name in ["Bo", "Di"] {
            let person = world.create("", "practitioner", json!({"given_name": name, "family_name": "C"})).await;
            world.create(&person, "roster", roster(&clinic.location, "09:00", "12:00")).await;
        }
        let anywhere = offered(&world, &clinic, json!({"start_alignment_minutes": 15})).await;
        let open = next(&world, "", &anywhere).await;
        assert_eq!(starts(&world, &open), ["06 09:00", "06 09:00", "06 09:00"], "three at once");
        let mut people: Vec<&str> = open.iter().map(|slot| slot.practitioner_id.as_str()).collect();
        people.sort_unstable();
        people.dedup();
        assert_eq!(people.len(), 3);

        let one_room = json!({"start_alignment_minutes": 15, "room_type": "treatment-room"});
        let one_room = offered(&world, &clinic, one_room).await;
        assert_eq!(starts(&world, &next(&world, "", &one_room).await), ["06 09:00", "06 09:30", "06 10:00"]);
        let table = json!({"name": "Table", "type": "traction-table", "units": 2});
        world.create(&clinic.location, "equipment", table).await;
        let two_tables = json!({"start_alignment_minutes": 15, "equipment_type": "traction-table"});
        let two_tables = offered(&world, &clinic, two_tables).await;
        assert_eq!(starts(&world, &next(&world, "", &two_tables).await), ["06 09:00", "06 09:00", "06 09:30"]);
    }
}

#[tokio::test]
async fn caps_leave_the_next_appointment_to_another_day() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let person = json!({"given_name": "Bo", "family_name": "C", "daily_cap": 2});
        let person = world.create("", "practitioner", person).await;
        world.create(&person, "roster", roster(&clinic.location, "09:00", "12:00")).await;
        let capped = SearchSlotsRequest {
            filters: Some(SlotFilters { practitioner_ids: vec![person], ..SlotFilters::default() }),
            to_us: at("2026-03-14T06:00:00Z"),
            ..day(&clinic, FRIDAY)
        };
        let answer = world.search.clone().next_slots(world.request(capped)).await.unwrap().into_inner();
        assert_eq!(starts(&world, &answer.locations[0].slots), ["06 09:00", "06 09:30", "09 09:00"]);
    }
}

#[tokio::test]
async fn each_place_of_a_session_is_an_appointment() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let class = json!({"capacity": 3, "room_type": "treatment-room", "duration_minutes": 60,
            "start_alignment_minutes": 30});
        let class = offered(&world, &clinic, class).await;
        let open = next(&world, "", &class).await;
        assert_eq!(starts(&world, &open), ["06 09:00"; 3], "a class of three that nobody is in yet");
        assert!(open.iter().all(|slot| slot.places_left == 3 && slot.slot_id == open[0].slot_id));

        let mut visit = world.visit(&class, "2026-03-06T16:00:00Z", 60);
        visit.claims.pop();
        let (_, revision) = world.booking.group(&visit, 3, 2);
        let open = next(&world, &revision, &class).await;
        assert_eq!(starts(&world, &open), ["06 09:00", "06 10:00", "06 10:00"], "one place is left in the first");
    }
}
