//! Two SMS providers, the second as the fallback of the first.

use crate::common::{PUBLIC_URL, Running, TOKEN, WITHIN, World, organization, reports, rows::Rows, us, waits};
use testkit::{
    database::Database,
    endpoint::{Answer, Endpoint},
    poll,
    port::Port,
    sms::Behaviour,
};
use wire::reminder::{Message, ReceiveRequest};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A world with these two SMS providers.
async fn with_both(database: Database, first: &str, second: &str) -> (World, Endpoint) {
    let mut world = World::with_twilio(database, NOW).await;
    let fake = Endpoint::start(Answer::Say(202, r#"{"id":"theirs"}"#.into())).await.unwrap();
    world.config.sms_provider = first.into();
    world.config.sms_fallback = Some(second.into());
    world.config.providers.http.url = Some(fake.url());
    world.config.providers.http.secret = Some(SECRET.into());
    world.config.providers.http.timeout_seconds = 1;
    (world, fake)
}

/// Provider, outcome and code of each attempt.
fn attempts(message: &Message) -> Vec<(&str, &str, &str)> {
    message.attempts.iter().map(|one| (one.provider.as_str(), one.outcome.as_str(), one.error_code.as_str())).collect()
}

fn callback(provider: &str, message: &Message, attempt: i32) -> String {
    let (id, org) = (&message.id, organization(1));
    format!("{PUBLIC_URL}/v1/providers/{provider}/status?message_id={id}&attempt={attempt}&org={org}")
}

async fn receive(service: &Running, report: ReceiveRequest) {
    service.client.clone().receive_status(Running::context(organization(1)).request(report)).await.unwrap();
}

/// Whether the text about a booking waits after this number of attempts.
fn waits(tries: usize) -> impl Fn(&[Message]) -> bool {
    move |all| {
        let text = all.iter().find(|one| one.channel == "sms" && one.trigger == "booked");
        text.is_some_and(|one| one.status == "scheduled" && one.attempts.len() == tries)
    }
}

async fn an_unreachable_provider_falls_back_to_the_second(database: Database) {
    let (mut world, fake) = with_both(database, "twilio", "http").await;
    let nobody = Port::free().unwrap();
    world.config.providers.twilio.base_url = nobody.url();
    let service = world.start().await;
    let visit = world.book(START);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!(sent.provider, "http");
    assert_eq!(attempts(&sent), [("twilio", "failed", "not_connected"), ("http", "sent", "")]);
    assert_eq!(sent.sent_at_us, us(NOW), "at once");
    let [posted] = fake.posted().try_into().unwrap();
    assert_eq!(posted.headers["webhook-id"], format!("{}-2", sent.id), "under a name of its own");
    // Receipts of the first provider do not count, whichever attempt they name.
    for attempt in [1, 2] {
        receive(&service, reports::twilio(&callback("twilio", &sent, attempt), "undelivered", "30005", TOKEN)).await;
        receive(&service, reports::twilio(&callback("twilio", &sent, attempt), "delivered", "", TOKEN)).await;
    }
    let after = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!(after.attempts[1].error_code, "");
    let body = format!(r#"{{"id":"{}-2","status":"delivered"}}"#, sent.id);
    // A receipt of the second provider for the first one's attempt does not count.
    let foreign = format!(r#"{{"id":"{}-1","status":"undelivered"}}"#, sent.id);
    for body in [foreign, body] {
        receive(&service, reports::http(&callback("http", &sent, 2), &body, us(NOW), SECRET)).await;
    }
    service.becomes(&visit, "booked", "sms", "delivered").await;
    assert_eq!(fake.posted().len(), 1);
    service.stop().await;
}

async fn a_busy_provider_falls_back_to_the_second_at_once(database: Database) {
    let (world, fake) = with_both(database, "twilio", "http").await;
    world.provider.script([Behaviour::Busy(90)]);
    let service = world.start().await;
    let visit = world.book(START);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!(attempts(&sent), [("twilio", "failed", "20429"), ("http", "sent", "")]);
    // Until then the first provider gets no message.
    let meanwhile = world.book(START);
    assert_eq!(attempts(&service.becomes(&meanwhile, "booked", "sms", "sent").await), [("http", "sent", "")]);
    world.seconds(91);
    // The first provider is ready again. A permanent refusal has no fallback to the second.
    world.provider.script([Behaviour::Accept, Behaviour::Refuse(400, 21211)]);
    let next = world.book(START);
    assert_eq!(service.becomes(&next, "booked", "sms", "sent").await.provider, "twilio");
    let refused = world.book(START);
    let failed = service.becomes(&refused, "booked", "sms", "failed").await;
    assert_eq!(attempts(&failed), [("twilio", "failed", "21211")]);
    assert_eq!((fake.posted().len(), world.texts().len()), (2, 3));
    service.stop().await;
}

async fn a_message_with_an_unknown_outcome_has_no_fallback(database: Database) {
    let (world, fake) = with_both(database, "twilio", "http").await;
    world.provider.script([Behaviour::Stall]);
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "unknown").await;
    world.until("2026-03-04T20:00:00Z");
    let next = world.book(START);
    service.becomes(&next, "booked", "sms", "sent").await;
    let unknown = service.becomes(&visit, "booked", "sms", "unknown").await;
    assert_eq!(attempts(&unknown), [("twilio", "unknown", "")]);
    assert_eq!((fake.posted().len(), world.texts().len()), (0, 2));
    service.stop().await;
}

async fn a_killed_send_is_repeated_under_the_same_key(database: Database) {
    let (mut world, fake) = with_both(database, "http", "twilio").await;
    world.config.providers.http.timeout_seconds = 60;
    fake.script([Answer::Silence]);
    let service = world.start().await;
    service.change_rule("booked", |body| body.repeat_unknown = true).await;
    let visit = world.book(START);
    poll::until("the request", WITHIN, || async { (fake.posted().len() == 1).then_some(()) }).await;
    let service = waits::dies_sending(&world, service, &visit).await;
    service.becomes(&visit, "booked", "sms", "unknown").await;
    world.seconds(600);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    let ids: Vec<_> = fake.posted().iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids, vec![format!("{}-1", sent.id); 2]);
    service.stop().await;
}

async fn a_message_that_a_provider_may_hold_stays_with_it(database: Database) {
    let (world, fake) = with_both(database, "http", "twilio").await;
    // A timeout, an error of a proxy, and a refusal that says nothing about the first attempt.
    fake.script([Answer::Silence, Answer::Say(503, String::new()), Answer::Later(429, 5)]);
    let service = world.start().await;
    let visit = world.book(START);
    poll::until("the provider to take it", WITHIN, || async {
        world.seconds(30);
        let all = service.messages(&visit).await;
        all.iter().any(|one| one.channel == "sms" && one.status == "sent").then_some(())
    })
    .await;
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    let codes = [("http", "failed", "no_answer"), ("http", "failed", "503"), ("http", "failed", "429")];
    assert_eq!(attempts(&sent), [&codes[..], &[("http", "sent", "")]].concat());
    let ids: Vec<_> = fake.posted().iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids, vec![format!("{}-1", sent.id); 4]);
    assert_eq!(world.texts().len(), 0);
    // A provider that names a delay holds nothing: the message falls back to the second one.
    fake.script([Answer::Later(503, 90)]);
    let next = world.book(START);
    let sent = service.becomes(&next, "booked", "sms", "sent").await;
    assert_eq!(attempts(&sent), [("http", "failed", "503"), ("twilio", "sent", "")]);
    service.stop().await;
}

async fn a_message_that_a_removed_provider_may_hold_is_not_sent(database: Database) {
    let (mut world, fake) = with_both(database, "http", "twilio").await;
    fake.script([Answer::Silence]);
    let service = world.start().await;
    let visit = world.book(START);
    service.when("the silence", &visit, |all| all.iter().any(|one| one.reason == "provider_busy")).await;
    service.stop().await;
    (world.config.sms_provider, world.config.sms_fallback) = ("twilio".into(), None);
    let service = world.start().await;
    world.seconds(60);
    let unknown = service.becomes(&visit, "booked", "sms", "unknown").await;
    assert_eq!((unknown.reason.as_str(), unknown.attempts.len()), ("no_answer", 1));
    assert_eq!(world.texts().len(), 0);
    service.stop().await;
}

async fn a_suspended_provider_is_skipped_until_it_answers(database: Database) {
    let (mut world, fake) = with_both(database, "twilio", "http").await;
    (world.config.breaker_failures, world.config.concurrency) = (2, 1);
    world.provider.script([Behaviour::HangUp, Behaviour::HangUp]);
    let service = world.start().await;
    for _ in 0..2 {
        let visit = world.book(START);
        service.becomes(&visit, "booked", "sms", "unknown").await;
    }
    let visit = world.book(START);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!(attempts(&sent), [("http", "sent", "")]);
    assert_eq!((sent.sent_at_us, world.texts().len()), (us(NOW), 2));
    world.seconds(17);
    let visit = world.book(START);
    assert_eq!(attempts(&service.becomes(&visit, "booked", "sms", "sent").await), [("twilio", "sent", "")]);
    assert_eq!(fake.posted().len(), 1);
    service.stop().await;
}

async fn with_both_providers_suspended_a_message_waits(database: Database) {
    let (mut world, _fake) = with_both(database, "twilio", "http").await;
    let rows = Rows::open(&world.database.admin_for_service("reminder")).await;
    let nobody = Port::free().unwrap();
    world.config.providers.twilio.base_url = nobody.url();
    world.config.providers.http.url = Some(nobody.url());
    (world.config.breaker_failures, world.config.concurrency) = (1, 1);
    let service = world.start().await;
    let visit = world.book(START);
    service.when("each to be asked", &visit, waits(2)).await;
    let next = world.book(START);
    service.becomes(&next, "booked", "email", "delivered").await;
    // Until the first suspension ends, with some jitter.
    let opens_us = us(NOW) + 15_000_000;
    poll::until("the message to be put off", WITHIN, || async {
        let due = rows.until(opens_us + 1_200_000).await;
        due.iter().any(|one| one.status == "scheduled" && one.wake_at_us > opens_us).then_some(())
    })
    .await;
    assert!(waits(0)(&service.messages(&next).await));
    service.stop().await;
}

async fn a_busy_provider_is_retried_when_it_said_while_the_second_is_unreachable(database: Database) {
    let (mut world, _fake) = with_both(database, "twilio", "http").await;
    let rows = Rows::open(&world.database.admin_for_service("reminder")).await;
    let nobody = Port::free().unwrap();
    world.config.providers.http.url = Some(nobody.url());
    (world.config.breaker_failures, world.config.concurrency) = (1, 1);
    world.provider.script([Behaviour::Busy(90)]);
    let service = world.start().await;
    // The first message finds the second provider unreachable, the next one finds both unavailable.
    let mut visits = vec![];
    for tries in [2, 0] {
        let visit = world.book(START);
        service.when("each to be asked", &visit, waits(tries)).await;
        service.becomes(&visit, "booked", "email", "delivered").await;
        visits.push(visit);
    }
    poll::until("both to wait", WITHIN, || async {
        let texts = rows.until(us(NOW) + 110_000_000).await;
        let mut waits: Vec<_> = texts.iter().map(|one| (one.wake_at_us - us(NOW)) / 1_000_000).collect();
        waits.sort_unstable();
        // The first provider when it said; the second one named no delay and is retried before.
        matches!(waits[..], [15..90, last] if last >= 90).then_some(())
    })
    .await;
    world.seconds(110);
    for visit in &visits {
        assert_eq!(service.becomes(visit, "booked", "sms", "sent").await.provider, "twilio");
    }
    assert_eq!(world.texts().len(), 3);
    service.stop().await;
}

async fn each_provider_gets_its_number_of_attempts(database: Database) {
    let (mut world, fake) = with_both(database, "twilio", "http").await;
    world.config.attempts_max = 2;
    world.provider.script([Behaviour::Busy(5); 9]);
    fake.script(vec![Answer::Later(429, 5); 9]);
    let service = world.start().await;
    let visit = world.book(START);
    service.when("each to be asked", &visit, waits(2)).await;
    poll::until("the end of its patience", WITHIN, || async {
        world.seconds(6);
        service.messages(&visit).await.iter().any(|one| one.reason == "gave_up").then_some(())
    })
    .await;
    let failed = service.becomes(&visit, "booked", "sms", "failed").await;
    let (one, two) = (("twilio", "failed", "20429"), ("http", "failed", "429"));
    assert_eq!(attempts(&failed), [one, two, one, two]);
    service.stop().await;
}

testkit::engines!(
    an_unreachable_provider_falls_back_to_the_second,
    a_busy_provider_falls_back_to_the_second_at_once,
    a_message_with_an_unknown_outcome_has_no_fallback,
    a_killed_send_is_repeated_under_the_same_key,
    a_message_that_a_provider_may_hold_stays_with_it,
    a_message_that_a_removed_provider_may_hold_is_not_sent,
    a_suspended_provider_is_skipped_until_it_answers,
    with_both_providers_suspended_a_message_waits,
    a_busy_provider_is_retried_when_it_said_while_the_second_is_unreachable,
    each_provider_gets_its_number_of_attempts,
);
