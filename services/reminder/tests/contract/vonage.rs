//! Text messages through Vonage, whose answers and receipts cover one part each.

use crate::common::{PUBLIC_URL, Running, World, organization, with_token};
use rpc::{Code, Fault};
use testkit::{
    database::Database,
    endpoint::{Answer, Endpoint},
};
use wire::reminder::{Message, ReceiveRequest, receive_request::Field};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";
const SECRET: &str = "signature-secret";

async fn with_vonage(database: Database, parts: usize) -> (World, Endpoint) {
    let mut world = World::new(database, NOW).await;
    let fake = Endpoint::start(answer(&vec!["0"; parts])).await.unwrap();
    world.config.sms_provider = "vonage".into();
    let vonage = &mut world.config.providers.vonage;
    vonage.base_url = fake.url();
    vonage.api_key = Some("key".into());
    vonage.api_secret = Some("secret".into());
    vonage.signature_secret = Some(SECRET.into());
    vonage.from = Some("+15005550006".into());
    vonage.timeout_seconds = 1;
    (world, fake)
}

/// An answer for this number of parts.
fn answer(statuses: &[&str]) -> Answer {
    let part = |(index, status): (usize, &&str)| {
        format!(r#"{{"to":"15005550009","message-id":"part-{index}","status":"{status}","error-text":"x"}}"#)
    };
    let parts: Vec<_> = statuses.iter().enumerate().map(part).collect();
    Answer::Say(200, format!(r#"{{"message-count":"{}","messages":[{}]}}"#, parts.len(), parts.join(",")))
}

/// A receipt for the attempt with this callback URL and reference.
fn receipt((url, reference): (&str, &str), part: &str, status: &str, code: &str, secret: &str) -> ReceiveRequest {
    let mut fields = [
        ("msisdn", "15005550009"),
        ("to", "15005550006"),
        ("messageId", part),
        ("status", status),
        ("err-code", code),
        ("client-ref", reference),
        ("timestamp", "1772000000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    fields.push(("sig".to_owned(), reminder::vonage_signature(secret, &fields)));
    let form = fields.into_iter().map(|(name, value)| Field { name, value }).collect();
    ReceiveRequest { provider: "vonage".into(), url: url.to_owned(), form, ..Default::default() }
}

async fn a_text_is_sent_in_vonages_format(database: Database) {
    let (world, fake) = with_vonage(database, 1).await;
    let service = world.start().await;
    let visit = world.book(START);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!((sent.provider.as_str(), sent.attempts[0].provider_message_id.as_str()), ("vonage", "part-0"));
    let asked = fake.wait_for(1).await.remove(0);
    let form = asked.form();
    assert_eq!(asked.path, "/sms/json");
    let (id, org) = (&sent.id, organization(1));
    let callback = format!("{PUBLIC_URL}/v1/providers/vonage/status?message_id={id}&attempt=1&org={org}");
    let reference = format!("{id}-1");
    for (name, value) in [
        ("api_key", "key"),
        ("api_secret", "secret"),
        ("from", "15005550006"),
        ("to", "15005550009"),
        ("text", &*with_token(&sent.text)),
        ("client-ref", &reference),
        ("status-report-req", "1"),
        ("callback", &callback),
    ] {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!form.contains_key("type"));
    service.stop().await;
}

async fn a_text_is_delivered_when_each_part_is(database: Database) {
    let (world, fake) = with_vonage(database, 2).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    let form = fake.wait_for(1).await.remove(0).form();
    let about = (form["callback"].as_str(), form["client-ref"].as_str());
    let mut client = service.client.clone();
    let ctx = Running::context(organization(2));
    let forged = receipt(about, "part-0", "delivered", "0", "not the secret");
    let refused = client.receive_status(ctx.request(forged)).await.unwrap_err();
    assert_eq!(Fault::from(refused).code, Code::SignatureInvalid);
    // A repeated receipt counts once.
    for _ in 0..2 {
        let report = receipt(about, "part-0", "delivered", "0", SECRET);
        client.receive_status(ctx.request(report)).await.unwrap();
        assert_eq!(service.becomes(&visit, "booked", "sms", "sent").await.reason, "");
    }
    // A signed receipt of another message does not count.
    let other = receipt((about.0, "msg_other-1"), "part-1", "delivered", "0", SECRET);
    client.receive_status(ctx.request(other)).await.unwrap();
    assert_eq!(service.becomes(&visit, "booked", "sms", "sent").await.attempts.len(), 1);
    // As JSON, too.
    let form = receipt(about, "part-1", "delivered", "0", SECRET);
    let object = form.form.iter().map(|it| (it.name.clone(), it.value.clone().into()));
    let body = serde_json::Value::Object(object.collect()).to_string().into_bytes();
    client.receive_status(ctx.request(ReceiveRequest { form: vec![], body, ..form })).await.unwrap();
    service.becomes(&visit, "booked", "sms", "delivered").await;
    service.stop().await;
}

async fn concurrent_receipts_for_parts_all_count(database: Database) {
    let (world, fake) = with_vonage(database, 2).await;
    let service = world.start().await;
    let visits: Vec<_> = (0..12).map(|_| world.book(START)).collect();
    for visit in &visits {
        service.becomes(visit, "booked", "sms", "sent").await;
    }
    for asked in fake.wait_for(visits.len()).await {
        let form = asked.form();
        let reports = ["part-0", "part-1"].map(|part| {
            let report = receipt((&form["callback"], &form["client-ref"]), part, "delivered", "0", SECRET);
            let mut client = service.client.clone();
            async move { client.receive_status(Running::context(organization(1)).request(report)).await.unwrap() }
        });
        futures::future::join_all(reports).await;
    }
    for visit in &visits {
        service.becomes(visit, "booked", "sms", "delivered").await;
    }
    service.stop().await;
}

async fn a_lost_part_makes_the_text_undelivered(database: Database) {
    let (world, fake) = with_vonage(database, 2).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    let form = fake.wait_for(1).await.remove(0).form();
    let about = (form["callback"].as_str(), form["client-ref"].as_str());
    let mut client = service.client.clone();
    let ctx = Running::context(organization(1));
    for (part, status, code) in [("part-0", "delivered", "0"), ("part-1", "failed", "2"), ("part-1", "delivered", "0")]
    {
        client.receive_status(ctx.request(receipt(about, part, status, code, SECRET))).await.unwrap();
    }
    // The other part has arrived, so the text is not retried; a text of one part would be.
    let lost = service.becomes(&visit, "booked", "sms", "undelivered").await;
    assert_eq!((lost.reason.as_str(), lost.attempts[0].error_code.as_str()), ("not_delivered", "2"));
    service.stop().await;
}

async fn an_unreachable_single_part_is_retried(database: Database) {
    let (world, fake) = with_vonage(database, 1).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    let form = fake.wait_for(1).await.remove(0).form();
    let about = (form["callback"].as_str(), form["client-ref"].as_str());
    let report = receipt(about, "part-0", "failed", "2", SECRET);
    service.client.clone().receive_status(Running::context(organization(1)).request(report)).await.unwrap();
    world.seconds(400);
    let form = fake.wait_for(2).await.remove(1).form();
    assert!(form["callback"].contains("&attempt=2&"));
    assert!(form["client-ref"].ends_with("-2"));
    service.stop().await;
}

async fn a_throttled_text_is_retried_and_a_partly_accepted_one_is_not(database: Database) {
    let (world, fake) = with_vonage(database, 2).await;
    fake.script([answer(&["1"]), answer(&["0", "1"]), answer(&["7"]), Answer::Silence]);
    let service = world.start().await;
    let visit = world.book(START);
    let busy = |all: &[Message]| all.iter().any(|one| one.reason == "provider_busy" && one.channel == "sms");
    service.when("the first refusal", &visit, busy).await;
    world.seconds(60);
    let unknown = service.becomes(&visit, "booked", "sms", "unknown").await;
    assert_eq!((unknown.attempts.len(), unknown.attempts[0].error_code.as_str()), (2, "1"));
    let barred = world.book(START);
    assert_eq!(service.becomes(&barred, "booked", "sms", "failed").await.reason, "opted_out");
    let mut patient = crate::common::patient();
    patient.phone = "+15005550010".into();
    let silent = world.book_for(organization(1), crate::common::us(START), patient);
    assert_eq!(service.becomes(&silent, "booked", "sms", "unknown").await.reason, "no_answer");
    assert_eq!(fake.posted().len(), 4);
    service.stop().await;
}

testkit::engines!(
    a_text_is_sent_in_vonages_format,
    a_text_is_delivered_when_each_part_is,
    concurrent_receipts_for_parts_all_count,
    a_lost_part_makes_the_text_undelivered,
    an_unreachable_single_part_is_retried,
    a_throttled_text_is_retried_and_a_partly_accepted_one_is_not,
);
