//! Appointments that become displaced, and feasible again.

use domain::{
    claim::Kind as ClaimKind,
    directory::Kind,
    id::{EquipmentId, GroupId},
};
use serde_json::{Value, json};

use crate::{
    fake_booking::{Visit, claim},
    world::{Clinic, World, at, roster, service, worlds},
};

/// Friday, 10:00 in Edmonton.
const FRIDAY: &str = "2026-03-06T17:00:00Z";

async fn displaced(world: &World, parent: &str, kind: &str, body: Value, dry_run: bool) -> Vec<String> {
    world.try_create(parent, kind, body, dry_run).await.unwrap().into_inner().displaced
}

/// Books a visit and waits until the search knows it; returns its id and the visit.
async fn booked(world: &World, clinic: &Clinic, start: &str) -> (String, Visit) {
    let visit = world.visit(clinic, start, 30);
    let (id, revision) = world.booking.book(&visit);
    world.starts(&revision, clinic, "2026-03-06").await;
    (id, visit)
}

#[tokio::test]
async fn time_off_displaces_and_a_dry_run_only_reports_it() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let (second, _) = booked(&world, &clinic, "2026-03-06T18:00:00Z").await;
        let (first, visit) = booked(&world, &clinic, FRIDAY).await;
        booked(&world, &clinic, "2026-03-05T17:00:00Z").await;
        let off = json!({"starts_at": "2026-03-06T17:25:00Z", "ends_at": "2026-03-07T00:00:00Z", "reason": "ill"});
        let both = vec![first.clone(), second.clone()];
        assert_eq!(displaced(&world, &clinic.practitioner, "time_off", off.clone(), true).await, both);
        assert_eq!(world.starts("", &clinic, "2026-03-06").await.len(), 4, "nothing has changed");
        assert!(world.booking.flags().is_empty());

        let made = world.try_create(&clinic.practitioner, "time_off", off, false).await.unwrap().into_inner();
        assert_eq!(made.displaced, both, "earliest first");
        let mut flags = world.booking.flags();
        flags.sort();
        let mut expected = vec![(first.clone(), true), (second, true)];
        expected.sort();
        assert_eq!(flags, expected, "booking receives the flags before the answer");

        let revision = world.booking.publish(&visit, &first, 2, "booked", true);
        world.starts(&revision, &clinic, "2026-03-06").await;
        world.archive(Kind::TimeOff, &made.entry.unwrap().id).await;
        assert!(world.booking.flags().contains(&(first, false)), "it is feasible again");
    }
}

#[tokio::test]
async fn every_change_that_makes_an_appointment_infeasible_displaces_it() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let kept =
            |from: &str| json!({"code": "dry-needling", "issuer": "C", "jurisdiction": "CA-AB", "valid_from": from});
        let certificate = world.create(&clinic.practitioner, "certificate", kept("2026-01-01")).await;
        let pool = json!({"name": "E", "type": "electro", "units": 2});
        let pool = world.create(&clinic.location, "equipment", pool).await;
        let needs =
            json!({"required_certificate": "dry-needling", "room_type": "treatment-room", "equipment_type": "electro"});
        let clinic = Clinic { service: world.create("", "service", service(needs)).await, ..clinic };
        let mut visit = world.visit(&clinic, FRIDAY, 30);
        let unit =
            claim(ClaimKind::Equipment, pool.parse::<EquipmentId>().unwrap().uuid(), 1, at(FRIDAY), visit.ends_at_us);
        visit.claims.push(unit);
        let (id, revision) = world.booking.book(&visit);
        world.starts(&revision, &clinic, "2026-03-06").await;
        let id = vec![id];

        let closure = json!({"starts_on": "2026-03-06", "ends_on": "2026-03-06", "reason": "flood"});
        assert_eq!(displaced(&world, &clinic.location, "closure", closure, true).await, id);
        let dry_update = async |entry: &str, kind: &str, body: Value| {
            let request = wire::availability::UpdateEntryRequest {
                id: entry.into(),
                body: Some(crate::world::body(kind, body)),
                dry_run: true,
                ..Default::default()
            };
            world.directory.clone().update_entry(world.request(request)).await.unwrap().into_inner().displaced
        };
        let dry_archive = async |kind: Kind, entry: &str| {
            let request = wire::availability::ArchiveEntryRequest {
                kind: wire::convert::directory::kind_to_wire(kind) as i32,
                id: entry.into(),
                dry_run: true,
                ..Default::default()
            };
            world.directory.clone().archive_entry(world.request(request)).await.unwrap().into_inner().displaced
        };
        assert_eq!(dry_update(&clinic.roster, "roster", roster(&clinic.location, "09:00", "10:15")).await, id);
        assert!(dry_update(&clinic.roster, "roster", roster(&clinic.location, "10:00", "10:30")).await.is_empty());
        assert_eq!(dry_update(&certificate, "certificate", kept("2026-03-07")).await, id);
        assert!(dry_update(&certificate, "certificate", kept("2026-03-06")).await.is_empty());
        assert_eq!(dry_update(&clinic.room, "room", json!({"name": "1", "type": "gym"})).await, id);
        assert!(dry_update(&clinic.room, "room", json!({"name": "A", "type": "treatment-room"})).await.is_empty());
        assert_eq!(dry_update(&pool, "equipment", json!({"name": "E", "type": "electro", "units": 1})).await, id);
        for (kind, entry) in [
            (Kind::Room, &clinic.room),
            (Kind::Equipment, &pool),
            (Kind::Certificate, &certificate),
            (Kind::Roster, &clinic.roster),
            (Kind::Practitioner, &clinic.practitioner),
            (Kind::Location, &clinic.location),
        ] {
            assert_eq!(dry_archive(kind, entry).await, id, "{kind:?}");
        }
        assert!(dry_archive(Kind::Service, &clinic.service).await.is_empty(), "its appointments take place");
        assert!(world.booking.flags().is_empty());
    }
}

