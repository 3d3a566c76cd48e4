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
        Appointment, AppointmentsAhead, CreateHoldRequest, GetAppointmentRequest, ListAppointmentsRequest,
        RezoneAppointmentsRequest, SetDisplacedRequest, SubscribeChangesRequest, Transition, change::Owner,
        set_displaced_request::Item,
    },
    common::{KeepAppointments, RezonedAppointment},
};

use crate::{
    fake_availability::ZONE,
    harness::{ALAN, CLASS, GRACE, HERE, PLAIN, World, after, code, fault, of_hold, slot, slot_at, visit},
    waitlist::{entry, known, morning, offered, wish},
};

testkit::engines!(
    all_visits_move_to_the_same_time_of_day,
    without_a_choice_nothing_moves,
    visits_stay_where_they_are_and_show_another_hour,
    what_a_patient_confirmed_is_an_hour_of_the_day,
    who_cannot_move_is_named_and_nobody_moves,
    two_visits_of_an_hour_that_comes_twice_do_not_share_it_where_it_comes_once,
    what_is_held_or_offered_there_ends,
    a_booking_on_its_way_moves_too_or_is_refused,
    a_directory_that_was_not_written_follows,
    who_judges_by_the_zone_before_displaces_nobody,
);

const EAST: &str = "America/New_York";
const THERE: Uuid = Uuid::from_u128(0x92);
const WITHIN: Duration = Duration::from_secs(30);

async fn rezone(world: &World, keep: KeepAppointments, dry_run: bool) -> Result<Vec<RezonedAppointment>, Fault> {
    rezone_to(world, EAST, keep, dry_run).await
}

async fn rezone_to(
    world: &World,
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
    let answer = world.booking.clone().rezone_appointments(world.request(request)).await;
    answer.map(|answer| answer.into_inner().appointments).map_err(|status| fault(&status))
}

async fn now(world: &World, visit: &Appointment) -> Appointment {
    let request = world.request(GetAppointmentRequest { id: visit.id.clone() });
    world.booking.clone().get_appointment(request).await.unwrap().into_inner()
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
    let world = World::over(&database).await;
    let nine = world.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let eleven = world.book(visit(&slot(PLAIN, GRACE, after(120)), 2)).await;
    let class = slot(CLASS, ALAN, after(60));
    let (first, second) = (world.book(visit(&class, 3)).await, world.book(visit(&class, 4)).await);
    // Where the first class goes there is another: each takes the place of one.
    let early = world.book(visit(&slot(CLASS, ALAN, after(-60)), 5)).await;
    let off = world.book(visit(&slot(PLAIN, GRACE, after(240)), 6)).await;
    world.cancel(&off.id).await;
    let elsewhere = world.book(visit(&slot_at(THERE, PLAIN, ALAN, after(600)), 7)).await;
    let position = world.snapshot().await.1;

    let moved = rezone(&world, KeepAppointments::WallTime, false).await.unwrap();
    let ids: Vec<&str> = moved.iter().map(|one| one.appointment_id.as_str()).collect();
    assert_eq!(ids.len(), 5);
    assert_eq!((ids[0], ids[1], ids[4]), (early.id.as_str(), nine.id.as_str(), eleven.id.as_str()));
    for visit in [&nine, &eleven, &first, &second, &early] {
        let moved = now(&world, visit).await;
        assert_eq!((moved.version, moved.time_zone.as_str(), hour(&moved)), (2, EAST, hour(visit)));
        // Nine in New York is two hours before nine in Edmonton.
        assert_eq!(moved.starts_at_us, visit.starts_at_us - 2 * 3_600_000_000);
        assert_eq!(moved.ends_at_us - moved.starts_at_us, visit.ends_at_us - visit.starts_at_us);
    }
    for other in [&off, &elsewhere] {
        assert_eq!(now(&world, other).await.time_zone, ZONE);
    }
    let groups = [now(&world, &first).await.group_id, now(&world, &second).await.group_id];
    assert!(groups[0] == groups[1] && groups[0] == early.group_id, "{groups:?}");
    let (mut told, mut batches) = (Vec::new(), {
        let request = SubscribeChangesRequest { position, early: false };
        world.feed.clone().subscribe_changes(world.request(request)).await.unwrap().into_inner()
    });
    while told.len() < 5 {
        let changes = batches.message().await.unwrap().unwrap().changes;
        told.extend(changes.into_iter().filter(|it| matches!(it.owner, Some(Owner::Appointment(_)))));
    }
    assert!(told.iter().all(|change| change.event == "rescheduled" && !change.claims.is_empty()));

    // Again, everything is so.
    assert_eq!(rezone(&world, KeepAppointments::WallTime, false).await.unwrap(), []);
    world.availability.rezone(EAST);
    // What they had is free, what they have is taken, and a class is still joined.
    world.book(visit(&slot(PLAIN, GRACE, after(120)), 8)).await;
    assert_eq!(code(world.try_book(visit(&slot(PLAIN, GRACE, after(-120)), 9)).await), Code::SlotTaken);
    let third = world.book(visit(&slot(CLASS, ALAN, after(-60)), 10)).await;
    assert_eq!(third.group_id, groups[0]);
    for visit in [&first, &second, &third] {
        world.cancel(&visit.id).await;
    }
    world.book(visit(&slot(PLAIN, ALAN, after(-60)), 11)).await;
}

