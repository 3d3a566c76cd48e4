//! The report on reminders, and what an operator sees of messages.

use crate::common::{
    Running, World, organization,
    replies::{PHONE, say},
    us, with_phone,
};
use domain::id::LocationId;
use rpc::Fault;
use testkit::{database::Database, poll, sms::Behaviour};
use uuid::Uuid;
use wire::{
    booking::PatientDetails,
    reminder::{Message, ReminderAttendance, ReminderReportRow, ReportRemindersRequest},
};

/// A hundred hours before the visits.
const NOW: &str = "2026-03-04T11:00:00Z";
/// 09:00 in Edmonton.
const START: &str = "2026-03-08T15:00:00Z";

fn asked(from: &str, to: &str, group_by: &str) -> ReportRemindersRequest {
    ReportRemindersRequest { from: from.into(), to: to.into(), group_by: group_by.into() }
}

/// The report of an organisation at the revision of booking.
async fn report(world: &World, service: &Running, number: u128, group_by: &str) -> Vec<ReminderReportRow> {
    let mut ctx = Running::context(organization(number));
    ctx.revision = Some(world.booking.revision());
    let request = ctx.request(asked("2026-03-02", "2026-03-09", group_by));
    service.client.clone().report_reminders(request).await.unwrap().into_inner().rows
}

fn came(completed: u64, no_shows: u64, no_show_rate: Option<f64>) -> Option<ReminderAttendance> {
    Some(ReminderAttendance { completed, no_shows, no_show_rate })
}

fn reminders(all: &[Message]) -> usize {
    let left = |one: &&Message| one.trigger == "before_start" && one.sent_at_us > 0;
    all.iter().filter(left).count()
}

/// The expected counts of these messages, from their list.
async fn counted(service: &Running, visits: &[&str]) -> [u64; 6] {
    let mut counts = [0; 6];
    for visit in visits {
        for one in service.messages(visit).await {
            let sent = one.sent_at_us > 0;
            let status = |words: &[&str]| u64::from(words.contains(&one.status.as_str()));
            let failed = status(&["failed", "undelivered"]);
            let segments = if sent { u64::from(one.segments) } else { 0 };
            assert_eq!(segments > 0, sent && one.channel == "sms", "{}", one.status);
            let more = [u64::from(sent), status(&["delivered"]), failed, status(&["unknown"])];
            let more = [more[0], more[1], more[2], more[3], status(&["suppressed"]), segments];
            counts.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    counts
}

fn row_counts(row: &ReminderReportRow) -> [u64; 6] {
    [row.sent, row.delivered, row.failed, row.unknown, row.suppressed, row.segments]
}

async fn attendance_is_split_by_reminded_and_not_reminded(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let (unreachable, silent) = ("+15005550001", "+15005550002");
    world.provider.for_number(unreachable, Behaviour::Refuse(400, 21211));
    world.provider.for_number(silent, Behaviour::Broken);
    let book = |phone: &str, sms_only: bool| {
        let mut patient = with_phone(phone);
        patient.consents.retain(|consent| !sms_only || consent.channel == "sms");
        world.book_for(organization(1), us(START), patient)
    };
    let (kept, missed) = (book(PHONE, false), book("+15005550010", false));
    let (off, moved) = (book("+15005550011", false), book("+15005550012", false));
    let elsewhere = book("+15005550015", false);
    let (failed, unknown) = (book(unreachable, true), book(silent, true));
    world.book_for(organization(2), us(START), with_phone("+15005550013"));
    let told_of = [&kept, &missed, &off, &moved, &elsewhere];
    for visit in told_of {
        service.becomes(visit, "booked", "sms", "sent").await;
    }
    for (visit, status) in [(&failed, "failed"), (&unknown, "unknown")] {
        service.becomes(visit, "booked", "sms", status).await;
    }
    world.until("2026-03-07T15:00:00Z");
    for visit in told_of {
        service.when("the reminders", visit, |all| reminders(all) == 2).await;
    }
    say(&service, PHONE, "c", 1).await;
    say(&service, "+15005550011", "x", 2).await;
    service.becomes(&off, "cancelled", "sms", "sent").await;
    world.until("2026-03-08T14:00:00Z");
    // An hour before, there is no reminder to come: neither of the new visit nor of the new time or place.
    let late = book("+15005550014", false);
    world.reschedule(&moved, "2026-03-08T15:10:00Z");
    let other = LocationId::new(Uuid::from_u128(23)).to_string();
    world.booking.change(&elsewhere, "rescheduled", world.clock.now_us(), |visit| visit.location_id = other);
    service.becomes(&late, "booked", "sms", "sent").await;
    for visit in [&moved, &elsewhere] {
        service.becomes(visit, "rescheduled", "sms", "scheduled").await;
    }
    world.seconds(600);
    for visit in [&moved, &elsewhere] {
        service.becomes(visit, "rescheduled", "sms", "sent").await;
    }
    world.until("2026-03-08T15:30:00Z");
    for visit in [&kept, &moved, &elsewhere, &unknown] {
        world.booking.change(visit, "completed", world.clock.now_us(), |visit| visit.status = "fulfilled".into());
    }
    for visit in [&missed, &late, &failed] {
        world.booking.change(visit, "no_show", world.clock.now_us(), |visit| visit.status = "noshow".into());
    }
    let all = [&kept, &missed, &off, &moved, &elsewhere, &failed, &unknown, &late].map(String::as_str);
    for visit in all {
        service.settled(visit).await;
    }
    let rows = report(&world, &service, 1, "week").await;
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.key.as_str(), row.visits, row.confirmed, row.replied), ("2026-03-02", 7, 1, 2));
    assert_eq!(row_counts(row), counted(&service, &all).await);
    assert!(row.failed >= 2 && row.unknown >= 2 && row.suppressed >= 4, "{row:?}");
    assert_eq!(row.with_reminder, came(1, 1, Some(0.5)));
    assert_eq!(row.without_reminder, came(3, 2, Some(0.4)));
    let others = report(&world, &service, 2, "practitioner").await;
    assert_eq!(others.iter().map(|row| (row.visits, row.replied)).collect::<Vec<_>>(), [(1, 0)]);
    service.stop().await;
}

