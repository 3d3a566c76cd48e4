//! A location's time zone changes under its visits: all move to the same time of day, all stay, or nothing happens.

use std::time::Duration;

use domain::id::LocationId;
use jiff::tz::TimeZone;
use rpc::{Code, Fault};
use testkit::{database::Database, poll};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{
        Appointment, AppointmentsAhead, Change, CreateHoldRequest, ListAppointmentsRequest, RezoneAppointmentsRequest,
        SetDisplacedRequest, SubscribeChangesRequest, Transition, change::Owner, set_displaced_request::Item,
    },
    common::{KeepAppointments, RezonedAppointment},
};

use crate::{
    fake_availability::ZONE,
    harness::{ALAN, CLASS, GRACE, HERE, Harness, PLAIN, after, code, fault, of_hold, slot, slot_at, visit},
    waitlist::{entry, known, morning, offered, wish},
};

testkit::engines!(
    all_visits_move_to_the_same_time_of_day,
    without_a_choice_nothing_moves,
    visits_stay_where_they_are_and_show_another_hour,
    a_confirmation_is_for_an_hour_of_the_day,
    a_conflict_is_named_and_no_appointment_moves,
    two_appointments_of_a_repeated_hour_do_not_share_a_single_one,
    holds_and_offers_at_the_location_end,
    a_booking_in_progress_moves_too_or_is_refused,
    a_directory_that_was_not_written_gets_the_zone,
    a_mark_by_the_old_zone_displaces_no_appointment,
);

const EAST: &str = "America/New_York";
const THERE: Uuid = Uuid::from_u128(0x92);
const WITHIN: Duration = Duration::from_secs(30);

/// Gives the location the zone of New York.
pub async fn rezone(
    harness: &Harness,
    keep: KeepAppointments,
    dry_run: bool,
) -> Result<Vec<RezonedAppointment>, Fault> {
    rezone_to(harness, EAST, keep, dry_run).await
}

async fn rezone_to(
    harness: &Harness,
    time_zone: &str,
    keep: KeepAppointments,
    dry_run: bool,
) -> Result<Vec<RezonedAppointment>, Fault> {
    let request = RezoneAppointmentsRequest {
        location_id: LocationId::new(HERE).to_string(),
        time_zone: time_zone.into(),
        keep: keep.into(),
        dry_run,
    };
    let answer = harness.booking.clone().rezone_appointments(harness.request(request)).await;
    answer.map(|answer| answer.into_inner().appointments).map_err(|status| fault(&status))
}

async fn now(harness: &Harness, visit: &Appointment) -> Appointment {
    harness.read(&visit.id).await
}

/// The wall clock of a visit, by its own zone.
fn hour(visit: &Appointment) -> String {
    let start = jiff::Timestamp::from_microsecond(visit.starts_at_us).unwrap();
    start.to_zoned(TimeZone::get(&visit.time_zone).unwrap()).strftime("%H:%M").to_string()
}

fn ahead(fault: &Fault) -> (u32, Vec<String>) {
    let ahead: AppointmentsAhead = fault.extra().expect("which they are");
    (ahead.count, ahead.appointment_ids)
}

