//! The fallback to e-mail for a text message that did not reach its patient.

use crate::common::{Running, WITHIN, World, organization, patient, replies, reports, summaries, us, waits};
use testkit::{database::Database, poll, sms::Behaviour};
use wire::{
    booking::{Consent, PatientDetails},
    reminder::{Message, RetryMessageRequest, RuleBody},
};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";

/// A service whose bookings are announced by text message, with e-mail as the fallback.
async fn with_fallback(world: &World) -> Running {
    let service = world.start().await;
    let change = service.change_rule("booked", |body| {
        (body.channels, body.fallback_channels) = (vec!["sms".into()], vec!["email".into()]);
        // The own template is for text messages alone; e-mails use the shipped one.
        body.template.as_mut().unwrap().sms = "See you on {{ date }}".into();
    });
    let changed = change.await;
    assert_eq!((changed.channels, changed.fallback_channels), (vec!["sms".into()], vec!["email".into()]));
    service
}

/// `trigger channel status reason` of the messages about a booking.
async fn about_booking(service: &Running, visit: &str) -> Vec<String> {
    summaries(&service.messages(visit).await).into_iter().filter(|line| line.starts_with("booked")).collect()
}

async fn a_refused_text_falls_back_to_one_email(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    world.provider.script([Behaviour::Refuse(400, 21211); 2]);
    let service = with_fallback(&world).await;
    let visit = world.book(START);
    let failed = service.becomes(&visit, "booked", "sms", "failed").await;
    let email = service.becomes(&visit, "booked", "email", "delivered").await;
    assert_eq!((&email.rule_id, email.appointment_version), (&failed.rule_id, failed.appointment_version));
    assert_eq!((email.due_at_us, email.to.as_str()), (us(NOW), "canary@example.org"));
    assert_eq!((email.instead_of.as_str(), failed.instead_of.as_str()), (failed.id.as_str(), ""));
    assert!(email.text.contains("Northside Physio") && !email.subject.is_empty(), "the shipped text");
    // A second refusal plans no second e-mail.
    let again = RetryMessageRequest { id: failed.id };
    service.client.clone().retry_message(Running::context(organization(1)).request(again)).await.unwrap();
    service.when("the second refusal", &visit, |all| all.iter().any(|one| one.attempts.len() == 2)).await;
    waits::passes(&world, &service).await;
    assert_eq!(about_booking(&service, &visit).await, ["booked email delivered", "booked sms failed refused"]);
    assert_eq!(service.becomes(&visit, "booked", "email", "delivered").await.attempts.len(), 1);
    service.stop().await;
}

async fn an_undelivered_text_falls_back_to_one_email(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = with_fallback(&world).await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    // The phone is unreachable: a retry comes first, and no fallback yet.
    reports::arrives(&world, &service, 0, "undelivered", "30003").await;
    assert_eq!(about_booking(&service, &visit).await, ["booked sms scheduled not_delivered"]);
    world.seconds(400);
    poll::until("the next attempt", WITHIN, || async { (world.texts().len() == 2).then_some(()) }).await;
    service.becomes(&visit, "booked", "sms", "sent").await;
    let twice = [(); 4].map(|()| reports::arrives(&world, &service, 1, "undelivered", "30005"));
    futures::future::join_all(twice).await;
    service.becomes(&visit, "booked", "email", "delivered").await;
    reports::arrives(&world, &service, 1, "failed", "30005").await;
    waits::passes(&world, &service).await;
    let all = ["booked email delivered", "booked sms undelivered not_delivered"];
    assert_eq!(about_booking(&service, &visit).await, all);
    assert_eq!(service.becomes(&visit, "booked", "email", "delivered").await.attempts.len(), 1);
    service.stop().await;
}

