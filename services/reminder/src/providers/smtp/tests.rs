//! The provider against a fake mail server, in clear and over TLS.

use testkit::{
    smtp::{Behaviour, FakeMail},
    tls::Tls,
};

use super::*;

fn provider(url: &str) -> Smtp {
    let clock = Clock::manual("2026-03-04T11:00:00Z".parse().unwrap());
    Smtp::new(url, "Café Physio <reminders@clinic.example>", None, 1, clock).unwrap()
}

fn message() -> OutgoingMessage {
    OutgoingMessage {
        to: "canary@example.org".into(),
        subject: "Rendez-vous à 9 h".into(),
        text: ".\nÀ demain, François.\n".into(),
        callback_url: None,
        unsubscribe_url: None,
        reference: "msg_1-2".into(),
        key: "msg_1-2".into(),
    }
}

#[tokio::test]
async fn an_email_arrives_complete_and_names_its_attempt() {
    let fake = FakeMail::start().await.unwrap();
    let provider = provider(&format!("smtp://us%40er:pa%3Ass@{}", fake.address()));
    let sent = provider.send(&message()).await;
    assert_eq!(sent, SendOutcome::sent("msg_1-2@clinic.example"));
    let mail = fake.wait_for(1).await.remove(0);
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("reminders@clinic.example", "canary@example.org"));
    assert_eq!(mail.signed_in.as_deref(), Some("us@er:pa:ss"));
    let header = |name| mail.header(name).unwrap_or_default();
    assert_eq!(header("Message-ID"), "<msg_1-2@clinic.example>");
    assert_eq!(header("Date"), "Wed, 04 Mar 2026 11:00:00 +0000");
    assert_eq!(header("To"), "canary@example.org");
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert!(header("From").ends_with("<reminders@clinic.example>"), "{}", header("From"));
    assert!(header("Subject").contains("=?utf-8?b?"), "{}", header("Subject"));
    assert!(header("Content-Type").contains("utf-8"));
    // A dot alone on a line ends no mail.
    assert_eq!(mail.text().as_deref(), Some(".\nÀ demain, François."));
    assert!(mail.data.is_ascii() && mail.header("List-Unsubscribe").is_none());
}

#[tokio::test]
async fn an_unsubscribe_url_becomes_the_one_click_headers() {
    let fake = FakeMail::start().await.unwrap();
    let provider = provider(&format!("smtp://{}", fake.address()));
    let url = format!("https://book.example.org/v1/unsubscribe/{}", "x".repeat(120));
    for (subject, url) in [("Hello\r\nBcc: a@b.example", url.clone()), ("Hello", "https://a>\r\nBcc: <b".into())] {
        let message = OutgoingMessage { subject: subject.into(), unsubscribe_url: Some(url), ..message() };
        assert!(matches!(provider.send(&message).await, SendOutcome::Sent { .. }));
    }
    let [mail, bad] = fake.wait_for(2).await.try_into().unwrap();
    assert!(mail.data.contains(&format!("\r\nList-Unsubscribe: <{url}>\r\n")), "{}", mail.data);
    assert_eq!(mail.header("List-Unsubscribe-Post").as_deref(), Some("List-Unsubscribe=One-Click"));
    assert_eq!((mail.header("Bcc"), mail.header("Subject").as_deref()), (None, Some("Hello Bcc: a@b.example")));
    assert_eq!((bad.header("Bcc"), bad.header("List-Unsubscribe-Post")), (None, None));
}

#[tokio::test]
async fn each_failure_has_one_outcome() {
    let fake = FakeMail::start().await.unwrap();
    let provider = provider(&format!("smtp://u:p@{}", fake.address()));
    let cases = [
        (Behaviour::RefuseGreeting(554), SendOutcome::busy("554")),
        (Behaviour::RefuseGreeting(421), SendOutcome::busy("421")),
        (Behaviour::RefuseAuth(535), SendOutcome::busy("535")),
        (Behaviour::RefuseRcpt(550), SendOutcome::refused("550")),
        (Behaviour::RefuseRcpt(451), SendOutcome::busy("451")),
        (Behaviour::RefuseData(554), SendOutcome::refused("554")),
        (Behaviour::RefuseData(421), SendOutcome::busy("421")),
        (Behaviour::DropAtData, SendOutcome::busy("broke_off")),
        (Behaviour::RefuseText(552), SendOutcome::refused("552")),
        (Behaviour::RefuseText(452), SendOutcome::busy("452")),
        (Behaviour::DropAfterText, SendOutcome::Unknown { detail: "the connection to the mail server broke off" }),
        (Behaviour::Stall, SendOutcome::Unknown { detail: "the mail server did not answer in time" }),
    ];
    for (behaviour, outcome) in cases {
        fake.script([behaviour]);
        assert_eq!(provider.send(&message()).await, outcome, "{behaviour:?}");
    }
    assert_eq!(fake.mails().len(), 4);
    let nobody = OutgoingMessage { to: "canary at example.org".into(), ..message() };
    assert_eq!(provider.send(&nobody).await, SendOutcome::refused("invalid_address"));
    let abroad = OutgoingMessage { to: "çanary@example.org".into(), ..message() };
    assert_eq!(provider.send(&abroad).await, SendOutcome::refused("invalid_address"));
    let nobody = testkit::port::Port::free().unwrap();
    let away = self::provider(&format!("smtp://{}", nobody.address()));
    assert_eq!(away.send(&message()).await, SendOutcome::busy("not_connected"));
}

