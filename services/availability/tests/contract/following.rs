//! Applying booking's feed: claims, expiring holds, revisions, reconnection and lost positions.

use domain::{claim::Kind, id::PatientId};
use rpc::Code;
use serde_json::json;
use wire::availability::{CheckSlotsRequest, SearchSlotsRequest, SlotFilters};

use crate::{
    fake_booking::claim,
    world::{Clinic, World, at, day, fault, service, slot_id, violations, worlds},
};

const ALL: [&str; 6] = ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"];
/// Friday, 10:00 in Edmonton.
const FRIDAY: &str = "2026-03-06T17:00:00Z";

#[tokio::test]
async fn booked_time_is_hidden_and_cancelled_time_is_open_again() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let visit = world.visit(&clinic, FRIDAY, 30);
        let (id, revision) = world.booking.book(&visit);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ["09:00", "09:30", "10:30", "11:00", "11:30"]);
        let moved = world.visit(&clinic, "2026-03-06T18:00:00Z", 30);
        let revision = world.booking.publish(&moved, &id, 2, "booked", false);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ["09:00", "09:30", "10:00", "10:30", "11:30"]);
        // An older version is not applied.
        let revision = world.booking.publish(&visit, &id, 1, "booked", false);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ["09:00", "09:30", "10:00", "10:30", "11:30"]);
        let revision = world.booking.publish(&moved, &id, 3, "cancelled", false);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ALL);
    }
}

#[tokio::test]
async fn slots_at_which_the_patient_is_busy_are_left_out() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        // The visit claims neither the clinic's practitioner nor its room.
        let mut visit = world.visit(&clinic, "2026-03-06T17:15:00Z", 30);
        visit.claims.retain(|claim| claim.kind == Kind::Patient);
        let (_, revision) = world.booking.book(&visit);
        let patient_id = PatientId::new(visit.patient).to_string();
        for limit in [1, 200] {
            let request = SearchSlotsRequest { patient_id: patient_id.clone(), limit, ..day(&clinic, "2026-03-06") };
            let first = world.slots(&revision, request.clone()).await;
            assert_eq!(first.next_cursor.is_empty(), limit == 200);
            if limit == 200 {
                assert_eq!(world.local_starts(&first), ["09:00", "09:30", "11:00", "11:30"]);
            }
            let late = SlotFilters { not_before: "10:00".into(), ..SlotFilters::default() };
            let late = SearchSlotsRequest { filters: Some(late), ..request };
            let late = world.slots(&revision, late).await;
            assert_eq!(world.local_starts(&late)[0], "11:00", "a page is filled with fitting slots");
        }
    }
}

#[tokio::test]
async fn an_expired_hold_blocks_nobody_at_once() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let visit = world.visit(&clinic, FRIDAY, 30);
        let expires_at_us = at("2026-03-02T08:10:00Z");
        let (id, revision) = world.booking.hold(world.organization, &visit.claims[..2], expires_at_us);
        assert_eq!(world.refusals(&revision, &clinic, FRIDAY).await, ["slot_taken", "slot_taken"]);
        world.advance(9);
        assert_eq!(world.starts("", &clinic, "2026-03-06").await.len(), 5);
        world.advance(1);
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ALL);
        assert!(world.refusals("", &clinic, FRIDAY).await.is_empty());
        // After another booking, the late release of the old hold does not free the time.
        let (_, _) = world.booking.book(&visit);
        let revision = world.booking.publish_hold(world.organization, &id, 2, &[], 0);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await.len(), 5);
    }
}

#[tokio::test]
async fn a_released_hold_does_not_return() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let visit = world.visit(&clinic, FRIDAY, 30);
        let expires_at_us = at("2026-03-02T09:00:00Z");
        let (id, revision) = world.booking.hold(world.organization, &visit.claims[..2], expires_at_us);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await.len(), 5);
        let revision = world.booking.publish_hold(world.organization, &id, 2, &[], 0);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ALL);
        let revision = world.booking.publish_hold(world.organization, &id, 1, &visit.claims[..2], expires_at_us);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ALL, "delivered twice, in the wrong order");
    }
}

#[tokio::test]
async fn needling_is_left_out_within_two_days_of_the_last() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let needling = world.create("", "service", service(json!({"needling": true}))).await;
        let clinic = Clinic { service: needling, ..clinic };
        let mut visit = world.visit(&clinic, "2026-03-04T17:00:00Z", 30);
        let until = visit.ends_at_us + 48 * 3_600_000_000;
        visit.claims = vec![claim(Kind::Needling, visit.patient, 0, visit.starts_at_us, until)];
        let (_, revision) = world.booking.book(&visit);
        let patient_id = PatientId::new(visit.patient).to_string();
        for (date, expected) in [
            ("2026-03-02", vec!["09:00", "09:30"]),
            ("2026-03-03", vec![]),
            ("2026-03-05", vec![]),
            ("2026-03-06", vec!["10:30", "11:00", "11:30"]),
        ] {
            let request = SearchSlotsRequest { patient_id: patient_id.clone(), ..day(&clinic, date) };
            let answer = world.slots(&revision, request).await;
            assert_eq!(world.local_starts(&answer), expected, "{date}");
        }
    }
}

