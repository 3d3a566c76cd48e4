//! Watching a query: all open slots, and then each slot that opens or closes.

use domain::directory::Kind as Entry;
use rpc::Code;
use serde_json::json;
use tonic::Streaming;
use wire::availability::{AvailabilityChange, SearchSlotsRequest, SlotFilters};

use crate::world::{Clinic, World, at, day, roster, service, slot_id, violations, worlds};

/// Friday, 10:00 in Edmonton.
const FRIDAY: &str = "2026-03-06T17:00:00Z";
const HALF_PAST: &str = "2026-03-06T17:30:00Z";

fn only(practitioner: &str) -> SlotFilters {
    SlotFilters { practitioner_ids: vec![practitioner.to_owned()], ..SlotFilters::default() }
}

async fn watch(world: &World, request: SearchSlotsRequest) -> Streaming<AvailabilityChange> {
    world.search.clone().watch_availability(world.request(request)).await.unwrap().into_inner()
}

async fn next(changes: &mut Streaming<AvailabilityChange>) -> AvailabilityChange {
    let next = tokio::time::timeout(std::time::Duration::from_secs(10), changes.message()).await;
    next.expect("the watcher hears of it").unwrap().expect("the stream goes on")
}

fn came(change: &AvailabilityChange) -> Vec<String> {
    change.came.iter().map(|slot| slot.slot_id.clone()).collect()
}

fn ids(clinic: &Clinic, starts: &[&str]) -> Vec<String> {
    starts.iter().map(|start| slot_id(clinic, at(start))).collect()
}

#[tokio::test]
async fn a_watcher_receives_each_slot_that_opens_or_closes() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let mut changes = watch(&world, day(&clinic, "2026-03-06")).await;
        let first = next(&mut changes).await;
        assert_eq!(world.local_starts_of(&first.came), ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"]);
        assert!(first.went.is_empty());

        let visit = world.visit(&clinic, FRIDAY, 30);
        let (id, _) = world.booking.book(&visit);
        let change = next(&mut changes).await;
        assert_eq!((came(&change), change.went), (vec![], ids(&clinic, &[FRIDAY])));
        // A search accepts the message's revision.
        assert_eq!(world.starts(&change.revision, &clinic, "2026-03-06").await.len(), 5);

        world.booking.publish(&world.visit(&clinic, HALF_PAST, 30), &id, 2, "booked", false);
        let change = next(&mut changes).await;
        assert_eq!((came(&change), change.went), (ids(&clinic, &[FRIDAY]), ids(&clinic, &[HALF_PAST])));

        world.booking.publish(&visit, &id, 3, "cancelled", false);
        assert_eq!(came(&next(&mut changes).await), ids(&clinic, &[HALF_PAST]));
    }
}

#[tokio::test]
async fn a_room_is_watched_too_and_unrelated_changes_are_not_sent() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let other = world.create("", "practitioner", json!({"given_name": "B", "family_name": "C"})).await;
        world.create(&other, "roster", roster(&clinic.location, "09:00", "12:00")).await;
        let mine = |date| SearchSlotsRequest { filters: Some(only(&clinic.practitioner)), ..day(&clinic, date) };
        let mut changes = watch(&world, mine("2026-03-06")).await;
        assert_eq!(next(&mut changes).await.came.len(), 6);
        // Another practitioner in another room, and the same one on another day, do not matter.
        let mut elsewhere = world.visit(&Clinic { practitioner: other.clone(), ..clinic.clone() }, FRIDAY, 30);
        elsewhere.claims.retain(|claim| claim.kind != domain::claim::Kind::Room);
        world.booking.book(&elsewhere);
        world.booking.book(&world.visit(&clinic, "2026-03-05T17:00:00Z", 30));
        // Another practitioner in the only room.
        world.booking.book(&world.visit(&Clinic { practitioner: other, ..clinic.clone() }, HALF_PAST, 30));
        assert_eq!(next(&mut changes).await.went, ids(&clinic, &[HALF_PAST]));
    }
}

#[tokio::test]
async fn a_change_of_the_directory_is_sent_and_an_invalid_query_ends_the_stream() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let mut changes = watch(&world, day(&clinic, "2026-03-06")).await;
        assert_eq!(next(&mut changes).await.came.len(), 6);
        let closed = json!({"starts_on": "2026-03-06", "ends_on": "2026-03-06", "reason": "flood"});
        let closure = world.create(&clinic.location, "closure", closed).await;
        assert_eq!(next(&mut changes).await.went.len(), 6);
        world.archive(Entry::Closure, &closure).await;
        assert_eq!(next(&mut changes).await.came.len(), 6);
        world.archive(Entry::Service, &clinic.service).await;
        let ended = changes.message().await.unwrap_err();
        assert_eq!(violations(&ended.into()), ["service_id unknown_reference"]);
        assert!(changes.message().await.unwrap().is_none(), "nothing comes after that");
    }
}

#[tokio::test]
async fn a_query_that_is_too_large_to_watch_is_refused() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let refused = async |request| {
            let refused = world.search.clone().watch_availability(world.request(request)).await;
            violations(&rpc::Fault::from(refused.expect_err("it should have been refused")))
        };
        let from_us = at("2026-03-03T00:00:00Z");
        let long = SearchSlotsRequest { to_us: from_us + 63 * 86_400_000_000, from_us, ..day(&clinic, "2026-03-03") };
        assert_eq!(refused(long.clone()).await, ["to too_long"]);
        let fine = service(json!({"duration_minutes": 5, "start_alignment_minutes": 5}));
        let fine = world.create("", "service", fine).await;
        for _ in 0..4 {
            let person = world.create("", "practitioner", json!({"given_name": "B", "family_name": "C"})).await;
            world.create(&person, "roster", roster(&clinic.location, "07:00", "12:00")).await;
        }
        let many = SearchSlotsRequest { service_id: fine, to_us: from_us + 50 * 86_400_000_000, ..long };
        assert_eq!(refused(many).await, ["to too_many"]);
        let unknown = SearchSlotsRequest { service_id: clinic.room.clone(), ..day(&clinic, "2026-03-03") };
        let unknown = world.search.clone().watch_availability(world.request(unknown)).await;
        assert_eq!(rpc::Fault::from(unknown.err().unwrap()).code, Code::ValidationFailed);
    }
}
