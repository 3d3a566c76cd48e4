//! Services that change their length or places after bookings, and visits that move over their own old time.

use domain::claim::Kind;
use serde_json::json;
use testkit::database::Database;
use wire::{
    availability::{
        CheckSlotsRequest, CheckedSlot, Decided, ExplainSlotRequest, Kept, SearchSlotsRequest, SlotFilters,
    },
    common::{BookingChannel, Interval},
};

use crate::{
    fake_booking::{Visit, claim},
    world::{Clinic, World, at, body, day, fault, service, slot_id, slot_of, violations},
};

testkit::engines!(
    a_session_stays_as_long_as_it_was,
    places_beyond_the_capacity_are_named,
    a_visit_moves_over_its_own_old_time,
    a_session_with_one_member_moves_as_a_visit_does,
    a_held_slot_is_not_checked_against_present_rules,
);

const DATE: &str = "2026-03-06";
/// 10:00 in Edmonton.
const TEN: &str = "2026-03-06T17:00:00Z";

/// The open slots of the day: start, minutes and places left.
async fn open(world: &World, revision: &str, request: SearchSlotsRequest) -> Vec<(String, i64, u32)> {
    let answer = world.slots(revision, request).await;
    let minutes = answer.slots.iter().map(|slot| (slot.ends_at_us - slot.starts_at_us) / 60_000_000);
    let places = answer.slots.iter().map(|slot| slot.places_left);
    world.local_starts(&answer).into_iter().zip(minutes.zip(places)).map(|(start, (m, p))| (start, m, p)).collect()
}

fn expected(slots: &[(&str, i64, u32)]) -> Vec<(String, i64, u32)> {
    slots.iter().map(|(start, minutes, places)| ((*start).to_owned(), *minutes, *places)).collect()
}

/// A class of three for half an hour, and its body with another length, grid and number of places.
async fn class(world: &World) -> Clinic {
    let clinic = world.clinic().await;
    let service = world.create("", "service", of(30, 30, 3)).await;
    Clinic { service, shared: true, ..clinic }
}

fn of(minutes: u32, alignment: u32, capacity: u32) -> serde_json::Value {
    service(json!({"capacity": capacity, "duration_minutes": minutes, "start_alignment_minutes": alignment,
        "room_type": "treatment-room"}))
}

async fn change(world: &World, clinic: &Clinic, body: serde_json::Value) {
    world.update(&clinic.service, "service", body, 0).await.unwrap();
}

/// The session's own claims: its practitioner and its room.
fn session(world: &World, clinic: &Clinic, start: &str, minutes: i64) -> Visit {
    let mut visit = world.visit(clinic, start, minutes);
    visit.claims.retain(|claim| claim.kind != Kind::Patient);
    visit
}

async fn codes(world: &World, request: CheckSlotsRequest) -> (CheckedSlot, Vec<String>) {
    let checked = world.search.clone().check_slots(world.request(request)).await.unwrap().into_inner();
    let checked = checked.slots.into_iter().next().unwrap();
    let codes = checked.refusals.iter().map(|refusal| refusal.code.clone()).collect();
    (checked, codes)
}

fn check(slot_id: String) -> CheckSlotsRequest {
    CheckSlotsRequest { slot_ids: vec![slot_id], channel: BookingChannel::Online as i32, ..Default::default() }
}

async fn a_session_stays_as_long_as_it_was(database: Database) {
    let world = World::over(database).await;
    let clinic = class(&world).await;
    let (_, revision) = world.booking.group(&session(&world, &clinic, TEN, 30), 3, 1);
    change(&world, &clinic, of(60, 30, 3)).await;
    let found = open(&world, &revision, day(&clinic, DATE)).await;
    let slots = [("09:00", 60, 3), ("10:00", 30, 2), ("10:30", 60, 3), ("11:00", 60, 3)];
    assert_eq!(found, expected(&slots), "the session keeps its length and nothing begins within it");
    let days = world.search.clone().search_days(world.request(day(&clinic, DATE))).await.unwrap().into_inner();
    assert_eq!(days.days[0].open_slots, 4);

    let (checked, refused) = codes(&world, check(slot_of(&clinic, at(TEN), 30))).await;
    assert!(refused.is_empty() && !checked.group_id.is_empty(), "{refused:?}");
    let claim = checked.claim.unwrap();
    assert_eq!((claim.starts_at_us, claim.ends_at_us), (at(TEN), at(TEN) + 1_800_000_000));
    assert_eq!(codes(&world, check(slot_of(&clinic, at(TEN), 60))).await.1, ["slot_changed"]);
    let nine = at("2026-03-06T16:00:00Z");
    assert_eq!(codes(&world, check(slot_of(&clinic, nine, 30))).await.1, ["slot_changed"]);
    let alone = Clinic { shared: false, ..clinic.clone() };
    assert_eq!(
        codes(&world, check(slot_of(&alone, nine, 60))).await.1,
        ["slot_changed"],
        "the visit would be shared now"
    );
    // Off the present grid and with present preparation, the session keeps its start and its length.
    let mut hourly = of(60, 60, 3);
    hourly["prep_minutes"] = 15.into();
    let (_, revision) = world.booking.group(&session(&world, &clinic, "2026-03-06T18:30:00Z", 30), 3, 2);
    change(&world, &clinic, hourly).await;
    let slots = [("10:00", 30, 2), ("11:30", 30, 1)];
    assert_eq!(open(&world, &revision, day(&clinic, DATE)).await, expected(&slots));
    let half = at("2026-03-06T18:30:00Z");
    let claim = codes(&world, check(slot_of(&clinic, half, 30))).await.0.claim.unwrap();
    assert_eq!((claim.starts_at_us, claim.ends_at_us), (half, half + 1_800_000_000), "its claim stays");
    // Both end by the requested hour, though a new session would not.
    let until = SlotFilters { not_after: "10:30".into(), ..SlotFilters::default() };
    let until = SearchSlotsRequest { filters: Some(until), ..day(&clinic, DATE) };
    assert_eq!(open(&world, &revision, until).await, expected(&slots[..1]));
}

