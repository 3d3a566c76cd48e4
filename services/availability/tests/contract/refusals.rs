//! Why a slot is refused, with the exact code.

use domain::{claim::Kind, directory::Kind as Entry, id::EquipmentId, id::PractitionerId};
use serde_json::json;
use wire::{
    availability::{CheckSlotsRequest, ExplainSlotRequest},
    common::BookingChannel,
};

use crate::{
    fake_booking::claim,
    world::{Clinic, World, at, fault, roster, service, slot_id, violations, worlds},
};

/// Friday, 10:00 in Edmonton.
const FRIDAY: &str = "2026-03-06T17:00:00Z";

#[tokio::test]
async fn each_rule_refuses_with_its_code() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        assert!(world.refusals("", &clinic, FRIDAY).await.is_empty());
        assert_eq!(world.refusals("", &clinic, "2026-03-06T21:00:00Z").await, ["outside_roster"]);
        assert_eq!(world.refusals("", &clinic, "2026-03-06T17:05:00Z").await, ["outside_roster"], "off its grid");
        assert_eq!(world.refusals("", &clinic, "2026-03-01T17:00:00Z").await, ["min_notice", "outside_roster"]);
        assert_eq!(world.refusals("", &clinic, "2026-05-04T16:00:00Z").await, ["beyond_horizon"]);
        world
            .create(
                &clinic.location,
                "closure",
                json!({"starts_on": "2026-03-05", "ends_on": "2026-03-06", "reason": "flood"}),
            )
            .await;
        assert_eq!(world.refusals("", &clinic, FRIDAY).await, ["location_closed"]);
        assert!(world.starts("", &clinic, "2026-03-06").await.is_empty());
        assert_eq!(world.starts("", &clinic, "2026-03-04").await.len(), 6);
        world.archive(Entry::Practitioner, &clinic.practitioner).await;
        assert_eq!(world.refusals("", &clinic, "2026-03-04T17:00:00Z").await, ["not_offered"]);
    }
}

#[tokio::test]
async fn notice_is_for_patients_and_the_past_for_nobody() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let noticed = world.create("", "service", service(json!({"min_notice_minutes": 120}))).await;
        let clinic = Clinic { service: noticed, ..clinic };
        world.advance(8 * 60 + 10); // 09:10 on Monday
        assert_eq!(world.starts("", &clinic, "2026-03-02").await, ["11:30"]);
        let staff = wire::availability::SearchSlotsRequest {
            channel: BookingChannel::Staff as i32,
            ..crate::world::day(&clinic, "2026-03-02")
        };
        let answer = world.slots("", staff).await;
        assert_eq!(world.local_starts(&answer), ["09:30", "10:00", "10:30", "11:00", "11:30"]);
        let ids = [slot_id(&clinic, at("2026-03-02T16:30:00Z")), slot_id(&clinic, at("2026-03-02T16:00:00Z"))];
        let codes = async |channel| {
            let checked = world.check("", &ids, channel).await;
            checked.iter().map(|slot| slot.refusals.len()).collect::<Vec<_>>()
        };
        assert_eq!(codes(BookingChannel::Staff).await, [0, 1]);
        assert_eq!(codes(BookingChannel::Online).await, [1, 1]);
    }
}

#[tokio::test]
async fn certificates_count_on_the_day_of_the_visit() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let needling = service(json!({"required_certificate": "dry-needling"}));
        let clinic = Clinic { service: world.create("", "service", needling).await, ..clinic };
        assert_eq!(world.refusals("", &clinic, FRIDAY).await, ["certificate_missing"]);
        assert!(world.starts("", &clinic, "2026-03-06").await.is_empty());
        let valid = |from: &str, to: &str| json!({"code": "dry-needling", "issuer": "College", "jurisdiction": "CA-AB", "valid_from": from, "valid_to": to});
        world.create(&clinic.practitioner, "certificate", valid("2025-01-01", "2026-03-05")).await;
        assert_eq!(world.starts("", &clinic, "2026-03-05").await.len(), 6, "the last day counts");
        assert_eq!(world.refusals("", &clinic, FRIDAY).await, ["certificate_expired"]);
        assert!(world.starts("", &clinic, "2026-03-06").await.is_empty());
        world.create(&clinic.practitioner, "certificate", valid("2026-03-09", "2026-03-09")).await;
        assert_eq!(world.starts("", &clinic, "2026-03-09").await.len(), 6);
        assert!(world.starts("", &clinic, "2026-03-10").await.is_empty());
    }
}