#[tokio::test]
async fn a_member_is_displaced_with_its_session() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let class = json!({"capacity": 3, "room_type": "treatment-room", "cleanup_minutes": 15});
        let clinic = Clinic { service: world.create("", "service", service(class)).await, ..clinic };
        let mut visit = world.visit(&clinic, FRIDAY, 45);
        visit.claims.pop();
        visit.ends_at_us = visit.starts_at_us + 30 * 60_000_000;
        let (group, _) = world.booking.group(&visit, 3, 0);
        let place = claim(ClaimKind::Place, group, 0, visit.starts_at_us, visit.ends_at_us);
        let member = Visit { claims: vec![place], group: GroupId::new(group).to_string(), ..visit };
        let (id, revision) = world.booking.book(&member);
        world.starts(&revision, &clinic, "2026-03-06").await;
        // Only the session's clean-up is in the time off.
        let off = json!({"starts_at": "2026-03-06T17:30:00Z", "ends_at": "2026-03-06T17:40:00Z", "reason": "ill"});
        assert_eq!(displaced(&world, &clinic.practitioner, "time_off", off, true).await, [id]);
    }
}

#[tokio::test]
async fn an_infeasible_appointment_is_flagged_when_it_arrives() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let off = json!({"starts_at": "2026-03-06T06:00:00Z", "ends_at": "2026-03-07T06:00:00Z", "reason": "ill"});
        world.create(&clinic.practitioner, "time_off", off).await;
        let (id, visit) = booked(&world, &clinic, FRIDAY).await;
        assert_eq!(world.booking.flags_at_least(1).await, [(id.clone(), true)]);
        // A set flag is not sent again; a flag of an appointment that has become feasible is cleared.
        world.booking.publish(&visit, &id, 2, "booked", true);
        let firm = world.visit(&clinic, "2026-03-05T17:00:00Z", 30);
        world.booking.publish(&firm, &id, 3, "booked", true);
        let flags = world.booking.flags_at_least(2).await;
        assert_eq!(flags, [(id.clone(), true), (id, false)]);
    }
}

#[tokio::test]
async fn refused_flags_are_sent_again() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let (id, _) = booked(&world, &clinic, FRIDAY).await;
        world.booking.refuse_flags(true);
        let closure = json!({"starts_on": "2026-03-06", "ends_on": "2026-03-06", "reason": "flood"});
        assert_eq!(displaced(&world, &clinic.location, "closure", closure, false).await, vec![id.clone()]);
        assert!(world.booking.flags().is_empty());
        world.booking.refuse_flags(false);
        assert_eq!(world.booking.flags_at_least(1).await[0], (id, true));
    }
}
