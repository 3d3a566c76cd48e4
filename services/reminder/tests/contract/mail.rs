//! E-mails through a mail server, with text messages in the sandbox.

use crate::common::{Running, World, organization, us, with_token};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::MessageId;
use rpc::{Code, Fault};
use testkit::{
    database::Database,
    smtp::{Behaviour, FakeMail},
};
use wire::{
    booking::{Consent, PatientDetails},
    reminder::{CreateRuleRequest, Message, RuleBody, UnsubscribeRequest, UnsubscribeState},
};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";
const NEXT: &str = "2026-03-10T15:00:00Z";
const LATER: &str = "2026-03-12T15:00:00Z";

async fn with_mail(database: Database) -> (World, FakeMail) {
    let mut world = World::new(database, NOW).await;
    let mail = FakeMail::start().await.unwrap();
    world.config.smtp.url = Some(format!("smtp://{}", mail.address()));
    world.config.smtp.from = Some("Northside Physio <reminders@clinic.example>".into());
    world.config.smtp.timeout_seconds = 2;
    (world, mail)
}

async fn an_email_leaves_through_the_mail_server(database: Database) {
    let (world, mail) = with_mail(database).await;
    let service = world.start().await;
    let visit = world.book(START);
    let sent = service.becomes(&visit, "booked", "email", "sent").await;
    assert_eq!(sent.provider, "smtp");
    assert_eq!(service.becomes(&visit, "booked", "sms", "delivered").await.provider, "sandbox");
    let [got] = mail.wait_for(1).await.try_into().unwrap();
    assert_eq!((got.to.as_str(), got.from.as_str()), ("canary@example.org", "reminders@clinic.example"));
    assert_eq!(got.header("Subject").as_deref(), Some(sent.subject.as_str()));
    assert_eq!(got.text().as_deref(), Some(with_token(&sent.text).trim_end()));
    let id = format!("{}-1@clinic.example", sent.id);
    assert_eq!(sent.attempts[0].provider_message_id, id);
    assert_eq!(got.header("Message-ID"), Some(format!("<{id}>")));
    service.stop().await;
}

async fn a_deferred_email_is_retried_and_one_with_an_unknown_outcome_is_not(database: Database) {
    let (world, mail) = with_mail(database).await;
    mail.script([Behaviour::RefuseRcpt(451), Behaviour::DropAfterText, Behaviour::RefuseRcpt(550)]);
    let service = world.start().await;
    let visit = world.book(START);
    let busy = |all: &[Message]| all.iter().any(|one| one.reason == "provider_busy" && one.channel == "email");
    service.when("the first refusal", &visit, busy).await;
    world.seconds(60);
    let unknown = service.becomes(&visit, "booked", "email", "unknown").await;
    assert_eq!((unknown.attempts.len(), unknown.attempts[0].error_code.as_str()), (2, "451"));
    let other = world.book(START);
    let failed = service.becomes(&other, "booked", "email", "failed").await;
    assert_eq!((failed.reason.as_str(), failed.attempts[0].error_code.as_str()), ("refused", "550"));
    assert!(!failed.attempts[0].detail.contains("example.org"));
    assert_eq!(mail.mails().len(), 1);
    service.stop().await;
}

/// The ids of a message's organisation and of the message, which its `Message-ID` has.
fn ids_of(message: &Message) -> Vec<u8> {
    let id: MessageId = message.id.parse().unwrap();
    [organization(1).uuid().as_bytes().as_slice(), id.uuid().as_bytes()].concat()
}

