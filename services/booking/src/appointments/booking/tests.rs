//! What a booking writes at a reservation, without a store.

use domain::{
    claim::Kind,
    id::{LocationId, PractitionerId, ServiceId},
    slot::Slot,
    time::{Interval, from_micros},
};
use wire::booking::{Change, change::Owner};

use super::*;
use crate::{
    slots::{
        check::{CheckedSlot, SlotRequest},
        reserve::{Holder, reserve},
    },
    store::batch::{ChangedPatient, Limit, LocationZone},
};
use prost::Message;

const ORGANIZATION: Uuid = Uuid::from_u128(1);
const PRACTITIONER: Uuid = Uuid::from_u128(2);
const PATIENT: Uuid = Uuid::from_u128(3);
const HOLD: Uuid = Uuid::from_u128(4);
const SERVICE: Uuid = Uuid::from_u128(5);
const HERE: Uuid = Uuid::from_u128(6);
const ROOMS: [Uuid; 2] = [Uuid::from_u128(7), Uuid::from_u128(8)];
const NOW_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60_000_000;

fn interval(from: i64, to: i64) -> Interval {
    let at = |minutes: i64| from_micros(minutes * MINUTE_US).unwrap();
    Interval::new(at(from), at(to)).unwrap()
}

/// A checked slot of half an hour from a minute since the Unix epoch on, with buffers of five minutes and two rooms.
fn checked(from: i64, shared: bool) -> CheckedSlot {
    let slot = Slot {
        starts_at: from_micros(from * MINUTE_US).unwrap(),
        service: ServiceId::new(SERVICE),
        location: LocationId::new(HERE),
        practitioner: PractitionerId::new(PRACTITIONER),
        minutes: 30,
        shared,
    };
    let wire = wire::availability::Slot { slot_id: slot.to_string(), places_left: 4, ..Default::default() };
    let limit = Limit {
        code: "daily_cap",
        practitioner: PRACTITIONER,
        location_id: None,
        needling: false,
        from_us: 0,
        to_us: 1,
        most: 3,
    };
    CheckedSlot {
        day: None,
        request: SlotRequest::new(&slot.to_string()),
        slot,
        wire,
        interval: interval(from, from + 30),
        busy: interval(from - 5, from + 35),
        capacity: if shared { 4 } else { 1 },
        group_id: String::new(),
        needling: false,
        requires_prior: None,
        rooms: ROOMS.to_vec(),
        units: vec![],
        time_zone: "America/Edmonton".into(),
        limits: vec![limit],
    }
}

fn links() -> LinkSigner {
    LinkSigner::new(b"a key of the unit tests".to_vec(), 30)
}

fn booking(links: &LinkSigner, drafts: Vec<Draft>) -> Booking<'_> {
    Booking { links, at_risk_days: 3, drafts, plans: vec![], patient: None, hold: None }
}

fn new(id: u128) -> Draft {
    let note = "bring the referral".to_owned();
    Draft::New(NewAppointment {
        id: Uuid::from_u128(id),
        patient: PATIENT,
        plan_session: None,
        note,
        channel: "staff",
        created_by: "key_test".to_owned(),
        external_id: String::new(),
        custom: record::NO_PAIRS.to_owned(),
    })
}

fn reservation(booking: &Booking<'_>, slots: Vec<CheckedSlot>) -> Reservation {
    let holder = Holder { owners: booking.owners(), patient: Some(PATIENT), ..Holder::default() };
    reserve(ORGANIZATION, slots, holder)
}

/// The events of a batch's changes, with the kinds of their claims.
fn events(batch: &Batch) -> Vec<(String, Vec<i32>)> {
    let changes = batch.changes.iter().map(|change| Change::decode(change.payload.0.as_slice()).unwrap());
    changes.map(|change| (change.event, change.claims.iter().map(|claim| claim.kind).collect())).collect()
}

#[test]
fn a_new_appointment_writes_its_claims_its_row_its_link_and_its_change() {
    let links = links();
    let booking = booking(&links, vec![new(20)]);
    let booked = booking.at(&reservation(&booking, vec![checked(600, false)]), NOW_US).unwrap();
    let row = &booked.appointments[0];
    assert_eq!((row.version, row.status.as_str(), row.room_id), (1, "booked", Some(ROOMS[0])));
    assert_eq!((row.starts_at_us, row.ends_at_us), (600 * MINUTE_US, 630 * MINUTE_US));
    // 10:00 in UTC on 1 January 1970.
    assert_eq!((row.starts_local.as_str(), row.note.as_str()), ("1970-01-01T03:00", "bring the referral"));
    let batch = &booked.batch;
    let claims: Vec<_> = batch.claims.iter().map(|claim| (claim.kind, claim.resource, claim.starts_at_us)).collect();
    assert_eq!(
        claims,
        [
            (Kind::Practitioner.number(), PRACTITIONER, 595 * MINUTE_US),
            (Kind::Room.number(), ROOMS[0], 595 * MINUTE_US),
            (Kind::Patient.number(), PATIENT, 600 * MINUTE_US),
        ]
    );
    assert!(batch.claims.iter().all(|claim| claim.owner == row.id && claim.expires_at_us.is_none()));
    assert_eq!((batch.now_us, batch.limits.len(), batch.join_group.is_some()), (NOW_US, 1, false));
    assert_eq!(batch.zones, [LocationZone { location_id: HERE, time_zone: "America/Edmonton".into() }]);
    assert_eq!((batch.appointments.as_slice(), batch.links.len()), (std::slice::from_ref(row), 1));
    assert_eq!(events(batch), [("booked".to_owned(), vec![1, 2, 4])]);
    assert!(batch.release.is_empty() && batch.consume_hold.is_none());
}

