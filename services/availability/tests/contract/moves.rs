//! New times for many visits at once: no time or room is assigned twice, and filters, gaps and caps are kept.

use serde_json::json;
use testkit::database::Database;
use wire::{
    availability::{
        FixedVisit, Follows, GapDays, Move, MovingVisit, Neighbour, OtherVisit, ProposeMovesRequest, SlotFilters,
    },
    common::BookingChannel,
};

use crate::{
    fake_booking::new_id,
    world::{Clinic, World, at, roster, service},
};

testkit::engines!(
    a_practitioners_time_is_assigned_once,
    a_room_is_assigned_once,
    travel_time_separates_two_locations,
    caps_limit_the_assigned_visits,
    services_with_other_buffers_do_not_exclude_each_other,
    gaps_days_and_required_services_are_kept,
    visits_of_one_plan_keep_their_gap_to_each_other,
);

const TUESDAY: &str = "2026-03-03";

fn at_clinic(clinic: &Clinic) -> SlotFilters {
    SlotFilters { location_ids: vec![clinic.location.clone()], ..SlotFilters::default() }
}

/// A visit of a new patient at ten on Tuesday, with a practitioner who has left.
fn visit(clinic: &Clinic) -> MovingVisit {
    let starts_at_us = at("2026-03-03T17:00:00Z");
    MovingVisit {
        appointment_id: domain::id::AppointmentId::new(new_id()).to_string(),
        service_id: clinic.service.clone(),
        patient_id: domain::id::PatientId::new(new_id()).to_string(),
        current: Some(FixedVisit {
            starts_at_us,
            ends_at_us: starts_at_us + 1_800_000_000,
            practitioner_id: domain::id::PractitionerId::new(new_id()).to_string(),
            location_id: clinic.location.clone(),
        }),
        filters: Some(at_clinic(clinic)),
        first_on: TUESDAY.into(),
        last_on: TUESDAY.into(),
        ..MovingVisit::default()
    }
}

async fn moves(world: &World, visits: Vec<MovingVisit>) -> Vec<Move> {
    let request = ProposeMovesRequest { visits, channel: BookingChannel::Staff as i32 };
    let answer = world.planner.clone().propose_moves(world.request(request)).await.unwrap();
    answer.into_inner().moves
}

/// The local days and starts of the placed visits.
fn starts(moves: &[Move]) -> Vec<String> {
    let zone = jiff::tz::TimeZone::get("America/Edmonton").unwrap();
    let local = |it: &Move| {
        let start = jiff::Timestamp::from_microsecond(it.slot.as_ref()?.starts_at_us).unwrap();
        Some(zone.to_datetime(start).strftime("%m-%d %H:%M").to_string())
    };
    let mut starts: Vec<String> = moves.iter().filter_map(local).collect();
    starts.sort();
    starts
}

async fn a_practitioners_time_is_assigned_once(database: Database) {
    let world = World::over(database).await;
    let mut clinic = world.clinic().await;
    world.create(&clinic.location, "room", json!({"name": "2", "type": "treatment-room"})).await;
    let buffered = json!({"room_type": "treatment-room", "prep_minutes": 5, "cleanup_minutes": 5});
    clinic.service = world.create("", "service", service(buffered)).await;
    let moves = moves(&world, (0..6).map(|_| visit(&clinic)).collect()).await;
    // Visits can begin every half hour; with buffers of five minutes, only every other start is used.
    assert_eq!(starts(&moves), ["03-03 09:30", "03-03 10:30"]);
    let codes: Vec<&str> = moves.iter().map(|it| it.code.as_str()).filter(|code| !code.is_empty()).collect();
    assert_eq!(codes, ["contended"; 4]);
}