async fn a_patient_without_phone_or_sms_consent_gets_the_email(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    world.provider.script([Behaviour::Refuse(400, 21610)]);
    let service = with_fallback(&world).await;
    let of = |patient| world.book_for(organization(1), us(START), patient);
    let email_only = vec![Consent { channel: "email".into(), kind: "service".into() }];
    for (patient, status, reason) in [
        (patient(), "failed", "opted_out"),
        (patient(), "suppressed", "opted_out"),
        (PatientDetails { phone: String::new(), ..patient() }, "suppressed", "no_phone"),
        (PatientDetails { consents: email_only, ..patient() }, "suppressed", "no_consent"),
        (PatientDetails { reminder_channel: "email".into(), ..patient() }, "suppressed", "other_channel_preferred"),
    ] {
        let visit = of(patient);
        service.becomes(&visit, "booked", "email", "delivered").await;
        let text = format!("booked sms {status} {reason}");
        assert_eq!(about_booking(&service, &visit).await, ["booked email delivered".to_owned(), text]);
    }
    assert_eq!(world.texts().len(), 1);
    service.stop().await;
}

async fn without_consent_there_is_no_fallback_email(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = with_fallback(&world).await;
    let consents = vec![Consent { channel: "sms".into(), kind: "service".into() }];
    let patient = PatientDetails { phone: String::new(), consents, ..patient() };
    let visit = world.book_for(organization(1), us(START), patient);
    service.becomes(&visit, "booked", "email", "suppressed").await;
    waits::passes(&world, &service).await;
    let all = ["booked email suppressed no_consent", "booked sms suppressed no_phone"];
    assert_eq!(about_booking(&service, &visit).await, all);
    service.stop().await;
}

async fn exhausted_attempts_fall_back_to_email(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.attempts_max = 1;
    world.provider.script([Behaviour::Busy(5)]);
    let service = with_fallback(&world).await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "email", "delivered").await;
    assert_eq!(about_booking(&service, &visit).await, ["booked email delivered", "booked sms failed gave_up"]);
    service.stop().await;
}

async fn a_possibly_delivered_or_useless_text_has_no_fallback(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    world.provider.script([Behaviour::Stall, Behaviour::Busy(60)]);
    let service = with_fallback(&world).await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "unknown").await;
    let off = world.book(START);
    let busy = |all: &[Message]| all.iter().any(|one| one.reason == "provider_busy");
    service.when("the busy provider", &off, busy).await;
    world.cancel(&off);
    service.becomes(&off, "cancelled", "sms", "sent").await;
    waits::passes(&world, &service).await;
    assert_eq!(about_booking(&service, &visit).await, ["booked sms unknown no_answer"]);
    assert_eq!(about_booking(&service, &off).await, ["booked sms suppressed cancelled"]);
    // The late receipt reports a loss.
    reports::arrives(&world, &service, 0, "undelivered", "30005").await;
    service.becomes(&visit, "booked", "email", "delivered").await;
    service.stop().await;
}

async fn a_response_has_no_fallback(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    world.provider.script([Behaviour::Accept, Behaviour::Refuse(400, 21211)]);
    let service = with_fallback(&world).await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "sent").await;
    replies::say(&service, replies::PHONE, "help", 1).await;
    service.becomes(&visit, "reply", "sms", "failed").await;
    waits::passes(&world, &service).await;
    assert!(service.messages(&visit).await.iter().all(|one| one.trigger != "reply" || one.channel == "sms"));
    service.stop().await;
}

async fn a_rule_that_asks_for_a_score_has_no_fallback(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let body = RuleBody {
        trigger: "after_completed".into(),
        channels: vec!["sms".into()],
        fallback_channels: vec!["email".into()],
        asks: "score".into(),
        ..RuleBody::default()
    };
    let request = wire::reminder::CreateRuleRequest { body: Some(body) };
    let refused = service.client.clone().create_rule(Running::context(organization(1)).request(request)).await;
    let fault = rpc::Fault::from(refused.unwrap_err());
    assert_eq!(fault.violations.iter().map(|one| one.pointer.as_str()).collect::<Vec<_>>(), ["/fallback_channels"]);
    service.stop().await;
}

testkit::engines!(
    a_refused_text_falls_back_to_one_email,
    an_undelivered_text_falls_back_to_one_email,
    a_patient_without_phone_or_sms_consent_gets_the_email,
    without_consent_there_is_no_fallback_email,
    exhausted_attempts_fall_back_to_email,
    a_possibly_delivered_or_useless_text_has_no_fallback,
    a_response_has_no_fallback,
    a_rule_that_asks_for_a_score_has_no_fallback,
);