async fn all_visits_move_to_the_same_time_of_day(database: Database) {
    let harness = Harness::over(&database).await;
    let nine = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let eleven = harness.book(visit(&slot(PLAIN, GRACE, after(120)), 2)).await;
    let class = slot(CLASS, ALAN, after(60));
    let (first, second) = (harness.book(visit(&class, 3)).await, harness.book(visit(&class, 4)).await);
    // Where the first class goes there is another: each takes the place of one.
    let early = harness.book(visit(&slot(CLASS, ALAN, after(-60)), 5)).await;
    let off = harness.book(visit(&slot(PLAIN, GRACE, after(240)), 6)).await;
    harness.cancel(&off.id).await;
    let elsewhere = harness.book(visit(&slot_at(THERE, PLAIN, ALAN, after(600)), 7)).await;
    let position = harness.snapshot().await.1;

    let moved = rezone(&harness, KeepAppointments::WallTime, false).await.unwrap();
    let ids: Vec<&str> = moved.iter().map(|one| one.appointment_id.as_str()).collect();
    assert_eq!(ids.len(), 5);
    assert_eq!((ids[0], ids[1], ids[4]), (early.id.as_str(), nine.id.as_str(), eleven.id.as_str()));
    for visit in [&nine, &eleven, &first, &second, &early] {
        let moved = now(&harness, visit).await;
        assert_eq!((moved.version, moved.time_zone.as_str(), hour(&moved)), (2, EAST, hour(visit)));
        // Nine in New York is two hours before nine in Edmonton.
        assert_eq!(moved.starts_at_us, visit.starts_at_us - 2 * 3_600_000_000);
        assert_eq!(moved.ends_at_us - moved.starts_at_us, visit.ends_at_us - visit.starts_at_us);
    }
    for other in [&off, &elsewhere] {
        assert_eq!(now(&harness, other).await.time_zone, ZONE);
    }
    let groups = [now(&harness, &first).await.group_id, now(&harness, &second).await.group_id];
    assert!(groups[0] == groups[1] && groups[0] == early.group_id, "{groups:?}");
    let (mut received, mut batches) = (Vec::new(), {
        let request = SubscribeChangesRequest { position, early: false };
        harness.feed.clone().subscribe_changes(harness.request(request)).await.unwrap().into_inner()
    });
    while received.len() < 5 {
        let changes = batches.message().await.unwrap().unwrap().changes;
        // While transactions of other tests are open, changes that the snapshot has come again.
        let is_move = |it: &Change| matches!(it.owner, Some(Owner::Appointment(_))) && it.event == "rescheduled";
        received.extend(changes.into_iter().filter(is_move));
    }
    assert!(received.iter().all(|change| !change.claims.is_empty()));

    // Again, everything is so.
    assert_eq!(rezone(&harness, KeepAppointments::WallTime, false).await.unwrap(), []);
    harness.availability.rezone(EAST);
    // The old times are free, the new ones are taken, and a class can still be joined.
    harness.book(visit(&slot(PLAIN, GRACE, after(120)), 8)).await;
    assert_eq!(code(harness.try_book(visit(&slot(PLAIN, GRACE, after(-120)), 9)).await), Code::SlotTaken);
    let third = harness.book(visit(&slot(CLASS, ALAN, after(-60)), 10)).await;
    assert_eq!(third.group_id, groups[0]);
    for visit in [&first, &second, &third] {
        harness.cancel(&visit.id).await;
    }
    harness.book(visit(&slot(PLAIN, ALAN, after(-60)), 11)).await;
}

async fn without_a_choice_nothing_moves(database: Database) {
    let harness = Harness::over(&database).await;
    let late = harness.book(visit(&slot(PLAIN, GRACE, after(60)), 1)).await;
    let soon = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 2)).await;
    let refused = rezone(&harness, KeepAppointments::Unspecified, false).await.unwrap_err();
    assert_eq!(refused.code, Code::HasAppointments);
    assert_eq!(ahead(&refused), (2, vec![soon.id.clone(), late.id.clone()]));
    assert!(refused.detail.contains("appointments=keep_wall_time"), "it says what to send: {}", refused.detail);
    for keep in [KeepAppointments::Unspecified, KeepAppointments::WallTime, KeepAppointments::Instant] {
        let listed = rezone(&harness, keep, true).await.unwrap();
        let first = RezonedAppointment {
            appointment_id: soon.id.clone(),
            starts_at_us: soon.starts_at_us,
            time_zone: ZONE.into(),
            wall_time_starts_at_us: after(-120).as_microsecond(),
        };
        assert_eq!((listed.len(), &listed[0]), (2, &first));
    }
    assert_eq!([now(&harness, &soon).await, now(&harness, &late).await], [soon, late]);
    // Without a visit ahead nothing is asked; one that has begun is not.
    harness.advance(3 * 24 * 60);
    assert_eq!(rezone(&harness, KeepAppointments::Unspecified, false).await.unwrap(), []);
}

async fn visits_stay_where_they_are_and_show_another_hour(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let class = harness.book(visit(&slot(CLASS, ALAN, after(0)), 2)).await;
    rezone(&harness, KeepAppointments::Instant, false).await.unwrap();
    let stayed = now(&harness, &booked).await;
    assert_eq!((stayed.starts_at_us, stayed.time_zone.as_str()), (booked.starts_at_us, EAST));
    assert_eq!((hour(&booked).as_str(), hour(&stayed).as_str()), ("09:00", "11:00"));
    assert_eq!(now(&harness, &class).await.group_id, class.group_id);
    harness.availability.rezone(EAST);
    assert_eq!(code(harness.try_book(visit(&slot(PLAIN, GRACE, after(0)), 3)).await), Code::SlotTaken);
    assert_eq!(harness.book(visit(&slot(CLASS, ALAN, after(0)), 4)).await.group_id, class.group_id);
}

