//! Many messages at one instant, and many patients in one session.

use crate::common::{World, organization, rows::Rows, summaries, us, with_phone};
use testkit::{database::Database, sms::Behaviour};

const NOW: &str = "2026-03-04T11:00:00Z";

/// Books visits of different patients, the latest first, in one batch of the feed.
fn book_many(world: &World, count: i64) -> Vec<String> {
    world.booking.hold_back();
    let first_us = us("2026-03-08T15:00:00Z");
    let book = |place: i64| {
        let patient = with_phone(&format!("+1500555{place:04}"));
        world.book_for(organization(1), first_us + place * 1_800_000_000, patient)
    };
    let visits = (0..count).rev().map(book).collect();
    world.booking.release();
    visits
}

fn numbers(world: &World) -> Vec<String> {
    world.provider.received().into_iter().map(|one| one.form["To"].clone()).collect()
}

async fn messages_due_together_leave_in_the_order_of_their_visits(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.concurrency = 1;
    let service = world.start().await;
    for visit in book_many(&world, 12) {
        service.becomes(&visit, "booked", "sms", "sent").await;
    }
    let sent = numbers(&world);
    assert!(sent.len() == 12 && sent.is_sorted(), "{sent:?}");
    service.stop().await;
}

async fn retries_after_a_busy_provider_are_spread(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let rows = Rows::open(&world.database.admin_for_service("reminder")).await;
    world.provider.script([Behaviour::Busy(60); 12]);
    let service = world.start().await;
    let visits = book_many(&world, 12);
    for visit in &visits {
        let busy = |one: &wire::reminder::Message| one.status == "scheduled" && one.reason == "provider_busy";
        service.when("the refusal", visit, |all| all.iter().any(busy)).await;
    }
    // No retry before the named delay, none much later, and hardly two at one instant.
    let (from_us, until_us) = (us(NOW) + 60_000_000, us(NOW) + 72_000_000);
    let mut wakes: Vec<_> = rows.until(until_us).await.into_iter().map(|one| one.wake_at_us).collect();
    wakes.sort_unstable();
    assert_eq!(wakes.len(), 12, "{wakes:?}");
    assert!(wakes[0] >= from_us && wakes[11] - wakes[0] > 1_000_000, "{wakes:?}");
    wakes.dedup();
    assert!(wakes.len() > 10, "{wakes:?}");
    world.seconds(72);
    for visit in &visits {
        service.becomes(visit, "booked", "sms", "sent").await;
    }
    assert_eq!(world.texts().len(), 24);
    service.stop().await;
}

async fn each_seat_of_a_group_session_has_its_own_messages(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let [a, b, c] = ["+15005550001", "+15005550002", "+15005550003"];
    let seats = [a, b, c].map(|phone| world.book_seat("2026-03-08T15:00:00Z", phone));
    for seat in &seats {
        service.becomes(seat, "booked", "sms", "sent").await;
    }
    world.cancel(&seats[1]);
    service.becomes(&seats[1], "cancelled", "sms", "sent").await;
    for time in ["2026-03-05T15:00:00Z", "2026-03-07T15:00:00Z", "2026-03-08T13:00:00Z"] {
        world.until(time);
        for seat in [&seats[0], &seats[2]] {
            let due = |one: &wire::reminder::Message| one.due_at_us == us(time) && one.status != "scheduled";
            service.when("the reminder", seat, |all| all.iter().any(due)).await;
        }
    }
    for seat in [&seats[0], &seats[2]] {
        let all = summaries(&service.settled(seat).await);
        assert!(all.iter().all(|line| line.ends_with("sent") || line.ends_with("delivered")), "{all:?}");
        assert_eq!(all.len(), 5, "{all:?}");
    }
    let mut sent = numbers(&world);
    sent.sort();
    // Booked, 24 hours before, 2 hours before; booked and cancelled.
    assert_eq!(sent, [a, a, a, b, b, c, c, c]);
    service.stop().await;
}

testkit::engines!(
    messages_due_together_leave_in_the_order_of_their_visits,
    retries_after_a_busy_provider_are_spread,
    each_seat_of_a_group_session_has_its_own_messages,
);
