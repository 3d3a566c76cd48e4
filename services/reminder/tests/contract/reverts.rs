//! Appointments whose cancellation is taken back: what the patient was told decides what the patient is told.

use testkit::database::Database;
use wire::reminder::Message;

use crate::common::{World, summaries, us};

testkit::engines!(a_cancellation_that_is_taken_back_is_corrected_once_it_was_told);

/// A hundred hours before the visit.
const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";

/// How many texts announce the visit, and how many reminders are still to come.
fn announced_and_due(all: &[Message]) -> (usize, usize) {
    let announced = all.iter().filter(|one| one.trigger == "booked" && one.channel == "sms").count();
    (announced, summaries(all).iter().filter(|line| **line == "before_start sms scheduled").count())
}

async fn a_cancellation_that_is_taken_back_is_corrected_once_it_was_told(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    // Taken back before the feed shows the cancellation: the news of it does not leave.
    world.booking.hold_back();
    world.cancel(&visit);
    world.seconds(10);
    world.revert(&visit);
    world.booking.release();
    let renewed =
        |all: &[Message]| all.iter().any(|one| one.appointment_version == 3) && announced_and_due(all) == (1, 2);
    let all = service.when("the reminders", &visit, renewed).await;
    assert!(all.iter().all(|one| one.trigger != "cancelled" || one.status == "suppressed"), "{:?}", summaries(&all));

    world.seconds(600);
    world.cancel(&visit);
    service.becomes(&visit, "cancelled", "sms", "sent").await;
    // The day's reminder comes due meanwhile.
    world.until("2026-03-07T15:00:30Z");
    world.revert(&visit);
    let all = service.when("the correction", &visit, |all| announced_and_due(all) == (2, 1)).await;
    let correction = all.iter().filter(|one| one.trigger == "booked").max_by_key(|one| one.due_at_us).unwrap();
    assert_eq!(correction.due_at_us, us("2026-03-07T15:02:30Z"), "once it has settled");
    world.until("2026-03-07T15:02:30Z");
    service
        .when("the correction to leave", &visit, |all| {
            summaries(all).iter().filter(|line| **line == "booked sms sent").count() == 2
        })
        .await;
    world.until("2026-03-08T13:00:00Z");
    service.settled(&visit).await;
    let texts = world.texts();
    let parts = ["you are booked on", "is cancelled", "you are booked on", "Sun, Mar 8"];
    assert_eq!(texts.len(), parts.len(), "{texts:?}");
    assert!(texts.iter().zip(parts).all(|(text, part)| text.contains(part)), "{texts:?}");
    service.stop().await;
}