async fn a_confirmation_is_for_an_hour_of_the_day(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let confirmed = harness.transition(&booked.id, Transition::Confirm).await.unwrap();
    let position = harness.snapshot().await.1;
    // Another name of the same clock, the same hour of another instant, another hour of the same instant.
    for (time_zone, keep, stands) in [
        ("America/Denver", KeepAppointments::Instant, true),
        (EAST, KeepAppointments::WallTime, true),
        (ZONE, KeepAppointments::Instant, false),
    ] {
        rezone_to(&harness, time_zone, keep, false).await.unwrap();
        assert_eq!(now(&harness, &booked).await.confirmed_at_us != 0, stands, "{time_zone}");
    }
    let request = SubscribeChangesRequest { position, early: false };
    let mut batches = harness.feed.clone().subscribe_changes(harness.request(request)).await.unwrap().into_inner();
    let mut received = Vec::new();
    while received.len() < 3 {
        let changes = batches.message().await.unwrap().unwrap().changes.into_iter();
        received.extend(changes.filter(|change| change.version > confirmed.version).map(|change| change.event));
    }
    assert_eq!(
        received,
        ["clock_corrected", "rescheduled", "rescheduled"],
        "another name of the zone needs no message"
    );
}

async fn a_conflict_is_named_and_no_appointment_moves(database: Database) {
    let harness = Harness::over(&database).await;
    let fine = harness.book(visit(&slot(PLAIN, ALAN, after(300)), 1)).await;
    let stuck = harness.book(visit(&slot(PLAIN, GRACE, after(120)), 2)).await;
    let there = harness.book(visit(&slot_at(THERE, PLAIN, GRACE, after(0)), 3)).await;
    // A patient who has another appointment by then, too.
    let patient = harness.book(visit(&slot(PLAIN, ALAN, after(600)), 4)).await;
    let other = harness.book(visit(&slot_at(THERE, PLAIN, GRACE, after(480)), 4)).await;
    for dry_run in [true, false] {
        let refused = rezone(&harness, KeepAppointments::WallTime, dry_run).await.unwrap_err();
        assert_eq!(refused.code, Code::AppointmentsClash);
        let (count, mut ids) = ahead(&refused);
        let mut expected = [&stuck, &there, &patient, &other].map(|visit| visit.id.clone());
        ids.sort();
        expected.sort();
        assert_eq!((count, ids.as_slice()), (2, expected.as_slice()));
    }
    for visit in [&fine, &stuck, &there, &patient, &other] {
        assert_eq!(now(&harness, visit).await, *visit);
    }
    // Appointments that would have begun already are named too.
    for visit in [&stuck, &patient] {
        harness.cancel(&visit.id).await;
    }
    harness.clock.advance(harness.clock.now().duration_until(after(240)));
    let refused = rezone(&harness, KeepAppointments::WallTime, false).await.unwrap_err();
    assert_eq!((refused.code, ahead(&refused)), (Code::AppointmentsClash, (1, vec![fine.id.clone()])));
    assert_eq!(now(&harness, &fine).await, fine);
}

async fn two_appointments_of_a_repeated_hour_do_not_share_a_single_one(database: Database) {
    let harness = Harness::over(&database).await;
    // 01:30 in Edmonton before and after its clocks go back; in Phoenix they do not.
    let twice = ["2026-11-01T07:30:00Z", "2026-11-01T08:30:00Z"];
    let mut visits = Vec::new();
    for (number, start) in (1..).zip(twice) {
        visits.push(harness.book(visit(&slot(PLAIN, GRACE, start.parse().unwrap()), number)).await);
    }
    assert_eq!([hour(&visits[0]), hour(&visits[1])], ["01:30", "01:30"]);
    for dry_run in [true, false] {
        let refused = rezone_to(&harness, "America/Phoenix", KeepAppointments::WallTime, dry_run).await.unwrap_err();
        assert_eq!(refused.code, Code::AppointmentsClash, "{}", refused.detail);
        assert_eq!(ahead(&refused), (2, visits.iter().map(|visit| visit.id.clone()).collect()));
    }
    for visit in &visits {
        assert_eq!(now(&harness, visit).await, *visit);
    }
}