async fn a_day_is_the_location_s_own(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let other = LocationId::new(Uuid::from_u128(23)).to_string();
    let book = |starts_at: &str, zone: &str, location: &str| {
        world.book_as(organization(1), us(starts_at), PatientDetails::default(), |visit| {
            visit.time_zone = zone.into();
            visit.location_id = location.into();
        })
    };
    let here = LocationId::new(Uuid::from_u128(22)).to_string();
    // 23:30 on Sunday here and 00:30 on Monday there; the other two are outside the period on their own clocks.
    book("2026-03-09T05:30:00Z", "America/Edmonton", &here);
    book("2026-03-08T11:30:00Z", "Pacific/Auckland", &other);
    book("2026-03-10T06:00:00Z", "America/Edmonton", &here);
    book("2026-03-01T10:59:00Z", "Pacific/Auckland", &other);
    let keys = async |group_by: &str| -> Vec<(String, u64)> {
        report(&world, &service, 1, group_by).await.into_iter().map(|row| (row.key, row.visits)).collect()
    };
    let day = |text: &str| (text.to_owned(), 1);
    assert_eq!(keys("day").await, [day("2026-03-08"), day("2026-03-09")]);
    assert_eq!(keys("week").await, [day("2026-03-02"), day("2026-03-09")]);
    assert_eq!(keys("location").await, [(here, 1), (other, 1)]);
    assert_eq!(keys("service").await.len(), 1);
    service.stop().await;
}

async fn every_visit_counts_however_many_there_are(database: Database) {
    let world = World::new(database, "2026-03-09T11:00:00Z").await;
    // All in one moment, so that only their ids keep them apart.
    for _ in 0..501 {
        world.book(START);
    }
    let service = world.start().await;
    let rows = report(&world, &service, 1, "day").await;
    assert_eq!(rows.iter().map(|row| (row.key.as_str(), row.visits)).collect::<Vec<_>>(), [("2026-03-08", 501)]);
    service.stop().await;
}

