//! The repetition of messages with an unknown outcome, where their rule prefers a double to a miss.

use crate::common::{Running, WITHIN, World, organization, reports, summaries, waits};
use testkit::{database::Database, poll, sms::Behaviour};
use wire::reminder::{ArchiveRuleRequest, ListRulesRequest, Message, RetryMessageRequest};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";
/// How long a receipt may still arrive.
const UNKNOWN_SECONDS: i64 = 600;

/// A service whose rule for bookings repeats unknown messages.
async fn repeating(world: &World) -> Running {
    let service = world.start().await;
    assert!(service.change_rule("booked", |body| body.repeat_unknown = true).await.repeat_unknown);
    service
}

/// A visit whose text message has an unknown outcome.
async fn lost(world: &World, service: &Running) -> String {
    world.provider.script([Behaviour::Stall]);
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "unknown").await;
    visit
}

fn outcomes(message: &Message) -> Vec<&str> {
    message.attempts.iter().map(|one| one.outcome.as_str()).collect()
}

async fn an_unknown_message_is_repeated_where_its_rule_says_so_and_no_receipt_came(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = repeating(&world).await;
    let visit = lost(&world, &service).await;
    world.seconds(UNKNOWN_SECONDS - 1);
    waits::passes(&world, &service).await;
    assert_eq!(outcomes(&service.becomes(&visit, "booked", "sms", "unknown").await), ["unknown"], "not yet");
    world.seconds(1);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!((outcomes(&sent), sent.reason.as_str()), (vec!["unknown", "sent"], ""));
    let texts = world.texts();
    assert_eq!((texts.len(), &texts[0]), (3, &texts[2]), "the same text");
    service.stop().await;
}

async fn an_unknown_message_is_repeated_once(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = repeating(&world).await;
    world.provider.script([Behaviour::Stall, Behaviour::Stall]);
    let visit = world.book(START);
    let twice =
        |all: &[Message]| all.iter().any(|one| outcomes(one) == ["unknown", "unknown"] && one.status == "unknown");
    poll::until("the second silence", WITHIN, || async {
        world.seconds(60);
        twice(&service.messages(&visit).await).then_some(())
    })
    .await;
    for _ in 0..3 {
        world.seconds(UNKNOWN_SECONDS + 1);
        waits::passes(&world, &service).await;
    }
    let unknown = service.becomes(&visit, "booked", "sms", "unknown").await;
    assert_eq!((unknown.attempts.len(), unknown.reason.as_str()), (2, "no_answer"));
    // A receipt for either attempt is enough.
    reports::arrives(&world, &service, 0, "undelivered", "").await;
    service.becomes(&visit, "booked", "sms", "unknown").await;
    reports::arrives(&world, &service, 0, "delivered", "").await;
    service.becomes(&visit, "booked", "sms", "delivered").await;
    service.stop().await;
}

async fn a_refused_repetition_leaves_the_message_unknown(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let change = service.change_rule("booked", |body| {
        (body.channels, body.fallback_channels) = (vec!["sms".into()], vec!["email".into()]);
        body.repeat_unknown = true;
    });
    change.await;
    let is_twice = |all: &[Message]| all.iter().any(|one| outcomes(one) == ["unknown", "failed"]);
    let refused = lost(&world, &service).await;
    world.provider.script([Behaviour::Refuse(400, 21211)]);
    world.seconds(UNKNOWN_SECONDS);
    service.when("the refusal", &refused, is_twice).await;
    waits::passes(&world, &service).await;
    let about = summaries(&service.messages(&refused).await);
    assert!(about.contains(&"booked sms unknown no_answer".to_owned()), "{about:?}");
    assert!(!about.iter().any(|line| line.starts_with("booked email")), "it may have arrived: {about:?}");
    // A busy provider is retried until a late receipt reports the first attempt as delivered.
    let busy = lost(&world, &service).await;
    let first = world.texts().len() - 1;
    world.provider.script([Behaviour::Busy(5), Behaviour::Busy(5)]);
    world.seconds(UNKNOWN_SECONDS);
    service.when("the busy answer", &busy, is_twice).await;
    world.seconds(10);
    let thrice = |all: &[Message]| all.iter().any(|one| outcomes(one) == ["unknown", "failed", "failed"]);
    service.when("another", &busy, thrice).await;
    assert_eq!(service.becomes(&busy, "booked", "sms", "unknown").await.reason, "no_answer");
    reports::arrives(&world, &service, first, "delivered", "").await;
    world.seconds(60);
    waits::passes(&world, &service).await;
    assert_eq!(service.becomes(&busy, "booked", "sms", "delivered").await.attempts.len(), 3);
    service.stop().await;
}

async fn attempts_of_a_repetition_end_and_restart_manually(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.attempts_max = 3;
    let service = repeating(&world).await;
    let visit = lost(&world, &service).await;
    world.provider.script([Behaviour::Busy(5), Behaviour::Busy(5), Behaviour::Busy(5)]);
    world.seconds(UNKNOWN_SECONDS);
    poll::until("the end of its patience", WITHIN, || async {
        world.seconds(5);
        service.messages(&visit).await.iter().any(|one| outcomes(one).len() == 4).then_some(())
    })
    .await;
    world.seconds(3600);
    waits::passes(&world, &service).await;
    let unknown = service.becomes(&visit, "booked", "sms", "unknown").await;
    assert_eq!(outcomes(&unknown), ["unknown", "failed", "failed", "failed"]);
    // A manual retry starts anew.
    world.provider.script([Behaviour::Stall]);
    let again = RetryMessageRequest { id: unknown.id };
    service.client.clone().retry_message(Running::context(organization(1)).request(again)).await.unwrap();
    let once_more = |all: &[Message]| all.iter().any(|one| one.attempts.len() == 5 && one.status == "unknown");
    service.when("another silence", &visit, once_more).await;
    world.seconds(UNKNOWN_SECONDS);
    assert_eq!(service.becomes(&visit, "booked", "sms", "sent").await.attempts.len(), 6);
    service.stop().await;
}