async fn services_with_other_buffers_do_not_exclude_each_other(database: Database) {
    let world = World::over(database).await;
    let clinic = world.clinic().await;
    let buffered = service(json!({"room_type": "treatment-room", "prep_minutes": 5, "start_alignment_minutes": 15}));
    let buffered = world.create("", "service", buffered).await;
    let other = MovingVisit { service_id: buffered, ..visit(&clinic) };
    // Consecutive visits without buffers would leave no time for the other service's buffer.
    let moves = moves(&world, vec![visit(&clinic), other]).await;
    assert_eq!(moves.iter().filter(|it| it.slot.is_some()).count(), 2, "{moves:?}");
}

async fn a_room_is_assigned_once(database: Database) {
    let world = World::over(database).await;
    let clinic = world.clinic().await;
    for name in ["Grace", "Alan"] {
        let person = world.create("", "practitioner", json!({"given_name": name, "family_name": "Sample"})).await;
        world.create(&person, "roster", roster(&clinic.location, "09:00", "12:00")).await;
    }
    let moves = moves(&world, (0..8).map(|_| visit(&clinic)).collect()).await;
    let expected = ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"].map(|time| format!("03-03 {time}"));
    assert_eq!(starts(&moves), expected, "three practitioners, one room");
}

async fn gaps_days_and_required_services_are_kept(database: Database) {
    let world = World::over(database).await;
    let clinic = world.clinic().await;
    let week = || MovingVisit { first_on: "2026-03-02".into(), last_on: "2026-03-13".into(), ..visit(&clinic) };
    let fixed = |start: &str| FixedVisit {
        starts_at_us: at(start),
        ends_at_us: at(start) + 1_800_000_000,
        location_id: clinic.location.clone(),
        practitioner_id: clinic.practitioner.clone(),
    };
    let neighbour = |start: &str, least, most| {
        Some(Neighbour { visit: Some(fixed(start)), gap: Some(GapDays { least, ideal: least, most }) })
    };
    let between = MovingVisit {
        before: neighbour("2026-03-02T17:00:00Z", 3, 5),
        next: neighbour("2026-03-10T16:00:00Z", 4, 5),
        ..week()
    };
    assert_eq!(starts(&moves(&world, vec![between]).await), ["03-05 10:00"], "3 days after, 5 before the next");
    let nowhere = MovingVisit {
        before: neighbour("2026-03-02T17:00:00Z", 3, 3),
        next: neighbour("2026-03-10T16:00:00Z", 4, 4),
        ..week()
    };
    assert_eq!(moves(&world, vec![nowhere]).await[0].code, "no_slot");
    let filters = SlotFilters { days: vec!["we".into()], not_before: "11:00".into(), ..at_clinic(&clinic) };
    let wished = MovingVisit { filters: Some(filters), ..week() };
    assert_eq!(starts(&moves(&world, vec![wished]).await), ["03-04 11:00"]);

    let needling = service(json!({"requires_prior": clinic.service, "room_type": "treatment-room"}));
    let needling = world.create("", "service", needling).await;
    let had = |start: &str| OtherVisit {
        service_id: clinic.service.clone(),
        starts_at_us: at(start),
        ends_at_us: at(start) + 1_800_000_000,
    };
    let after = MovingVisit { service_id: needling.clone(), others: vec![had("2026-03-05T17:00:00Z")], ..week() };
    assert_eq!(
        starts(&moves(&world, vec![after]).await),
        ["03-06 10:00"],
        "not before the service that it requires; another day costs less than another hour"
    );
    let without = MovingVisit { service_id: needling.clone(), ..week() };
    assert_eq!(moves(&world, vec![without]).await[0].code, "no_slot");
    let dependent = OtherVisit { service_id: needling, ..had("2026-03-03T18:00:00Z") };
    let filters = SlotFilters { not_before: "11:00".into(), ..at_clinic(&clinic) };
    let before = MovingVisit { others: vec![dependent], filters: Some(filters), ..week() };
    let placed = starts(&moves(&world, vec![before]).await);
    assert_eq!(placed, ["03-02 11:00"], "not after the service that requires it");
}