#[tokio::test]
async fn a_full_day_is_full_at_every_location() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let capped = json!({"given_name": "Ada", "family_name": "B", "daily_cap": 2});
        world.update(&clinic.practitioner, "practitioner", capped, 0).await.unwrap();
        let second = world.create("", "location", json!({"name": "B", "time_zone": "America/Edmonton"})).await;
        world.create(&clinic.practitioner, "roster", roster(&second, "13:00", "15:00")).await;
        let anywhere = world.create("", "service", service(json!({}))).await;
        let clinic = Clinic { service: anywhere, ..clinic };
        assert_eq!(world.starts("", &clinic, "2026-03-06").await.len(), 6 + 4);
        let (first, _) = world.booking.book(&world.visit(&clinic, "2026-03-06T16:00:00Z", 30));
        let (_, revision) = world.booking.book(&world.visit(&clinic, "2026-03-06T16:30:00Z", 30));
        assert!(world.starts(&revision, &clinic, "2026-03-06").await.is_empty());
        assert_eq!(world.starts(&revision, &clinic, "2026-03-05").await.len(), 10);
        assert_eq!(world.refusals(&revision, &clinic, "2026-03-06T18:00:00Z").await, ["daily_cap"]);
        // A rescheduled visit does not count itself.
        let request = CheckSlotsRequest {
            slot_ids: vec![slot_id(&clinic, at("2026-03-06T18:00:00Z"))],
            channel: BookingChannel::Online as i32,
            ignore_owners: vec![first],
            ..Default::default()
        };
        let checked = world.search.clone().check_slots(world.request(request)).await.unwrap().into_inner();
        assert!(checked.slots[0].refusals.is_empty());
    }
}

/// Past visits still count for their week.
#[tokio::test]
async fn a_full_week_lasts_to_its_sunday() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let capped = json!({"given_name": "Ada", "family_name": "B", "weekly_cap": 2});
        world.update(&clinic.practitioner, "practitioner", capped, 0).await.unwrap();
        world.booking.book(&world.visit(&clinic, "2026-03-02T16:00:00Z", 30));
        let (_, revision) = world.booking.book(&world.visit(&clinic, "2026-03-02T17:00:00Z", 30));
        assert_eq!(world.refusals(&revision, &clinic, FRIDAY).await, ["weekly_cap"]);
        // From Monday morning to Friday morning.
        world.advance(4 * 24 * 60);
        assert_eq!(world.refusals(&revision, &clinic, FRIDAY).await, ["weekly_cap"]);
        assert!(world.starts(&revision, &clinic, "2026-03-06").await.is_empty());
        assert_eq!(world.starts(&revision, &clinic, "2026-03-09").await.len(), 6, "the next week is another");
    }
}

/// Two electrostimulation units and two rooms: free ones come first, and without a free one the slot is refused.
#[tokio::test]
async fn rooms_and_equipment_are_offered_free_ones_first() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let room = json!({"name": "2", "type": "treatment-room"});
        let second = world.create(&clinic.location, "room", room).await;
        let pool = json!({"name": "E", "type": "electro", "units": 2});
        let pool = world.create(&clinic.location, "equipment", pool).await;
        let electro = json!({"room_type": "treatment-room", "equipment_type": "electro"});
        let clinic = Clinic { service: world.create("", "service", service(electro)).await, ..clinic };
        let pool_id = pool.parse::<EquipmentId>().unwrap().uuid();
        let mut visit = world.visit(&clinic, FRIDAY, 30);
        let (start, end) = (visit.starts_at_us, visit.ends_at_us);
        // Another practitioner works in the first room with unit 0.
        visit.claims.retain(|claim| claim.kind == Kind::Room);
        visit.claims.push(claim(Kind::Equipment, pool_id, 0, start, end));
        let (_, revision) = world.booking.book(&visit);
        let checked = &world.check(&revision, &[slot_id(&clinic, start)], BookingChannel::Online).await[0];
        assert!(checked.refusals.is_empty());
        assert_eq!(checked.room_ids, [second, clinic.room.clone()]);
        let units: Vec<_> = checked.equipment.iter().map(|unit| (unit.equipment_id.clone(), unit.unit)).collect();
        assert_eq!(units, [(pool.clone(), 1), (pool, 0)]);
        visit.claims = vec![claim(Kind::Equipment, pool_id, 1, start, end)];
        let (_, revision) = world.booking.book(&visit);
        assert_eq!(world.refusals(&revision, &clinic, FRIDAY).await, ["slot_taken"]);
        assert_eq!(world.starts(&revision, &clinic, "2026-03-06").await, ["09:00", "09:30", "10:30", "11:00", "11:30"]);
    }
}