async fn a_receipt_for_the_first_attempt_arrives_during_the_second(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.providers.twilio.timeout_seconds = 4;
    let service = repeating(&world).await;
    let visit = lost(&world, &service).await;
    world.provider.script([Behaviour::Stall]);
    world.seconds(UNKNOWN_SECONDS);
    service.becomes(&visit, "booked", "sms", "sending").await;
    reports::arrives(&world, &service, 0, "delivered", "").await;
    assert_eq!(service.becomes(&visit, "booked", "sms", "delivered").await.attempts.len(), 2);
    service.stop().await;
    let service = world.start().await;
    let after = service.becomes(&visit, "booked", "sms", "delivered").await;
    assert_eq!(outcomes(&after), ["sent", "unknown"]);
    service.stop().await;
}

async fn an_unrecorded_send_is_repeated(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.providers.twilio.timeout_seconds = 60;
    let service = repeating(&world).await;
    world.provider.script([Behaviour::Stall]);
    let visit = world.book(START);
    poll::until("the request", WITHIN, || async { (world.texts().len() == 1).then_some(()) }).await;
    let service = waits::dies_sending(&world, service, &visit).await;
    assert_eq!(service.becomes(&visit, "booked", "sms", "unknown").await.attempts.len(), 1);
    world.seconds(UNKNOWN_SECONDS);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!(outcomes(&sent), ["unknown", "sent"]);
    service.stop().await;
}

async fn a_late_receipt_prevents_the_repetition(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = repeating(&world).await;
    let visit = lost(&world, &service).await;
    world.seconds(UNKNOWN_SECONDS - 1);
    reports::arrives(&world, &service, 0, "sent", "").await;
    world.seconds(2);
    waits::passes(&world, &service).await;
    assert_eq!(service.becomes(&visit, "booked", "sms", "sent").await.attempts.len(), 1);
    assert_eq!(world.texts().len(), 2);
    service.stop().await;
}

async fn an_outdated_message_is_not_repeated_and_stays_unknown(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = repeating(&world).await;
    let visit = lost(&world, &service).await;
    world.cancel(&visit);
    service.becomes(&visit, "cancelled", "sms", "sent").await;
    world.seconds(UNKNOWN_SECONDS);
    waits::passes(&world, &service).await;
    let unknown = service.becomes(&visit, "booked", "sms", "unknown").await;
    assert_eq!((unknown.attempts.len(), unknown.reason.as_str()), (1, "no_answer"));
    // A manual retry passes the same check.
    let again = RetryMessageRequest { id: unknown.id };
    service.client.clone().retry_message(Running::context(organization(1)).request(again)).await.unwrap();
    assert_eq!(service.becomes(&visit, "booked", "sms", "suppressed").await.reason, "cancelled");
    service.stop().await;
}

async fn the_present_rule_decides_on_the_repetition(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let repeated = lost(&world, &service).await;
    service.change_rule("booked", |body| body.repeat_unknown = true).await;
    world.seconds(UNKNOWN_SECONDS);
    service.becomes(&repeated, "booked", "sms", "sent").await;
    let never = lost(&world, &service).await;
    service.change_rule("booked", |body| body.repeat_unknown = false).await;
    world.seconds(UNKNOWN_SECONDS);
    waits::passes(&world, &service).await;
    assert_eq!(outcomes(&service.becomes(&never, "booked", "sms", "unknown").await), ["unknown"]);
    service.change_rule("booked", |body| body.repeat_unknown = true).await;
    let unwanted = lost(&world, &service).await;
    service.change_rule("booked", |body| body.channels = vec!["email".into()]).await;
    world.seconds(UNKNOWN_SECONDS);
    let next = world.book(START);
    service.becomes(&next, "booked", "email", "delivered").await;
    assert_eq!(outcomes(&service.becomes(&unwanted, "booked", "sms", "unknown").await), ["unknown"]);
    service.change_rule("booked", |body| body.channels = vec!["sms".into(), "email".into()]).await;
    let archived = lost(&world, &service).await;
    let ctx = Running::context(organization(1));
    let mut client = service.client.clone();
    let rules = client.list_rules(ctx.request(ListRulesRequest::default())).await.unwrap().into_inner().rules;
    let booked = rules.into_iter().find(|rule| rule.body.as_ref().unwrap().trigger == "booked").unwrap();
    client.archive_rule(ctx.request(ArchiveRuleRequest { id: booked.id, if_version: booked.version })).await.unwrap();
    world.seconds(UNKNOWN_SECONDS);
    let cancelled = world.book(START);
    world.cancel(&cancelled);
    service.becomes(&cancelled, "cancelled", "sms", "sent").await;
    assert_eq!(outcomes(&service.becomes(&archived, "booked", "sms", "unknown").await), ["unknown"]);
    service.stop().await;
}

testkit::engines!(
    an_unknown_message_is_repeated_where_its_rule_says_so_and_no_receipt_came,
    an_unknown_message_is_repeated_once,
    a_refused_repetition_leaves_the_message_unknown,
    attempts_of_a_repetition_end_and_restart_manually,
    a_receipt_for_the_first_attempt_arrives_during_the_second,
    an_unrecorded_send_is_repeated,
    a_late_receipt_prevents_the_repetition,
    an_outdated_message_is_not_repeated_and_stays_unknown,
    the_present_rule_decides_on_the_repetition,
);