async fn holds_and_offers_at_the_location_end(database: Database) {
    let harness = morning(&database).await;
    let hold = async |slot_id: String| {
        let request = CreateHoldRequest { slot_ids: vec![slot_id], ..CreateHoldRequest::default() };
        harness.booking.clone().create_hold(harness.request(request)).await.map(Response::into_inner).unwrap().id
    };
    let (held, place) = (hold(slot(PLAIN, ALAN, after(0))).await, hold(slot(CLASS, ALAN, after(60))).await);
    let there = hold(slot_at(THERE, PLAIN, ALAN, after(300))).await;
    let wish = harness.request(wish(&known(&harness, 1).await));
    let waits = harness.waitlist.clone().join_waitlist(wish).await.unwrap().into_inner();
    harness.availability.open(&[slot(PLAIN, GRACE, after(0))]);
    offered(&harness, &waits.id).await;
    rezone(&harness, KeepAppointments::Unspecified, false).await.unwrap();
    harness.availability.rezone(EAST);
    for hold in [&held, &place] {
        assert_eq!(code(harness.try_book(of_hold(hold, 2)).await), Code::HoldExpired);
    }
    harness.book(visit(&slot(PLAIN, ALAN, after(60)), 3)).await;
    assert_eq!(entry(&harness, &waits.id).await.offers.last().unwrap().status, "withdrawn");
    // A hold elsewhere stays.
    harness.availability.rezone(ZONE);
    harness.book(of_hold(&there, 4)).await;
}

async fn a_booking_in_progress_moves_too_or_is_refused(database: Database) {
    let harness = Harness::over(&database).await;
    let beside = harness.beside().await;
    let (stalled, before) = (harness.availability.stall().await, harness.availability.checks());
    let many = (0..12).map(|number| {
        let harness = if number % 2 == 0 { harness.clone() } else { beside.clone() };
        tokio::spawn(async move {
            harness.try_book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await
        })
    });
    let many: Vec<_> = many.collect();
    poll::until("the checks", WITHIN, || async { (harness.availability.checks() >= before + 12).then_some(()) }).await;
    drop(stalled);
    rezone(&harness, KeepAppointments::WallTime, false).await.unwrap();
    for booking in many {
        match booking.await.unwrap() {
            Ok(_) => {}
            Err(fault) => assert_eq!(fault.code, Code::SlotChanged, "{fault:?}"),
        }
    }
    let all = harness.booking.clone().list_appointments(harness.request(ListAppointmentsRequest::default())).await;
    for visit in all.unwrap().into_inner().appointments {
        assert_eq!(visit.time_zone, EAST, "{}", visit.id);
        let minutes = (visit.starts_at_us - after(0).as_microsecond()) / 60_000_000;
        assert_eq!(minutes.rem_euclid(60), 0, "an hour that somebody chose");
    }
    // From then on none is made by the zone before.
    let late = harness.try_book(visit(&slot(PLAIN, ALAN, after(0)), 20)).await;
    assert_eq!(code(late), Code::SlotChanged);
}

async fn a_directory_that_was_not_written_gets_the_zone(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    rezone(&harness, KeepAppointments::WallTime, false).await.unwrap();
    assert_eq!(harness.availability.zone(), ZONE, "its writer is gone");
    harness.advance(2);
    poll::until("the directory", WITHIN, || async { (harness.availability.zone() == EAST).then_some(()) }).await;
    assert_eq!(hour(&now(&harness, &booked).await), "09:00");
    harness.book(visit(&slot(PLAIN, ALAN, after(0)), 2)).await;
}

async fn a_mark_by_the_old_zone_displaces_no_appointment(database: Database) {
    let harness = Harness::over(&database).await;
    let booked = harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    rezone(&harness, KeepAppointments::WallTime, false).await.unwrap();
    for (time_zone, changed) in [(ZONE, 0), (EAST, 1)] {
        let item =
            Item { appointment_id: booked.id.clone(), displaced: true, seen_version: 2, time_zone: time_zone.into() };
        let request = harness.request(SetDisplacedRequest { items: vec![item] });
        let marked = harness.booking.clone().set_displaced(request).await.unwrap().into_inner();
        assert_eq!(marked.changed, changed, "{time_zone}");
    }
}