async fn appointments_that_ended_before_the_service_began_count(database: Database) {
    let world = World::new(database, "2026-03-09T11:00:00Z").await;
    let over = |status: &str, starts_at: &str| {
        let visit = world.book_as(organization(1), us(starts_at), PatientDetails::default(), |visit| {
            visit.status = status.into();
        });
        world.booking.has_ended(&visit);
        visit
    };
    let visits = [
        over("fulfilled", START),
        over("noshow", "2026-03-05T15:00:00Z"),
        over("cancelled", START),
        over("booked", "2026-03-02T15:00:00Z"),
        // Longer ago than a report reaches back.
        over("fulfilled", "2025-01-01T15:00:00Z"),
    ];
    let service = world.start().await;
    let report = async |from: &str, to: &str| {
        let request = Running::context(organization(1)).request(asked(from, to, "week"));
        service.client.clone().report_reminders(request).await.unwrap().into_inner()
    };
    let known_from_us = world.clock.now_us() - 400 * 86_400_000_000;
    let whole = poll::until("the history to be read", crate::common::WITHIN, || async {
        let report = report("2026-03-02", "2026-03-08").await;
        assert!(report.visits_known_from_us >= known_from_us);
        (report.visits_known_from_us == known_from_us).then_some(report)
    })
    .await;
    let [row] = &whole.rows[..] else { panic!("{:?}", whole.rows) };
    assert_eq!((row.visits, row.sent, row.suppressed), (3, 0, 0));
    assert_eq!(row.without_reminder, came(1, 1, Some(0.5)));
    assert_eq!(whole.messages_known_from_us, world.clock.now_us(), "no message is older");
    assert_eq!(report("2024-12-30", "2025-01-05").await.rows, []);
    for visit in &visits {
        assert_eq!(service.messages(visit).await.len(), 0, "a past appointment plans no message");
    }
    // A change of one of them is newer; appointments that ended while the position was lost are read again.
    world.booking.change(&visits[3], "no_show", world.clock.now_us(), |visit| visit.status = "noshow".into());
    let no_shows = async || report("2026-03-02", "2026-03-08").await.rows[0].without_reminder.unwrap().no_shows;
    poll::until("the change", crate::common::WITHIN, || async { (no_shows().await == 2).then_some(()) }).await;
    world.booking.hold_back();
    let late = world.book("2026-03-08T20:00:00Z");
    world.booking.change(&late, "no_show", world.clock.now_us(), |visit| visit.status = "noshow".into());
    world.booking.has_ended(&late);
    world.booking.lose_positions();
    world.booking.release();
    poll::until("what had ended meanwhile", crate::common::WITHIN, || async { (no_shows().await == 3).then_some(()) })
        .await;
    service.stop().await;
}

async fn a_report_request_is_refused_by_the_names_of_its_parameters(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let refused = async |from: &str, to: &str, group_by: &str| -> Vec<String> {
        let request = Running::context(organization(1)).request(asked(from, to, group_by));
        let answer = service.client.clone().report_reminders(request).await;
        let faults = answer.err().map(|status| Fault::from(status).violations).unwrap_or_default();
        faults.into_iter().map(|one| format!("{} {}", one.pointer, one.code)).collect()
    };
    assert_eq!(refused("2026-01-01", "2027-02-04", "day").await, [""; 0], "400 days");
    assert_eq!(refused("2026-01-01", "2027-02-05", "day").await, ["to too_long"]);
    assert_eq!(refused("2026-01-02", "2026-01-01", "day").await, ["to ends_before_start"]);
    assert_eq!(
        refused("yesterday", "", "month").await,
        ["from invalid_date", "to invalid_date", "group_by invalid_value"]
    );
    assert_eq!(refused("-009999-01-01", "9999-12-31", "day").await, ["to too_long"]);
    assert_eq!(refused("9999-12-31", "9999-12-31", "week").await, [""; 0]);
    service.stop().await;
}

async fn providers_and_the_inbox_are_measured(database: Database) {
    runtime::telemetry::collect_metrics();
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    service.becomes(&visit, "booked", "email", "delivered").await;
    say(&service, PHONE, "my knee hurts", 1).await;
    service.stop().await;
    world.seconds(7);
    // Counted every minute, and at the start.
    let service = world.start().await;
    let wanted = [
        "reminder_provider_seconds_count{provider=\"twilio\",outcome=\"sent\"} 1",
        "reminder_provider_seconds_count{provider=\"sandbox\",outcome=\"delivered\"} 1",
        "reminder_inbox_unread 1",
        "reminder_inbox_oldest_seconds 7",
    ];
    let text = poll::until("the metrics", crate::common::WITHIN, || async {
        let text = runtime::telemetry::metrics();
        wanted.iter().all(|line| text.lines().any(|one| one == *line)).then_some(text)
    })
    .await;
    assert!(!text.contains(PHONE) && !text.contains("knee"));
    service.stop().await;
}

testkit::engines!(
    attendance_is_split_by_reminded_and_not_reminded,
    a_day_is_the_location_s_own,
    every_visit_counts_however_many_there_are,
    appointments_that_ended_before_the_service_began_count,
    a_report_request_is_refused_by_the_names_of_its_parameters,
    providers_and_the_inbox_are_measured,
);