async fn visits_of_one_plan_keep_their_gap_to_each_other(database: Database) {
    let world = World::over(database).await;
    let clinic = world.clinic().await;
    let first = MovingVisit { last_on: "2026-03-06".into(), ..visit(&clinic) };
    let gap = Some(GapDays { least: 2, ideal: 2, most: 3 });
    let second = MovingVisit {
        after: Some(Follows { visit: 0, gap }),
        appointment_id: domain::id::AppointmentId::new(new_id()).to_string(),
        ..first.clone()
    };
    let moves = moves(&world, vec![first, second]).await;
    assert_eq!(starts(&moves), ["03-03 10:00", "03-05 10:00"]);
    let late = ProposeMovesRequest {
        visits: vec![MovingVisit { after: Some(Follows { visit: 0, gap: None }), ..visit(&clinic) }],
        channel: 0,
    };
    let refused = crate::world::fault(world.planner.clone().propose_moves(world.request(late)).await);
    assert_eq!(crate::world::violations(&refused), ["/visits/0/after out_of_range"]);
}

async fn travel_time_separates_two_locations(database: Database) {
    let world = World::over(database).await;
    let mut clinic = world.clinic().await;
    clinic.service = world.create("", "service", service(json!({}))).await;
    world.archive(domain::directory::Kind::Roster, &clinic.roster).await;
    let second = world.create("", "location", json!({"name": "B", "time_zone": "America/Edmonton"})).await;
    world.create(&clinic.practitioner, "roster", roster(&clinic.location, "09:00", "10:30")).await;
    world.create(&clinic.practitioner, "roster", roster(&second, "10:30", "12:00")).await;
    let both_locations =
        || SlotFilters { location_ids: vec![clinic.location.clone(), second.clone()], ..SlotFilters::default() };
    let anywhere = || MovingVisit { filters: Some(both_locations()), ..visit(&clinic) };
    let moves = moves(&world, (0..7).map(|_| anywhere()).collect()).await;
    // Ten minutes of travel: a visit that ends at 10:30 excludes a start at 10:30 elsewhere.
    assert_eq!(starts(&moves), ["03-03 09:00", "03-03 09:30", "03-03 10:00", "03-03 11:00", "03-03 11:30"]);
}

async fn caps_limit_the_assigned_visits(database: Database) {
    let world = World::over(database).await;
    let clinic = world.clinic().await;
    let plain = Clinic { service: world.create("", "service", service(json!({}))).await, ..clinic.clone() };
    let needles = service(json!({"needling": true}));
    let needles = Clinic { service: world.create("", "service", needles).await, ..clinic.clone() };
    let both = |clinic: &Clinic| MovingVisit { last_on: "2026-03-04".into(), ..visit(clinic) };
    let cap = async |body: serde_json::Value| {
        let mut person = json!({"given_name": "Ada", "family_name": "B"});
        for (key, value) in body.as_object().unwrap() {
            person[key] = value.clone();
        }
        world.update(&clinic.practitioner, "practitioner", person, 0).await.unwrap();
    };
    cap(json!({"weekly_cap": 5})).await;
    let found = moves(&world, (0..8).map(|_| both(&plain)).collect()).await;
    assert_eq!(starts(&found).len(), 5, "{found:?}");
    cap(json!({"daily_cap": 2})).await;
    assert_eq!(starts(&moves(&world, (0..8).map(|_| both(&plain)).collect()).await).len(), 4, "two days");
    // Two of the day's six cells may be needling, whichever service comes first.
    cap(json!({"daily_needling_cap": 2})).await;
    for plain_first in [true, false] {
        let mut visits: Vec<MovingVisit> = (0..3).map(|_| visit(&needles)).collect();
        let others = (0..4).map(|_| visit(&plain));
        visits = if plain_first { others.chain(visits).collect() } else { visits.into_iter().chain(others).collect() };
        let moves = moves(&world, visits.clone()).await;
        let placed = |service: &str| {
            let placed =
                visits.iter().zip(&moves).filter(|(visit, it)| visit.service_id == service && it.slot.is_some());
            placed.count()
        };
        assert_eq!((placed(&needles.service), placed(&plain.service)), (2, 4), "plain first: {plain_first}");
    }
}