async fn an_email_after_a_visit_has_a_one_click_unsubscribe(database: Database) {
    let (world, mail) = with_mail(database).await;
    let service = world.start().await;
    let ctx = Running::context(organization(1));
    let channels = vec!["email".into(), "sms".into()];
    let body = RuleBody { trigger: "after_completed".into(), channels, ..RuleBody::default() };
    service.client.clone().create_rule(ctx.request(CreateRuleRequest { body: Some(body) })).await.unwrap();
    let visit = world.book_for(organization(1), us(START), with_language("fr"));
    service.becomes(&visit, "booked", "email", "sent").await;
    let link = mail.wait_for(1).await[0].header("List-Unsubscribe");
    assert_eq!(link, None, "an e-mail about an appointment has no link");
    world.until(START);
    world.booking.change(&visit, "completed", us(START), |visit| visit.status = "fulfilled".into());
    service.becomes(&visit, "after_completed", "email", "sent").await;
    let all = mail.wait_for(2).await;
    let got = all.iter().find(|one| one.header("List-Unsubscribe").is_some()).unwrap();
    assert_eq!(got.header("List-Unsubscribe-Post").as_deref(), Some("List-Unsubscribe=One-Click"));
    let link = got.header("List-Unsubscribe").unwrap();
    let token = link.trim_matches(['<', '>']).strip_prefix("https://book.example.org/v1/unsubscribe/").unwrap();
    let click = async |token: &str| {
        let request = Running::context(organization(9)).request(UnsubscribeRequest { token: token.into() });
        service.client.clone().unsubscribe(request).await.map(tonic::Response::into_inner)
    };
    let seen = async || {
        let request = Running::context(organization(9)).request(UnsubscribeRequest { token: token.into() });
        service.client.clone().get_unsubscribe(request).await.unwrap().into_inner()
    };
    // Reading the page unsubscribes nobody.
    let before = seen().await;
    assert_eq!((before.what.as_str(), before.ended, before.language.as_str()), ("after_visit", false, "fr"));
    assert_eq!((before.clinic.as_str(), before.phone.as_str()), ("Northside Physio", "+17805550100"));
    assert!(!seen().await.ended);
    for _ in 0..2 {
        assert_eq!(click(token).await.unwrap(), UnsubscribeState { ended: true, ..before.clone() });
    }
    assert!(seen().await.ended);
    // Unsubscribing works while booking is down.
    world.booking.set_down(true);
    assert!(click(token).await.unwrap().ended);
    world.booking.set_down(false);
    for wrong in ["", "AAAA", &token.replace(&token[30..34], "AAAA")] {
        assert_eq!(Fault::from(click(wrong).await.err().unwrap()).code, Code::NotFound, "{wrong}");
    }
    // The ids of a message stand in its `Message-ID`: they make no token, with whatever code.
    let after = service.becomes(&visit, "after_completed", "email", "sent").await;
    let ids = ids_of(&after);
    assert_eq!(URL_SAFE_NO_PAD.decode(token).unwrap()[..32], ids, "the token is about this message");
    for forged in [ids.clone(), [&ids[..], &[0; 16]].concat(), [&ids[..], &ids[..16]].concat()] {
        assert_eq!(Fault::from(click(&URL_SAFE_NO_PAD.encode(forged)).await.err().unwrap()).code, Code::NotFound);
    }
    // A message about an appointment has no link, and no token is valid for it.
    let announced = service.becomes(&visit, "booked", "email", "sent").await;
    assert_eq!(
        Fault::from(click(&URL_SAFE_NO_PAD.encode(ids_of(&announced))).await.err().unwrap()).code,
        Code::NotFound
    );
    // The consent to e-mails stays: the next booking is announced, and the message after the visit is not sent.
    assert_eq!(world.booking.consents(), []);
    let next = world.book_as(organization(1), us(NEXT), with_language("fr"), |next| {
        next.patient_id = world.booking.visit(&visit).patient_id;
    });
    service.becomes(&next, "booked", "email", "sent").await;
    world.until(NEXT);
    world.booking.change(&next, "completed", us(NEXT), |visit| visit.status = "fulfilled".into());
    let ended = service.becomes(&next, "after_completed", "email", "suppressed").await;
    assert_eq!(ended.reason, "unsubscribed");
    service.becomes(&next, "after_completed", "sms", "delivered").await;
    // Another patient with the same address still gets e-mails.
    let other = world.book(LATER);
    service.becomes(&other, "booked", "email", "sent").await;
    world.until(LATER);
    world.booking.change(&other, "completed", us(LATER), |visit| visit.status = "fulfilled".into());
    service.becomes(&other, "after_completed", "email", "sent").await;
    service.stop().await;
}

async fn unsubscribing_from_a_marketing_email_withdraws_that_consent(database: Database) {
    let (world, mail) = with_mail(database).await;
    let service = world.start().await;
    let (trigger, channels) = ("after_completed".into(), vec!["email".into()]);
    let body = RuleBody { trigger, channels, consent: "marketing".into(), ..RuleBody::default() };
    let ctx = Running::context(organization(1));
    service.client.clone().create_rule(ctx.request(CreateRuleRequest { body: Some(body) })).await.unwrap();
    let mut patient = crate::common::patient();
    patient.consents.push(Consent { channel: "email".into(), kind: "marketing".into() });
    let visit = world.book_for(organization(1), us(START), patient);
    service.becomes(&visit, "booked", "email", "sent").await;
    world.until(START);
    world.booking.change(&visit, "completed", us(START), |visit| visit.status = "fulfilled".into());
    service.becomes(&visit, "after_completed", "email", "sent").await;
    let all = mail.wait_for(2).await;
    let link = all.iter().find_map(|one| one.header("List-Unsubscribe")).unwrap();
    let token = link.trim_matches(['<', '>']).rsplit('/').next().unwrap().to_owned();
    let request = || Running::context(organization(9)).request(UnsubscribeRequest { token: token.clone() });
    let seen = service.client.clone().get_unsubscribe(request()).await.unwrap().into_inner();
    assert_eq!((seen.what.as_str(), seen.ended), ("marketing", false));
    assert!(service.client.clone().unsubscribe(request()).await.unwrap().into_inner().ended);
    assert_eq!(world.booking.consents(), [("canary@example.org".to_owned(), false)]);
    service.stop().await;
}

fn with_language(language: &str) -> PatientDetails {
    PatientDetails { language: language.into(), ..crate::common::patient() }
}

testkit::engines!(
    an_email_after_a_visit_has_a_one_click_unsubscribe,
    unsubscribing_from_a_marketing_email_withdraws_that_consent,
    an_email_leaves_through_the_mail_server,
    a_deferred_email_is_retried_and_one_with_an_unknown_outcome_is_not,
);