async fn without_a_choice_nothing_moves(database: Database) {
    let world = World::over(&database).await;
    let late = world.book(visit(&slot(PLAIN, GRACE, after(60)), 1)).await;
    let soon = world.book(visit(&slot(PLAIN, GRACE, after(0)), 2)).await;
    let refused = rezone(&world, KeepAppointments::Unspecified, false).await.unwrap_err();
    assert_eq!(refused.code, Code::HasAppointments);
    assert_eq!(ahead(&refused), (2, vec![soon.id.clone(), late.id.clone()]));
    assert!(refused.detail.contains("appointments=keep_wall_time"), "it says what to send: {}", refused.detail);
    for keep in [KeepAppointments::Unspecified, KeepAppointments::WallTime, KeepAppointments::Instant] {
        let listed = rezone(&world, keep, true).await.unwrap();
        let first = RezonedAppointment {
            appointment_id: soon.id.clone(),
            starts_at_us: soon.starts_at_us,
            time_zone: ZONE.into(),
            wall_time_starts_at_us: after(-120).as_microsecond(),
        };
        assert_eq!((listed.len(), &listed[0]), (2, &first));
    }
    assert_eq!([now(&world, &soon).await, now(&world, &late).await], [soon, late]);
    // Without a visit ahead nothing is asked; one that has begun is not.
    world.advance(3 * 24 * 60);
    assert_eq!(rezone(&world, KeepAppointments::Unspecified, false).await.unwrap(), []);
}

async fn visits_stay_where_they_are_and_show_another_hour(database: Database) {
    let world = World::over(&database).await;
    let booked = world.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let class = world.book(visit(&slot(CLASS, ALAN, after(0)), 2)).await;
    rezone(&world, KeepAppointments::Instant, false).await.unwrap();
    let stayed = now(&world, &booked).await;
    assert_eq!((stayed.starts_at_us, stayed.time_zone.as_str()), (booked.starts_at_us, EAST));
    assert_eq!((hour(&booked).as_str(), hour(&stayed).as_str()), ("09:00", "11:00"));
    assert_eq!(now(&world, &class).await.group_id, class.group_id);
    world.availability.rezone(EAST);
    assert_eq!(code(world.try_book(visit(&slot(PLAIN, GRACE, after(0)), 3)).await), Code::SlotTaken);
    assert_eq!(world.book(visit(&slot(CLASS, ALAN, after(0)), 4)).await.group_id, class.group_id);
}