#[tokio::test]
async fn without_required_tls_neither_password_nor_mail_is_sent() {
    let fake = FakeMail::start().await.unwrap();
    let provider = provider(&format!("smtp://user:secret@{}?tls=required", fake.address()));
    assert_eq!(provider.send(&message()).await, SendOutcome::busy("not_offered"));
    fake.offer_starttls();
    assert_eq!(provider.send(&message()).await, SendOutcome::busy("454"));
    let commands = fake.commands();
    assert!(commands.contains(&"STARTTLS".to_owned()), "{commands:?}");
    assert!(!commands.iter().any(|command| command == "AUTH" || command == "MAIL"), "{commands:?}");
}

/// As [`provider`], and trusts this authority.
fn trusting(url: &str, tls: &Tls) -> Smtp {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &tls.authority_pem).unwrap();
    let clock = Clock::manual("2026-03-04T11:00:00Z".parse().unwrap());
    Smtp::new(url, "reminders@clinic.example", Some(file.path()), 5, clock).unwrap()
}

#[tokio::test]
async fn after_starttls_password_and_mail_are_encrypted() {
    let tls = Tls::new().unwrap();
    let fake = FakeMail::with_starttls(&tls).await.unwrap();
    let provider = trusting(&format!("smtp://user:secret@{}?tls=required", fake.address()), &tls);
    assert_eq!(provider.send(&message()).await, SendOutcome::sent("msg_1-2@clinic.example"));
    let mail = fake.wait_for(1).await.remove(0);
    assert!(mail.secured && mail.signed_in.as_deref() == Some("user:secret"), "{mail:?}");
    let commands = fake.commands();
    assert_eq!(commands[..3], ["EHLO", "STARTTLS", "EHLO"], "no other command before TLS");
}

#[tokio::test]
async fn smtps_is_tls_from_the_first_byte() {
    let tls = Tls::new().unwrap();
    let fake = FakeMail::with_tls(&tls).await.unwrap();
    let provider = trusting(&format!("smtps://user:secret@{}", fake.address()), &tls);
    assert_eq!(provider.send(&message()).await, SendOutcome::sent("msg_1-2@clinic.example"));
    assert!(fake.wait_for(1).await[0].secured);
    assert!(!fake.commands().contains(&"STARTTLS".to_owned()));
    // A server that speaks in clear there gets nothing.
    let clear = FakeMail::start().await.unwrap();
    let provider = trusting(&format!("smtps://user:secret@{}", clear.address()), &tls);
    assert!(matches!(provider.send(&message()).await, SendOutcome::Busy { .. }));
    assert!(!clear.commands().iter().any(|command| command == "EHLO" || command == "AUTH"), "{:?}", clear.commands());
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused() {
    let (tls, other) = (Tls::new().unwrap(), Tls::new().unwrap());
    let (starttls, implicit) = (FakeMail::with_starttls(&tls).await.unwrap(), FakeMail::with_tls(&tls).await.unwrap());
    let urls = [
        (
            format!("smtp://user:secret@{}?tls=required", starttls.address()),
            vec!["EHLO".to_owned(), "STARTTLS".to_owned()],
        ),
        (format!("smtps://user:secret@{}", implicit.address()), vec![]),
    ];
    for (url, expected) in urls {
        for provider in [provider(&url), trusting(&url, &other)] {
            assert!(matches!(provider.send(&message()).await, SendOutcome::Busy { .. }), "{url}");
        }
        let fake = if expected.is_empty() { &implicit } else { &starttls };
        let commands = fake.commands();
        assert!(commands.chunks(2).all(|pair| pair == expected), "{commands:?}");
        assert!(fake.mails().is_empty());
    }
}

#[test]
fn a_ca_file_must_hold_a_certificate() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for bad in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA"] {
        std::fs::write(file.path(), bad).unwrap();
        assert!(read_certificates(file.path()).is_err(), "{bad}");
    }
    assert!(read_certificates(Path::new("/nowhere/ca.pem")).is_err());
    let pem = Tls::new().unwrap().authority_pem;
    std::fs::write(file.path(), format!("{pem}{pem}")).unwrap();
    assert!(read_certificates(file.path()).is_ok());
}