async fn places_beyond_the_capacity_are_named(database: Database) {
    let world = World::over(database).await;
    let clinic = class(&world).await;
    let (id, mut revision) = world.booking.group(&session(&world, &clinic, TEN, 30), 3, 0);
    let mut members = Vec::new();
    for place in 0..3 {
        let place = claim(Kind::Place, id, place, at(TEN), at(TEN) + 1_800_000_000);
        let member = Visit { claims: vec![place], ..session(&world, &clinic, TEN, 30) };
        let (member, next) = world.booking.book(&member);
        members.push(member);
        revision = next;
    }
    assert_eq!(open(&world, &revision, day(&clinic, DATE)).await.len(), 5);
    let update = async |capacity: u32, dry_run: bool| {
        let request = wire::availability::UpdateEntryRequest {
            id: clinic.service.clone(),
            body: Some(body("service", of(30, 30, capacity))),
            dry_run,
            ..Default::default()
        };
        world.directory.clone().update_entry(world.request(request)).await.unwrap().into_inner().over_capacity
    };
    assert_eq!(update(1, true).await, members[1..], "those who booked last");
    assert_eq!(update(3, false).await, Vec::<String>::new());
    assert_eq!(update(2, false).await, members[2..]);
    assert_eq!(open(&world, &revision, day(&clinic, DATE)).await.len(), 5, "a full one is hidden");
    // The first member leaves: two places, two members, whatever their place numbers.
    let gone = session(&world, &clinic, TEN, 30);
    let revision = world.booking.publish(&gone, &members[0], 2, "cancelled", false);
    assert_eq!(open(&world, &revision, day(&clinic, DATE)).await.len(), 5, "it is as full as it can be");
    assert_eq!(codes(&world, check(slot_id(&clinic, at(TEN)))).await.1, ["slot_taken"]);
}

fn moving(clinic: &Clinic, appointment: &str) -> SearchSlotsRequest {
    SearchSlotsRequest { moving: appointment.into(), ..day(clinic, DATE) }
}

async fn explained(world: &World, clinic: &Clinic, start: &str, appointment: &str) -> (bool, Vec<String>) {
    let request = ExplainSlotRequest {
        service_id: clinic.service.clone(),
        practitioner_id: clinic.practitioner.clone(),
        starts_at_us: at(start),
        moving: appointment.into(),
        ..Default::default()
    };
    let answer = world.search.clone().explain_slot(world.request(request)).await.unwrap().into_inner();
    let broken = answer.rules.iter().filter(|rule| !rule.passed).map(|rule| rule.code.clone());
    let mut broken: Vec<String> = broken.collect();
    broken.dedup();
    (answer.bookable, broken)
}

