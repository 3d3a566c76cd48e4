//! E-mails through a mail server, beside text messages in the sandbox.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use common::{Running, World, organization, us};
use rpc::{Code, Fault};
use testkit::{
    database::Database,
    smtp::{Behaviour, FakeMail},
};
use wire::reminder::{CreateRuleRequest, Message, RuleBody, UnsubscribeRequest};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";

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
    assert_eq!(got.text().as_deref(), Some(sent.text.trim_end()));
    let id = format!("{}-1@clinic.example", sent.id);
    assert_eq!(sent.attempts[0].provider_message_id, id);
    assert_eq!(got.header("Message-ID"), Some(format!("<{id}>")));
    service.stop().await;
}

async fn an_email_that_is_put_off_is_tried_again_and_one_whose_fate_is_unknown_is_not(database: Database) {
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

async fn an_email_that_is_no_news_of_a_visit_ends_with_one_click(database: Database) {
    let (world, mail) = with_mail(database).await;
    let service = world.start().await;
    let ctx = Running::context(organization(1));
    let body = RuleBody { trigger: "after_completed".into(), channels: vec!["email".into()], ..RuleBody::default() };
    service.client.clone().create_rule(ctx.request(CreateRuleRequest { body: Some(body) })).await.unwrap();
    let visit = world.book(START);
    service.becomes(&visit, "booked", "email", "sent").await;
    assert_eq!(mail.wait_for(1).await[0].header("List-Unsubscribe"), None, "what says how a visit stands does not end");
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
        service.client.clone().unsubscribe(request).await.map(drop)
    };
    click(token).await.unwrap();
    assert_eq!(world.booking.consents(), [("canary@example.org".to_owned(), false)]);
    for wrong in ["", "AAAA", &token.replace(&token[30..34], "AAAA")] {
        assert_eq!(Fault::from(click(wrong).await.unwrap_err()).code, Code::NotFound, "{wrong}");
    }
    assert_eq!(world.booking.consents().len(), 1);
    service.stop().await;
}

on_both! {
    an_email_that_is_no_news_of_a_visit_ends_with_one_click
    an_email_leaves_through_the_mail_server
    an_email_that_is_put_off_is_tried_again_and_one_whose_fate_is_unknown_is_not
}
