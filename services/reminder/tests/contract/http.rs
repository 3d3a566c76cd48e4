//! Text messages through a gateway of the clinic's own, which takes signed JSON and drops repeated ids.

use crate::common::{PUBLIC_URL, Running, World, organization, reports::http as report, us, with_token};
use rpc::{Code, Fault};
use serde_json::Value;
use testkit::{
    database::Database,
    endpoint::{Answer, Endpoint, Posted},
};
use wire::reminder::{Message, ReceiveRequest, receive_request::Field};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

async fn with_http(database: Database) -> (World, Endpoint) {
    let mut world = World::new(database, NOW).await;
    let fake = Endpoint::start(Answer::Say(202, r#"{"id":"theirs"}"#.into())).await.unwrap();
    world.config.sms_provider = "http".into();
    world.config.providers.http.url = Some(format!("{}/messages", fake.url()));
    world.config.providers.http.secret = Some(SECRET.into());
    world.config.providers.http.timeout_seconds = 1;
    (world, fake)
}

fn json(posted: &Posted) -> Value {
    serde_json::from_str(&posted.body).unwrap()
}

async fn a_text_is_posted_and_signed(database: Database) {
    let (world, fake) = with_http(database).await;
    let service = world.start().await;
    let visit = world.book(START);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!((sent.provider.as_str(), sent.attempts[0].provider_message_id.as_str()), ("http", "theirs"));
    let posted = fake.wait_for(1).await.remove(0);
    let (body, id) = (json(&posted), format!("{}-1", sent.id));
    let org = organization(1);
    let callback = format!("{PUBLIC_URL}/v1/providers/http/status?message_id={}&attempt=1&org={org}", sent.id);
    assert_eq!((body["id"].as_str(), body["to"].as_str()), (Some(id.as_str()), Some("+15005550009")));
    assert_eq!(
        (body["text"].as_str(), body["status_url"].as_str()),
        (Some(&*with_token(&sent.text)), Some(&*callback))
    );
    assert_eq!((posted.path.as_str(), posted.headers["content-type"].as_str()), ("/messages", "application/json"));
    let seconds = us(NOW) / 1_000_000;
    assert_eq!((&posted.headers["webhook-id"], &posted.headers["webhook-timestamp"]), (&id, &seconds.to_string()));
    let secret: signing::Secret = SECRET.parse().unwrap();
    assert_eq!(posted.headers["webhook-signature"], secret.sign(&id, seconds, posted.body.as_bytes()));
    service.stop().await;
}

async fn an_unanswered_text_is_sent_again_under_the_same_id(database: Database) {
    let (world, fake) = with_http(database).await;
    fake.script([Answer::Silence, Answer::Later(503, 90)]);
    let service = world.start().await;
    let visit = world.book(START);
    let busy = |tries: usize| {
        move |all: &[Message]| {
            let text = all.iter().find(|one| one.channel == "sms" && one.status == "scheduled");
            text.is_some_and(|one| one.attempts.len() == tries && !one.attempts[tries - 1].error_code.is_empty())
        }
    };
    service.when("the silence", &visit, busy(1)).await;
    world.seconds(60);
    service.when("the 503", &visit, busy(2)).await;
    world.seconds(89);
    service.becomes(&visit, "booked", "email", "delivered").await;
    assert_eq!(fake.posted().len(), 2);
    // The named delay, and up to a fifth more.
    world.seconds(1 + 18);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    let ids: Vec<_> = fake.wait_for(3).await.iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids, vec![format!("{}-1", sent.id); 3]);
    let codes: Vec<_> = sent.attempts.iter().map(|one| one.error_code.as_str()).collect();
    assert_eq!(codes, ["no_answer", "503", ""]);
    // The gateway accepted the first attempt, and reports on it.
    let url = json(&fake.posted()[0])["status_url"].as_str().unwrap().to_owned();
    let late = report(&url, r#"{"status":"delivered"}"#, world.clock.now_us(), SECRET);
    service.client.clone().receive_status(Running::context(organization(1)).request(late)).await.unwrap();
    service.becomes(&visit, "booked", "sms", "delivered").await;
    service.stop().await;
}

async fn a_receipt_for_an_unanswered_text_ends_the_retries(database: Database) {
    let (world, fake) = with_http(database).await;
    fake.script([Answer::Silence]);
    let service = world.start().await;
    let visit = world.book(START);
    let busy = |all: &[Message]| all.iter().any(|one| one.reason == "provider_busy" && one.status == "scheduled");
    service.when("the silence", &visit, busy).await;
    let url = json(&fake.posted()[0])["status_url"].as_str().unwrap().to_owned();
    let mut client = service.client.clone();
    let ctx = Running::context(organization(1));
    client.receive_status(ctx.request(report(&url, r#"{"status":"sent"}"#, us(NOW), SECRET))).await.unwrap();
    assert_eq!(service.becomes(&visit, "booked", "sms", "sent").await.reason, "");
    world.seconds(3600);
    let other = world.book(START);
    service.becomes(&other, "booked", "sms", "sent").await;
    assert_eq!(fake.posted().len(), 2, "it was not given again");
    service.stop().await;
}

async fn a_receipt_counts_once_its_signature_is_valid(database: Database) {
    let (world, fake) = with_http(database).await;
    let service = world.start().await;
    let visit = world.book(START);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    let url = json(&fake.wait_for(1).await[0])["status_url"].as_str().unwrap().to_owned();
    let mut client = service.client.clone();
    let ctx = Running::context(organization(2));
    let good = |body: &str| report(&url, body, us(NOW), SECRET);
    let body = r#"{"status":"delivered"}"#;
    let forged = [
        report(&url, body, us(NOW), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        report(&url, body, us(NOW) - 301_000_000, SECRET),
        ReceiveRequest { body: br#"{"status":"delivered" }"#.to_vec(), ..good(body) },
        ReceiveRequest { headers: vec![], ..good(body) },
    ];
    for call in forged {
        let refused = client.receive_status(ctx.request(call)).await.unwrap_err();
        assert_eq!(Fault::from(refused).code, Code::SignatureInvalid);
    }
    // Unsigned fields do not count, nor do receipts for another message. The format is our own, so the fault says how to
    // mend it.
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    let smuggled = ReceiveRequest { form: vec![field("status", "delivered")], ..good("{}") };
    let other = good(r#"{"id":"msg_01jnd1kt00e2psz5vtyx4vv1qc-1","status":"delivered"}"#);
    let nowhere = report(&format!("{PUBLIC_URL}/v1/providers/http/status"), body, us(NOW), SECRET);
    for (call, expected) in [
        (smuggled, "/status missing"),
        (other, "/id invalid_value"),
        (nowhere, "message_id missing"),
        (good(r#"{"status":"DELIVERED"}"#), "/status invalid_value"),
        (good(r#"{"status":["delivered"]}"#), "/status wrong_type"),
        (good("status=delivered"), ""),
    ] {
        let refused = Fault::from(client.receive_status(ctx.request(call)).await.unwrap_err());
        let code = if expected.is_empty() { Code::MalformedRequest } else { Code::ValidationFailed };
        assert_eq!((faults(&refused).join(", ").as_str(), refused.code), (expected, code));
    }
    assert_eq!(service.becomes(&visit, "booked", "sms", "sent").await.reason, "");
    let lost = format!(r#"{{"id":"{}-1","status":"undelivered","error_code":"opted_out"}}"#, sent.id);
    client.receive_status(ctx.request(good(&lost))).await.unwrap();
    let undelivered = service.becomes(&visit, "booked", "sms", "undelivered").await;
    assert_eq!((undelivered.reason.as_str(), undelivered.attempts[0].error_code.as_str()), ("opted_out", "opted_out"));
    let next = world.book(START);
    assert_eq!(service.becomes(&next, "booked", "sms", "suppressed").await.reason, "opted_out");
    service.stop().await;
}

fn faults(fault: &Fault) -> Vec<String> {
    fault.violations.iter().map(|one| format!("{} {}", one.pointer, one.code)).collect()
}

async fn an_inbound_text_must_have_the_documented_form(database: Database) {
    let (world, _fake) = with_http(database).await;
    let service = world.start().await;
    let url = format!("{PUBLIC_URL}/v1/providers/http/inbound");
    let ctx = Running::context(organization(9));
    let pass_on = async |body: &str| {
        let call = report(&url, body, us(NOW), SECRET);
        service.client.clone().receive_inbound(ctx.request(call)).await.map(tonic::Response::into_inner)
    };
    let texts = async || {
        let request = ctx.request(wire::reminder::ListInboxRequest::default());
        let items = service.client.clone().list_inbox(request).await.unwrap().into_inner().items;
        items.into_iter().rev().map(|item| (item.from, item.text)).collect::<Vec<_>>()
    };
    // Without an id, each text is a new one, even with the same sender and content.
    let mut expected = vec![];
    for from in ["+15005550009", "+15005550010", "+15005550009"] {
        let received = pass_on(&format!(r#"{{"from":"{from}","text":"hello"}}"#)).await.unwrap();
        assert!(received.id.starts_with("inb_") && !received.repeated, "{}", received.id);
        expected.push((from.to_owned(), "hello".to_owned()));
        assert_eq!(texts().await, expected);
    }
    // With an id, a text counts once; `null` is no id.
    for (id, repeated) in [(r#""in-1""#, false), (r#""in-1""#, true), ("null", false)] {
        let received =
            pass_on(&format!(r#"{{"id":{id},"from":"+15005550011","text":"late","to":"1"}}"#)).await.unwrap();
        assert_eq!((received.repeated, received.id.is_empty()), (repeated, repeated));
    }
    expected.extend(vec![("+15005550011".to_owned(), "late".to_owned()); 2]);
    assert_eq!(texts().await, expected);
    for (body, wrong) in [
        (r#"{"from":"+15005550009","body":"C"}"#, vec!["/body unknown_field", "/text missing"]),
        (r#"{"from":"+15005550009","text":"C","body":"C"}"#, vec!["/body unknown_field"]),
        (r#"{"from":"+15005550009","text":"  "}"#, vec!["/text blank"]),
        (r#"{"from":"5005550009","text":"C"}"#, vec!["/from invalid_phone"]),
        (r#"{"from":"+15005550009","text":{}}"#, vec!["/text wrong_type"]),
        ("{}", vec!["/from missing", "/text missing"]),
    ] {
        let fault = Fault::from(pass_on(body).await.unwrap_err());
        assert_eq!(
            (fault.code, faults(&fault)),
            (Code::ValidationFailed, wrong.iter().map(|it| (*it).into()).collect())
        );
    }
    for body in ["", "not JSON", "from=%2B15005550009&text=C", r#"["C"]"#] {
        let fault = Fault::from(pass_on(body).await.unwrap_err());
        assert_eq!(fault.code, Code::MalformedRequest, "{body}");
    }
    // A callback without a valid signature learns nothing of the format.
    let forged = report(&url, "not JSON", us(NOW), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let refused = service.client.clone().receive_inbound(ctx.request(forged)).await.unwrap_err();
    assert_eq!(Fault::from(refused).code, Code::SignatureInvalid);
    assert_eq!(texts().await, expected, "nothing that was refused is kept");
    service.stop().await;
}

async fn a_manual_retry_has_another_id(database: Database) {
    let (world, fake) = with_http(database).await;
    fake.script([Answer::Say(422, r#"{"code":"landline"}"#.into())]);
    let service = world.start().await;
    let visit = world.book(START);
    let failed = service.becomes(&visit, "booked", "sms", "failed").await;
    assert_eq!((failed.reason.as_str(), failed.attempts[0].error_code.as_str()), ("refused", "landline"));
    let again = wire::reminder::RetryMessageRequest { id: failed.id.clone() };
    service.client.clone().retry_message(Running::context(organization(1)).request(again)).await.unwrap();
    service.becomes(&visit, "booked", "sms", "sent").await;
    let ids: Vec<_> = fake.wait_for(2).await.iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids, [format!("{}-1", failed.id), format!("{}-2", failed.id)]);
    service.stop().await;
}

testkit::engines!(
    a_text_is_posted_and_signed,
    an_unanswered_text_is_sent_again_under_the_same_id,
    a_receipt_for_an_unanswered_text_ends_the_retries,
    a_receipt_counts_once_its_signature_is_valid,
    an_inbound_text_must_have_the_documented_form,
    a_manual_retry_has_another_id,
);