#[test]
fn a_hold_ends_with_its_booking_and_the_patients_record_changes_with_it() {
    let links = links();
    let changed = ChangedPatient {
        id: PATIENT,
        version: 2,
        match_key: String::new(),
        open_changes: 0,
        details: "{}".into(),
        words_added: vec![],
        words_removed: vec![],
    };
    let patient = Some(MatchedPatient {
        id: PATIENT,
        given: None,
        record: None,
        new: None,
        changed: Some(changed),
        blocked: None,
    });
    let booking = Booking { hold: Some(HOLD), patient, ..booking(&links, vec![new(20)]) };
    let batch = booking.at(&reservation(&booking, vec![checked(600, false)]), NOW_US).unwrap().batch;
    assert_eq!((batch.consume_hold, batch.release.as_slice()), (Some(HOLD), &[HOLD][..]));
    let names: Vec<String> = events(&batch).into_iter().map(|(event, _)| event).collect();
    assert_eq!(names, ["booked", "released"]);
    assert_eq!((batch.patients.len(), batch.change_patients.len()), (0, 1));
}

#[test]
fn a_moved_appointment_frees_its_old_time_and_stays_late() {
    let links = links();
    let group = Uuid::from_u128(30);
    let first = booking(&links, vec![new(20)]);
    let old = first.at(&reservation(&first, vec![checked(600, false)]), NOW_US).unwrap().appointments.remove(0);
    let old = AppointmentRow { group_id: Some(group), confirmed_at_us: Some(1), displaced: true, ..old };
    for (late, was_late) in [(true, false), (false, true), (false, false)] {
        let from = Box::new(AppointmentRow { rescheduled_late: was_late, ..old.clone() });
        let booking = booking(&links, vec![Draft::Moved { from, late }]);
        let booked = booking.at(&reservation(&booking, vec![checked(900, false)]), 2 * NOW_US).unwrap();
        let row = &booked.appointments[0];
        assert_eq!((row.id, row.version, row.previous_starts_at_us), (old.id, 2, Some(old.starts_at_us)));
        assert_eq!((row.rescheduled_late, row.displaced, row.confirmed_at_us), (late || was_late, false, None));
        assert_eq!((row.group_id, row.created_at_us, row.updated_at_us), (None, NOW_US, 2 * NOW_US));
        assert_eq!(booked.batch.release, [old.id]);
        assert_eq!(booked.batch.leave_group.as_ref().map(|leave| leave.id), Some(group));
        assert_eq!(events(&booked.batch)[0].0, "rescheduled");
    }
}

#[test]
fn a_place_of_a_new_group_session_makes_the_session_with_its_claims() {
    let links = links();
    let booking = booking(&links, vec![new(20)]);
    let booked = booking.at(&reservation(&booking, vec![checked(600, true)]), NOW_US).unwrap();
    let join = booked.batch.join_group.as_ref().unwrap();
    assert_eq!((join.exists, join.most, join.row.capacity), (false, Some(4), 4));
    assert_eq!(booked.appointments[0].group_id, Some(join.row.id));
    let kinds = |claims: &[crate::store::claims::ClaimRow]| claims.iter().map(|it| it.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&join.claims), [Kind::Practitioner.number(), Kind::Room.number()]);
    assert!(join.claims.iter().all(|claim| claim.owner == join.row.id));
    assert_eq!(kinds(&booked.batch.claims), [Kind::Patient.number(), Kind::Place.number()]);
    let made = Change::decode(join.made.0.as_slice()).unwrap();
    assert!(matches!(made.owner, Some(Owner::Group(_))) && made.claims.len() == 2);
}

#[test]
fn each_appointment_of_a_series_has_its_own_claims() {
    let links = links();
    let booking = booking(&links, vec![new(20), new(21)]);
    let slots = vec![checked(900, false), checked(600, false)];
    let booked = booking.at(&reservation(&booking, slots), NOW_US).unwrap();
    let starts: Vec<i64> = booked.appointments.iter().map(|row| row.starts_at_us / MINUTE_US).collect();
    assert_eq!(starts, [900, 600], "in the order of the slots");
    assert_eq!(booked.batch.claims.len(), 6);
    let sorted = |claim: &crate::store::claims::ClaimRow| (claim.kind, claim.resource, claim.starts_at_us);
    assert!(booked.batch.claims.is_sorted_by_key(sorted), "writers lock claims in one order");
    assert_eq!(events(&booked.batch), [("booked".to_owned(), vec![1, 2, 4]), ("booked".to_owned(), vec![1, 2, 4])]);
    assert_eq!(booked.batch.zones.len(), 1, "one location");
}
