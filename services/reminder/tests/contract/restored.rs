//! Booking's database is restored to a state that is older than what reminder knows.

use std::collections::HashMap;

use sql::Target;
use testkit::database::Database;
use wire::reminder::Message;

use crate::common::{World, us};

/// A hundred hours before the visit.
const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";
const LATER: &str = "2026-03-08T17:00:00Z";
/// A move settles for so long.
const SETTLE_SECONDS: i64 = 120;

fn count(messages: &[Message], trigger: &str, channel: &str, status: &str) -> usize {
    let is = |one: &&Message| one.trigger == trigger && one.channel == channel && one.status == status;
    messages.iter().filter(is).count()
}

async fn a_cancellation_that_is_undone_is_corrected_and_reminders_come_again(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "delivered").await;
    let copy = world.booking.back_up();
    world.seconds(10);
    world.cancel(&visit);
    service.becomes(&visit, "cancelled", "sms", "delivered").await;
    world.seconds(10);
    world.booking.restore(copy);
    let planned = |all: &[Message]| count(all, "before_start", "sms", "scheduled") == 2;
    let all = service.when("the reminders to be planned again", &visit, planned).await;
    assert_eq!(count(&all, "before_start", "email", "scheduled"), 1);
    assert!(all.iter().all(|one| one.appointment_version <= 2), "versions are those of booking");
    world.seconds(SETTLE_SECONDS);
    let told = |all: &[Message]| count(all, "booked", "sms", "delivered") == 2;
    service.when("the patient to be told that the visit stands", &visit, told).await;
    // Cancelled again, under the version of the first cancellation.
    world.cancel(&visit);
    let told = |all: &[Message]| count(all, "cancelled", "sms", "delivered") == 2;
    service.when("the second cancellation", &visit, told).await;
    service.stop().await;
}

async fn a_move_that_is_undone_is_corrected(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "delivered").await;
    let copy = world.booking.back_up();
    world.reschedule(&visit, LATER);
    service.becomes(&visit, "rescheduled", "sms", "scheduled").await;
    world.seconds(SETTLE_SECONDS);
    service.becomes(&visit, "rescheduled", "sms", "delivered").await;
    world.seconds(10);
    world.booking.restore(copy);
    let planned = |all: &[Message]| count(all, "rescheduled", "sms", "scheduled") == 1;
    service.when("the correction", &visit, planned).await;
    world.seconds(SETTLE_SECONDS);
    let told = |all: &[Message]| count(all, "rescheduled", "sms", "delivered") == 2;
    let all = service.when("the correction to be sent", &visit, told).await;
    assert_eq!(count(&all, "before_start", "sms", "scheduled"), 2, "of the old time");
    service.stop().await;
}

async fn an_appointment_that_booking_has_no_more_is_reported(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let kept = world.book(START);
    service.becomes(&kept, "booked", "sms", "delivered").await;
    let copy = world.booking.back_up();
    let gone = world.book(LATER);
    service.becomes(&gone, "booked", "sms", "delivered").await;
    world.seconds(10);
    world.booking.restore(copy);
    let suppressed = |all: &[Message]| count(all, "before_start", "sms", "suppressed") == 2;
    service.when("the reminders to be taken back", &gone, suppressed).await;
    let target = Target::from_url(&world.database.for_service("reminder")).unwrap();
    let absent = reminder::App::absent_appointments(&target, world.clock.now_us(), 10).await.unwrap();
    let ids: Vec<_> = absent.iter().map(|one| (one.appointment.to_string(), one.starts_at_us)).collect();
    assert_eq!(ids, [(gone, us(LATER))]);
    assert_eq!(count(&service.messages(&kept).await, "before_start", "sms", "scheduled"), 2);
    service.stop().await;
}

async fn a_message_that_came_due_during_the_restore_is_not_lost(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "before_start", "email", "scheduled").await;
    let copy = world.booking.back_up();
    // The tables are there, the rows are not yet.
    world.booking.set_truths(HashMap::new());
    world.until("2026-03-05T15:00:00Z");
    service.becomes(&visit, "before_start", "email", "suppressed").await;
    world.seconds(10);
    world.booking.restore(copy);
    service.becomes(&visit, "before_start", "email", "delivered").await;
    service.stop().await;
}

testkit::engines!(
    a_cancellation_that_is_undone_is_corrected_and_reminders_come_again,
    a_move_that_is_undone_is_corrected,
    an_appointment_that_booking_has_no_more_is_reported,
    a_message_that_came_due_during_the_restore_is_not_lost,
);
