//! The rate limit of a provider, and its suspension while it does not answer.

use crate::common::World;
use testkit::{database::Database, poll, sms::Behaviour};

const NOW: &str = "2026-03-04T16:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";

async fn sent(world: &World, count: usize) {
    let what = format!("{count} texts");
    poll::until(&what, crate::common::WITHIN, || async { (world.texts().len() == count).then_some(()) }).await;
}

async fn the_rate_limit_spaces_text_messages(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    (world.config.sms_per_second, world.config.concurrency) = (1, 4);
    let service = world.start().await;
    let visits = [(); 4].map(|()| world.book(START));
    for count in 1..=4 {
        sent(&world, count).await;
        // E-mails have a limit of their own.
        service.becomes(&visits[3], "booked", "email", "delivered").await;
        assert_eq!(world.texts().len(), count, "one a second");
        world.seconds(1);
    }
    for visit in &visits {
        service.becomes(visit, "booked", "sms", "sent").await;
    }
    service.stop().await;
}

async fn a_provider_without_answers_is_suspended(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    (world.config.breaker_failures, world.config.concurrency) = (2, 1);
    world.provider.script([Behaviour::HangUp, Behaviour::HangUp]);
    let service = world.start().await;
    for _ in 0..2 {
        let visit = world.book(START);
        service.becomes(&visit, "booked", "sms", "unknown").await;
    }
    let waits = world.book(START);
    service.becomes(&waits, "booked", "email", "delivered").await;
    let put_off = |all: &[wire::reminder::Message]| {
        all.iter().any(|one| one.channel == "sms" && one.trigger == "booked" && one.status == "scheduled")
    };
    service.when("the message to wait", &waits, put_off).await;
    assert_eq!(world.texts().len(), 2, "nothing is given to it");
    world.seconds(17);
    service.becomes(&waits, "booked", "sms", "sent").await;
    service.stop().await;
}

testkit::engines!(the_rate_limit_spaces_text_messages, a_provider_without_answers_is_suspended,);