#[tokio::test]
async fn a_read_waits_for_its_revision_or_says_that_it_is_behind() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        world.starts("", &clinic, "2026-03-06").await;
        world.booking.pause(true);
        let (_, revision) = world.booking.book(&world.visit(&clinic, FRIDAY, 30));
        assert_eq!(world.starts("", &clinic, "2026-03-06").await, ALL, "without a revision it may be behind");
        let late = fault(world.search.clone().search_slots(world.after(&revision, day(&clinic, "2026-03-06"))).await);
        assert_eq!((late.code, late.retry_after.is_some()), (Code::ProjectionBehind, true));

        let combined = format!("d1,{revision}");
        let (mut search, waiting) = (world.search.clone(), world.after(&combined, day(&clinic, "2026-03-06")));
        let waiting = tokio::spawn(async move { search.search_slots(waiting).await.unwrap().into_inner() });
        world.booking.pause(false);
        let answer = waiting.await.unwrap();
        assert_eq!(answer.slots.len(), 5);
        assert!(answer.revision.ends_with(&revision), "{} at {revision}", answer.revision);
        // The answer's own revision can be sent back.
        assert_eq!(world.slots(&answer.revision, day(&clinic, "2026-03-06")).await.slots.len(), 5);

        let ahead = fault(world.search.clone().search_slots(world.after("d99", day(&clinic, "2026-03-06"))).await);
        assert_eq!(ahead.code, Code::ProjectionBehind);
        let nonsense = fault(world.search.clone().search_slots(world.after("soon", day(&clinic, "2026-03-06"))).await);
        assert_eq!(violations(&nonsense), ["Meridian-Revision invalid_revision"]);
    }
}

#[tokio::test]
async fn an_early_write_satisfies_its_own_revision_only() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        world.starts("", &clinic, "2026-03-06").await;
        world.booking.hold_back(true);
        let visit = world.visit(&clinic, FRIDAY, 30);
        let (id, booked) = world.booking.book(&visit);
        assert_eq!(world.starts(&booked, &clinic, "2026-03-06").await.len(), 5);
        let cancelled = world.booking.publish(&visit, &id, 2, "cancelled", false);
        assert_eq!(world.starts(&format!("{booked},{cancelled}"), &clinic, "2026-03-06").await, ALL);
        // It does not satisfy the revision of a write that has not arrived.
        world.booking.pause(true);
        let (_, later) = world.booking.book(&visit);
        let late = fault(world.search.clone().search_slots(world.after(&later, day(&clinic, "2026-03-06"))).await);
        assert_eq!(late.code, Code::ProjectionBehind);
        // An answer's revision is the position, joined with the caller's revision.
        let answer = world.slots(&cancelled, day(&clinic, "2026-03-06")).await;
        assert!(answer.revision.ends_with(&cancelled), "{} at {cancelled}", answer.revision);
        // Delivered again after a reconnection, it changes nothing.
        world.booking.cut();
        world.booking.pause(false);
        assert_eq!(world.starts(&later, &clinic, "2026-03-06").await.len(), 5);
        world.booking.hold_back(false);
        assert_eq!(world.booking.snapshots(), 1);
    }
}

#[tokio::test]
async fn a_caller_with_a_revision_never_misses_their_own_booking() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let visit = world.visit(&clinic, FRIDAY, 30);
        for turn in 0..60 {
            world.booking.pause(turn % 3 == 0);
            if turn % 7 == 0 {
                world.booking.cut();
            }
            let (id, booked) = world.booking.book(&visit);
            let (mut search, request) = (world.search.clone(), world.after(&booked, day(&clinic, "2026-03-06")));
            let answer =
                tokio::spawn(async move { search.search_slots(request).await.unwrap().into_inner().slots.len() });
            tokio::task::yield_now().await;
            world.booking.pause(false);
            assert_eq!(answer.await.unwrap(), 5, "turn {turn}");
            let freed = world.booking.publish(&visit, &id, 2, "cancelled", false);
            assert_eq!(world.starts(&freed, &clinic, "2026-03-06").await.len(), 6, "turn {turn}");
        }
    }
}

#[tokio::test]
async fn a_cut_feed_resumes_at_its_position() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let (_, revision) = world.booking.book(&world.visit(&clinic, FRIDAY, 30));
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await.len(), 5);
        for start in ["2026-03-06T16:00:00Z", "2026-03-06T18:00:00Z"] {
            world.booking.cut();
            let before = world.starts(&revision, &clinic, "2026-03-06").await.len();
            let (_, revision) = world.booking.book(&world.visit(&clinic, start, 30));
            assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await.len(), before - 1);
        }
        assert_eq!(world.booking.snapshots(), 1, "no new snapshot is needed");
    }
}