#[tokio::test]
async fn buffers_are_claimed_with_the_visit() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let buffered = world.create("", "service", service(json!({"prep_minutes": 5, "cleanup_minutes": 10}))).await;
        let clinic = Clinic { service: buffered, ..clinic };
        let slot = slot_id(&clinic, at(FRIDAY));
        let checked = world.check("", std::slice::from_ref(&slot), BookingChannel::Online).await;
        let claim = checked[0].claim.unwrap();
        assert_eq!(claim.starts_at_us, at("2026-03-06T16:55:00Z"));
        assert_eq!(claim.ends_at_us, at("2026-03-06T17:40:00Z"));
        let (_, revision) = world.booking.book(&world.visit(&clinic, "2026-03-06T17:35:00Z", 30));
        assert_eq!(world.refusals(&revision, &clinic, FRIDAY).await, ["slot_taken"]);
    }
}

#[tokio::test]
async fn offline_services_are_hidden_online_only() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let inside = world.create("", "service", service(json!({"online": false}))).await;
        let hidden = Clinic { service: inside, ..clinic.clone() };
        assert!(world.starts("", &hidden, "2026-03-06").await.is_empty());
        assert_eq!(world.refusals("", &hidden, FRIDAY).await, ["not_offered"]);
        let staff = world.check("", &[slot_id(&hidden, at(FRIDAY))], BookingChannel::Staff).await;
        assert!(staff[0].refusals.is_empty());
    }
}

fn explain(clinic: &Clinic, start: &str) -> ExplainSlotRequest {
    ExplainSlotRequest {
        service_id: clinic.service.clone(),
        practitioner_id: clinic.practitioner.clone(),
        starts_at_us: at(start),
        ..Default::default()
    }
}

async fn explained(world: &World, clinic: &Clinic, start: &str) -> (bool, Vec<String>) {
    let answer = world.search.clone().explain_slot(world.request(explain(clinic, start))).await.unwrap().into_inner();
    assert!(answer.rules.len() >= 10, "every rule is reported, passed or not");
    let broken = answer.rules.iter().filter(|rule| !rule.passed).map(|rule| rule.code.clone());
    (answer.bookable, broken.collect())
}

#[tokio::test]
async fn explain_reports_every_rule() {
    for mut world in worlds().await {
        let clinic = world.clinic().await;
        assert_eq!(explained(&world, &clinic, FRIDAY).await, (true, vec![]));
        let practitioner = clinic.practitioner.parse::<PractitionerId>().unwrap().uuid();
        let busy = claim(Kind::Practitioner, practitioner, 0, at(FRIDAY), at("2026-03-06T17:15:00Z"));
        let (_, revision) = world.booking.hold(world.organization, &[busy], at("2026-03-07T00:00:00Z"));
        world.starts(&revision, &clinic, "2026-03-06").await;
        assert_eq!(explained(&world, &clinic, FRIDAY).await, (false, vec!["slot_taken".into()]));
        world.organization = world.new_organization().await;
        let foreign = fault(world.search.clone().explain_slot(world.request(explain(&clinic, FRIDAY))).await);
        assert_eq!(violations(&foreign), ["service_id unknown_reference", "practitioner_id unknown_reference"]);
    }
}