async fn a_visit_moves_over_its_own_old_time(database: Database) {
    let world = World::over(database).await;
    let clinic = world.clinic().await;
    change(&world, &clinic, of(30, 15, 1)).await;
    let visit = world.visit(&clinic, TEN, 30);
    let (own, _) = world.booking.book(&visit);
    // Its patient is busy at eleven, and another patient is booked at nine.
    let eleven = at("2026-03-06T18:00:00Z");
    let elsewhere = claim(Kind::Patient, visit.patient, 0, eleven, eleven + 1_800_000_000);
    world.booking.hold(world.organization, &[elsewhere], eleven);
    let mut other = world.visit(&clinic, "2026-03-06T16:00:00Z", 30);
    other.claims.retain(|claim| claim.kind != Kind::Patient);
    let (_, revision) = world.booking.book(&other);
    let found = open(&world, &revision, day(&clinic, DATE)).await;
    let free = ["09:30", "10:30", "10:45", "11:00", "11:15", "11:30"].map(|start| (start, 30, 1));
    assert_eq!(found, expected(&free), "not for others");
    // The service takes an hour now; the moving visit keeps its length.
    change(&world, &clinic, of(60, 15, 1)).await;
    let found = open(&world, &revision, moving(&clinic, &own)).await;
    let quarters = ["09:30", "09:45", "10:00", "10:15", "10:30", "11:30"];
    assert_eq!(found, expected(&quarters.map(|start| (start, 30, 1))));
    // A caller with the link alone does not learn when the patient is busy: 10:45 to 11:15 are open to it.
    let for_stranger = SearchSlotsRequest { for_stranger: true, ..moving(&clinic, &own) };
    let found = open(&world, &revision, for_stranger).await;
    let all = ["09:30", "09:45", "10:00", "10:15", "10:30", "10:45", "11:00", "11:15", "11:30"];
    assert_eq!(found, expected(&all.map(|start| (start, 30, 1))));
    let days = world.search.clone().search_days(world.request(moving(&clinic, &own))).await.unwrap().into_inner();
    assert_eq!(days.days[0].open_slots, 6);
    let quarter = "2026-03-06T17:15:00Z";
    assert_eq!(explained(&world, &clinic, quarter, &own).await, (true, vec![]));
    assert_eq!(explained(&world, &clinic, quarter, "").await, (false, vec!["slot_taken".to_owned()]));
    // The listed slots can be booked.
    let request = CheckSlotsRequest {
        ignore_owners: vec![own.clone()],
        decided: vec![Decided { minutes: 30, kept: None }],
        ..check(slot_of(&clinic, at(quarter), 30))
    };
    assert!(codes(&world, request).await.1.is_empty());
    let other_service = world.create("", "service", of(30, 15, 1)).await;
    let refused = async |service_id: String, appointment: &str| {
        let request = SearchSlotsRequest { service_id, ..moving(&clinic, appointment) };
        violations(&fault(world.search.clone().search_slots(world.request(request)).await))
    };
    assert_eq!(refused(other_service, &own).await, ["moving other_service"]);
    let unknown = domain::id::AppointmentId::new(crate::fake_booking::new_id()).to_string();
    assert_eq!(refused(clinic.service.clone(), &unknown).await, ["moving unknown_reference"]);
}

async fn a_session_with_one_member_moves_as_a_visit_does(database: Database) {
    let world = World::over(database).await;
    let clinic = class(&world).await;
    change(&world, &clinic, of(30, 15, 3)).await;
    let (id, _) = world.booking.group(&session(&world, &clinic, TEN, 30), 3, 0);
    let group = domain::id::GroupId::new(id).to_string();
    let member = |place: i16| {
        let place = claim(Kind::Place, id, place, at(TEN), at(TEN) + 1_800_000_000);
        Visit { group: group.clone(), claims: vec![place], ..session(&world, &clinic, TEN, 30) }
    };
    let (own, revision) = world.booking.book(&member(0));
    let found = open(&world, &revision, moving(&clinic, &own)).await;
    assert!(found.contains(&("10:15".to_owned(), 30, 3)), "its session ends where it goes: {found:?}");
    // With another member, the session stays.
    let (_, revision) = world.booking.book(&member(1));
    let found = open(&world, &revision, moving(&clinic, &own)).await;
    assert!(found.contains(&("10:00".to_owned(), 30, 2)) && !found.iter().any(|slot| slot.0 == "10:15"), "{found:?}");
}

async fn a_held_slot_is_not_checked_against_present_rules(database: Database) {
    let world = World::over(database).await;
    let clinic = world.clinic().await;
    let visit = world.visit(&clinic, "2026-03-06T16:15:00Z", 30);
    let (hold, revision) = world.booking.hold(world.organization, &visit.claims, at("2026-03-06T16:15:00Z"));
    world.starts(&revision, &clinic, DATE).await;
    let mut harder = of(60, 60, 3);
    harder["prep_minutes"] = 30.into();
    harder["min_notice_minutes"] = 43_200.into();
    harder["online"] = false.into();
    change(&world, &clinic, harder).await;
    let kept = Kept {
        claim: Some(Interval { starts_at_us: visit.starts_at_us, ends_at_us: visit.ends_at_us }),
        room_id: clinic.room.clone(),
        unit: None,
    };
    let request = CheckSlotsRequest {
        ignore_owners: vec![hold],
        decided: vec![Decided { minutes: 0, kept: Some(kept) }],
        ..check(slot_of(&clinic, visit.starts_at_us, 30))
    };
    let (checked, refused) = codes(&world, request.clone()).await;
    assert!(refused.is_empty(), "{refused:?}");
    let checked_slot = checked.slot.unwrap();
    assert_eq!((checked_slot.starts_at_us, checked_slot.ends_at_us), (visit.starts_at_us, visit.ends_at_us));
    assert_eq!(checked.claim.unwrap().starts_at_us, visit.starts_at_us, "without present preparation");
    // Time off refuses it all the same.
    let off = json!({"starts_at": "2026-03-06T16:30:00Z", "ends_at": "2026-03-06T17:00:00Z", "reason": "ill"});
    world.create(&clinic.practitioner, "time_off", off).await;
    assert_eq!(codes(&world, request).await.1, ["outside_roster"]);
}