#[tokio::test]
async fn a_lost_position_leads_to_a_new_snapshot() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let visit = world.visit(&clinic, FRIDAY, 30);
        let (id, revision) = world.booking.book(&visit);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await.len(), 5);
        world.booking.pause(true);
        world.booking.publish(&visit, &id, 2, "cancelled", false);
        let (_, revision) = world.booking.book(&world.visit(&clinic, "2026-03-06T18:30:00Z", 30));
        world.booking.forget_log();
        world.booking.pause(false);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ALL[..5]);
        assert_eq!(world.booking.snapshots(), 2);

        world.booking.restore();
        let (_, revision) = world.booking.book(&world.visit(&clinic, "2026-03-06T18:00:00Z", 30));
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ALL[..4]);
        assert_eq!(world.booking.snapshots(), 3);
    }
}

#[tokio::test]
async fn a_restart_begins_with_a_snapshot_and_is_not_ready_before() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let visit = world.visit(&clinic, FRIDAY, 30);
        let hold = world.visit(&clinic, "2026-03-06T18:30:00Z", 30);
        world.booking.hold(world.organization, &hold.claims[..2], at("2026-03-02T09:00:00Z"));
        let (_, revision) = world.booking.book(&visit);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await.len(), 4);
        let mut again = World::start(world.target.clone(), world.booking.clone(), world.clock.clone(), 3).await;
        again.organization = world.organization;
        assert_eq!(again.starts("", &clinic, "2026-03-06").await, ["09:00", "09:30", "10:30", "11:00"]);
        assert!(again.readiness.missing().is_empty());
    }
}

#[tokio::test]
async fn without_a_snapshot_search_answers_projection_behind() {
    let database = testkit::database::Database::sqlite().unwrap();
    let target = sql::Target::from_url(&database.for_service("availability")).unwrap();
    let clock = runtime::Clock::manual(crate::world::NOW.parse().unwrap());
    let readiness = runtime::Readiness::new();
    let deps = availability::Deps {
        config: availability::Config::default(),
        clock,
        ids: runtime::Ids::seeded(1),
        database: target,
        booking: rpc::Channel::pending(),
        readiness: readiness.clone(),
        keyring: service::seal::Keyring::from_key(&[7; 32]),
    };
    let app = availability::App::build(deps).await.unwrap();
    assert_eq!(readiness.missing().len(), 1);
    let channel = rpc::Channel::in_process(app.routes());
    let mut search = wire::availability::search_client::SearchClient::new(channel);
    let organization = domain::id::OrganizationId::new(crate::fake_booking::new_id());
    let ctx = rpc::Context::new(organization, "key_test", std::time::Duration::from_secs(1));
    let answer = fault(search.search_slots(ctx.request(SearchSlotsRequest::default())).await);
    assert_eq!(answer.code, Code::ProjectionBehind);
}

#[tokio::test]
async fn a_replica_that_does_not_keep_up_is_not_ready_until_it_does() {
    for world in worlds().await {
        assert!(world.readiness.is_ready());
        let within = std::time::Duration::from_secs(30);
        world.booking.has_more(true);
        tokio::time::timeout(within, world.readiness.until(false)).await.unwrap();
        assert_eq!(world.readiness.missing()[0].0, "feed");
        world.booking.has_more(false);
        tokio::time::timeout(within, world.readiness.until(true)).await.unwrap();
    }
}

/// Holds do not shorten the open time of a day, of which a front end may hold a share; appointments do.
#[tokio::test]
async fn the_open_time_of_a_day_is_the_roster_without_appointments() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let open = async |revision: &str| {
            let slot_ids = vec![slot_id(&clinic, at(FRIDAY))];
            let request = CheckSlotsRequest { slot_ids, with_day: true, ..CheckSlotsRequest::default() };
            let request = if revision.is_empty() { world.request(request) } else { world.after(revision, request) };
            let checked = world.search.clone().check_slots(request).await.unwrap().into_inner();
            checked.slots[0].day.unwrap()
        };
        let day = open("").await;
        assert_eq!((day.starts_at_us, day.open_minutes), (at("2026-03-06T07:00:00Z"), 180), "09:00 to 12:00");
        let visit = world.visit(&clinic, FRIDAY, 30);
        let (_, revision) = world.booking.hold(world.organization, &visit.claims, at("2026-03-02T08:10:00Z"));
        assert_eq!(open(&revision).await.open_minutes, 180);
        let later = world.visit(&clinic, "2026-03-06T18:00:00Z", 30);
        let (id, revision) = world.booking.book(&later);
        assert_eq!(open(&revision).await.open_minutes, 150);
        let revision = world.booking.publish(&later, &id, 2, "cancelled", false);
        assert_eq!(open(&revision).await.open_minutes, 180);
    }
}