async fn what_a_patient_confirmed_is_an_hour_of_the_day(database: Database) {
    let world = World::over(&database).await;
    let booked = world.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    let confirmed = world.transition(&booked.id, Transition::Confirm).await.unwrap();
    let position = world.snapshot().await.1;
    // Another name of the same clock, the same hour of another instant, another hour of the same instant.
    for (time_zone, keep, stands) in [
        ("America/Denver", KeepAppointments::Instant, true),
        (EAST, KeepAppointments::WallTime, true),
        (ZONE, KeepAppointments::Instant, false),
    ] {
        rezone_to(&world, time_zone, keep, false).await.unwrap();
        assert_eq!(now(&world, &booked).await.confirmed_at_us != 0, stands, "{time_zone}");
    }
    let request = SubscribeChangesRequest { position, early: false };
    let mut batches = world.feed.clone().subscribe_changes(world.request(request)).await.unwrap().into_inner();
    let mut told = Vec::new();
    while told.len() < 3 {
        let changes = batches.message().await.unwrap().unwrap().changes.into_iter();
        told.extend(changes.filter(|change| change.version > confirmed.version).map(|change| change.event));
    }
    assert_eq!(told, ["clock_corrected", "rescheduled", "rescheduled"], "another name is news to nobody");
}

async fn who_cannot_move_is_named_and_nobody_moves(database: Database) {
    let world = World::over(&database).await;
    let fine = world.book(visit(&slot(PLAIN, ALAN, after(300)), 1)).await;
    let stuck = world.book(visit(&slot(PLAIN, GRACE, after(120)), 2)).await;
    let there = world.book(visit(&slot_at(THERE, PLAIN, GRACE, after(0)), 3)).await;
    // A patient who is elsewhere by then, too.
    let patient = world.book(visit(&slot(PLAIN, ALAN, after(600)), 4)).await;
    let other = world.book(visit(&slot_at(THERE, PLAIN, GRACE, after(480)), 4)).await;
    for dry_run in [true, false] {
        let refused = rezone(&world, KeepAppointments::WallTime, dry_run).await.unwrap_err();
        assert_eq!(refused.code, Code::AppointmentsClash);
        let (count, mut ids) = ahead(&refused);
        let mut expected = [&stuck, &there, &patient, &other].map(|visit| visit.id.clone());
        ids.sort();
        expected.sort();
        assert_eq!((count, ids.as_slice()), (2, expected.as_slice()));
    }
    for visit in [&fine, &stuck, &there, &patient, &other] {
        assert_eq!(now(&world, visit).await, *visit);
    }
    // Of what would have begun already the same is said.
    for visit in [&stuck, &patient] {
        world.cancel(&visit.id).await;
    }
    world.clock.advance(world.clock.now().duration_until(after(240)));
    let refused = rezone(&world, KeepAppointments::WallTime, false).await.unwrap_err();
    assert_eq!((refused.code, ahead(&refused)), (Code::AppointmentsClash, (1, vec![fine.id.clone()])));
    assert_eq!(now(&world, &fine).await, fine);
}

async fn two_visits_of_an_hour_that_comes_twice_do_not_share_it_where_it_comes_once(database: Database) {
    let world = World::over(&database).await;
    // 01:30 in Edmonton before and after its clocks go back; in Phoenix they do not.
    let twice = ["2026-11-01T07:30:00Z", "2026-11-01T08:30:00Z"];
    let mut visits = Vec::new();
    for (number, start) in (1..).zip(twice) {
        visits.push(world.book(visit(&slot(PLAIN, GRACE, start.parse().unwrap()), number)).await);
    }
    assert_eq!([hour(&visits[0]), hour(&visits[1])], ["01:30", "01:30"]);
    for dry_run in [true, false] {
        let refused = rezone_to(&world, "America/Phoenix", KeepAppointments::WallTime, dry_run).await.unwrap_err();
        assert_eq!(refused.code, Code::AppointmentsClash, "{}", refused.detail);
        assert_eq!(ahead(&refused), (2, visits.iter().map(|visit| visit.id.clone()).collect()));
    }
    for visit in &visits {
        assert_eq!(now(&world, visit).await, *visit);
    }
}

async fn what_is_held_or_offered_there_ends(database: Database) {
    let world = morning(&database).await;
    let hold = async |slot_id: String| {
        let request = CreateHoldRequest { slot_ids: vec![slot_id], ..CreateHoldRequest::default() };
        world.booking.clone().create_hold(world.request(request)).await.map(Response::into_inner).unwrap().id
    };
    let (held, place) = (hold(slot(PLAIN, ALAN, after(0))).await, hold(slot(CLASS, ALAN, after(60))).await);
    let there = hold(slot_at(THERE, PLAIN, ALAN, after(300))).await;
    let wish = world.request(wish(&known(&world, 1).await));
    let waits = world.waitlist.clone().join_waitlist(wish).await.unwrap().into_inner();
    world.availability.open(&[slot(PLAIN, GRACE, after(0))]);
    offered(&world, &waits.id).await;
    rezone(&world, KeepAppointments::Unspecified, false).await.unwrap();
    world.availability.rezone(EAST);
    for hold in [&held, &place] {
        assert_eq!(code(world.try_book(of_hold(hold, 2)).await), Code::HoldExpired);
    }
    world.book(visit(&slot(PLAIN, ALAN, after(60)), 3)).await;
    assert_eq!(entry(&world, &waits.id).await.offers.last().unwrap().status, "withdrawn");
    // A hold elsewhere stays.
    world.availability.rezone(ZONE);
    world.book(of_hold(&there, 4)).await;
}

async fn a_booking_on_its_way_moves_too_or_is_refused(database: Database) {
    let world = World::over(&database).await;
    let beside = world.beside().await;
    let (stalled, before) = (world.availability.stall().await, world.availability.checks());
    let many = (0..12).map(|number| {
        let world = if number % 2 == 0 { world.clone() } else { beside.clone() };
        tokio::spawn(
            async move { world.try_book(visit(&slot(PLAIN, GRACE, after(i64::from(number) * 60)), number)).await },
        )
    });
    let many: Vec<_> = many.collect();
    poll::until("the checks", WITHIN, || async { (world.availability.checks() >= before + 12).then_some(()) }).await;
    drop(stalled);
    rezone(&world, KeepAppointments::WallTime, false).await.unwrap();
    for booking in many {
        match booking.await.unwrap() {
            Ok(_) => {}
            Err(fault) => assert_eq!(fault.code, Code::SlotChanged, "{fault:?}"),
        }
    }
    let all = world.booking.clone().list_appointments(world.request(ListAppointmentsRequest::default())).await;
    for visit in all.unwrap().into_inner().appointments {
        assert_eq!(visit.time_zone, EAST, "{}", visit.id);
        let minutes = (visit.starts_at_us - after(0).as_microsecond()) / 60_000_000;
        assert_eq!(minutes.rem_euclid(60), 0, "an hour that somebody chose");
    }
    // From then on none is made by the zone before.
    let late = world.try_book(visit(&slot(PLAIN, ALAN, after(0)), 20)).await;
    assert_eq!(code(late), Code::SlotChanged);
}

async fn a_directory_that_was_not_written_follows(database: Database) {
    let world = World::over(&database).await;
    let booked = world.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    rezone(&world, KeepAppointments::WallTime, false).await.unwrap();
    assert_eq!(world.availability.zone(), ZONE, "its writer is gone");
    world.advance(2);
    poll::until("the directory", WITHIN, || async { (world.availability.zone() == EAST).then_some(()) }).await;
    assert_eq!(hour(&now(&world, &booked).await), "09:00");
    world.book(visit(&slot(PLAIN, ALAN, after(0)), 2)).await;
}

async fn who_judges_by_the_zone_before_displaces_nobody(database: Database) {
    let world = World::over(&database).await;
    let booked = world.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    rezone(&world, KeepAppointments::WallTime, false).await.unwrap();
    for (time_zone, changed) in [(ZONE, 0), (EAST, 1)] {
        let item =
            Item { appointment_id: booked.id.clone(), displaced: true, seen_version: 2, time_zone: time_zone.into() };
        let request = world.request(SetDisplacedRequest { items: vec![item] });
        let told = world.booking.clone().set_displaced(request).await.unwrap().into_inner();
        assert_eq!(told.changed, changed, "{time_zone}");
    }
}
