//! Codes that prove a telephone number or an address, and the countries and numbers to which messages go.

use rpc::{Code, Context, Fault, Visitor};
use testkit::{database::Database, sms::Behaviour};
use tonic::Response;
use wire::reminder::{CheckVerificationRequest, CheckVerificationResponse, StartVerificationRequest, Verification};

use crate::common::{Running, World, organization, us, with_phone};

testkit::engines!(
    a_code_proves_a_number,
    a_code_is_wrong_five_times_or_old,
    another_caller_checks_no_code,
    codes_are_limited_by_recipient_visitor_and_key,
    codes_at_once_keep_the_limit,
    no_code_goes_to_another_country,
    whoever_opted_out_gets_no_code,
    no_text_goes_to_another_country,
    a_recipient_gets_so_many_messages_a_day,
);

const NOW: &str = "2026-03-04T11:00:00Z";
const NUMBER: &str = "+17805550123";

fn visitor(id: &str) -> Context {
    Context { visitor: Some(Visitor { id: id.into(), named: true }), ..Running::context(organization(1)) }
}

async fn start_as(service: &Running, ctx: &Context, phone: &str) -> Result<Verification, Fault> {
    let request = StartVerificationRequest { phone: phone.into(), ..Default::default() };
    let answer = service.client.clone().start_verification(ctx.request(request)).await;
    answer.map(Response::into_inner).map_err(Fault::from)
}

async fn check_as(service: &Running, ctx: &Context, id: &str, code: &str) -> Result<CheckVerificationResponse, Fault> {
    let request = CheckVerificationRequest { id: id.into(), code: code.into() };
    let answer = service.client.clone().check_verification(ctx.request(request)).await;
    answer.map(Response::into_inner).map_err(Fault::from)
}

/// The code of a text: its only six digits.
fn code_of(text: &str) -> String {
    let code: String = text.split(|c: char| !c.is_ascii_digit()).find(|part| part.len() == 6).unwrap().into();
    assert_eq!(code.len(), 6);
    code
}

/// Another code.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

async fn world(database: Database) -> World {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.countries = vec![];
    world
}

async fn a_code_proves_a_number(database: Database) {
    let world = world(database).await;
    let service = world.start().await;
    let ctx = visitor("one");
    // As it is dialled in the organisation's country.
    let started = start_as(&service, &ctx, "(780) 555-0123").await.unwrap();
    assert_eq!(started.expires_at_us, us(NOW) + 600_000_000);
    let sent = world.provider.received();
    assert_eq!((sent.len(), sent[0].form["To"].as_str()), (1, NUMBER));
    let text = &sent[0].form["Body"];
    assert!(text.contains("Example Physio") && text.contains("votre code"), "in the organisation's language: {text}");
    let code = code_of(text);
    let proved = check_as(&service, &ctx, &started.id, &code).await.unwrap();
    assert!(proved.verification.contains("sms"), "{}", proved.verification);
    assert_eq!(check_as(&service, &ctx, &started.id, &code).await.unwrap_err().code, Code::VerificationFailed);

    let request =
        StartVerificationRequest { email: " Ada@example.org ".into(), language: "de".into(), ..Default::default() };
    service.client.clone().start_verification(ctx.request(request)).await.unwrap();
    for (phone, email, pointer) in
        [("", "", "/phone"), (NUMBER, "a@b.org", "/email"), ("555", "", "/phone"), ("", "x", "/email")]
    {
        let request = StartVerificationRequest { phone: phone.into(), email: email.into(), ..Default::default() };
        let refused = service.client.clone().start_verification(ctx.request(request)).await.unwrap_err();
        assert_eq!(Fault::from(refused).violations[0].pointer, pointer);
    }
    service.stop().await;
}

async fn a_code_is_wrong_five_times_or_old(database: Database) {
    let world = world(database).await;
    let service = world.start().await;
    let ctx = visitor("one");
    let started = start_as(&service, &ctx, NUMBER).await.unwrap();
    let code = code_of(&world.texts()[0]);
    for left in (0..5).rev() {
        let refused = check_as(&service, &ctx, &started.id, &wrong(&code)).await.unwrap_err();
        assert_eq!(refused.code, Code::VerificationFailed);
        assert_eq!(refused.metadata["tries_left"], left.to_string());
    }
    let refused = check_as(&service, &ctx, &started.id, &code).await.unwrap_err();
    assert_eq!((refused.code, refused.metadata["tries_left"].as_str()), (Code::VerificationFailed, "0"));
    let malformed = check_as(&service, &ctx, &started.id, "12345").await.unwrap_err();
    assert_eq!(malformed.violations[0].pointer, "/code");

    let later = start_as(&service, &ctx, NUMBER).await.unwrap();
    let code = code_of(&world.texts()[1]);
    world.seconds(600);
    assert_eq!(check_as(&service, &ctx, &later.id, &code).await.unwrap_err().code, Code::VerificationFailed);
    service.stop().await;
}

async fn another_caller_checks_no_code(database: Database) {
    let world = world(database).await;
    let service = world.start().await;
    let ctx = visitor("one");
    let started = start_as(&service, &ctx, NUMBER).await.unwrap();
    let code = code_of(&world.texts()[0]);
    let other_key = Context { caller: "key_other".into(), ..ctx.clone() };
    let elsewhere = Context { organization: organization(2), ..ctx.clone() };
    for stranger in [&other_key, &elsewhere] {
        assert_eq!(check_as(&service, stranger, &started.id, &code).await.unwrap_err().code, Code::NotFound);
    }
    check_as(&service, &ctx, &started.id, &code).await.unwrap();
    service.stop().await;
}

/// The seconds of `Retry-After`.
fn wait(refused: &Fault) -> u64 {
    assert_eq!(refused.code, Code::VerificationLimit, "{refused:?}");
    refused.retry_after.unwrap().as_secs()
}

fn number(of: u32) -> String {
    format!("+1780555{of:04}")
}

async fn codes_are_limited_by_recipient_visitor_and_key(database: Database) {
    let mut world = world(database).await;
    world.config.verifications.per_key = 12;
    let service = world.start().await;
    for at in 0..4 {
        start_as(&service, &visitor(&format!("{at}")), NUMBER).await.unwrap();
        world.seconds(60);
    }
    let refused = start_as(&service, &visitor("new"), NUMBER).await.unwrap_err();
    assert_eq!(wait(&refused), 3600 - 240, "until the first of the four is an hour old");
    for at in 0..6 {
        start_as(&service, &visitor("one"), &number(at)).await.unwrap();
    }
    assert_eq!(wait(&start_as(&service, &visitor("one"), &number(6)).await.unwrap_err()), 3600);
    for at in 0..2 {
        start_as(&service, &visitor(&format!("last {at}")), &number(10 + at)).await.unwrap();
    }
    // The key's own limit, whatever the visitor and the number. Staff have it, too.
    assert_eq!(wait(&start_as(&service, &visitor("other"), &number(20)).await.unwrap_err()), 3600 - 240);
    assert!(start_as(&service, &Running::context(organization(1)), &number(21)).await.is_err());
    assert_eq!(world.provider.received().len(), 12);
    world.seconds(3600);
    start_as(&service, &visitor("one"), NUMBER).await.unwrap();
    service.stop().await;
}

async fn codes_at_once_keep_the_limit(database: Database) {
    let world = world(database).await;
    let (service, beside) = (world.start().await, world.start().await);
    let contexts: Vec<Context> = (0..12).map(|at| visitor(&format!("{at}"))).collect();
    let tries = contexts.iter().enumerate().map(|(at, ctx)| {
        let process = if at % 2 == 0 { &service } else { &beside };
        start_as(process, ctx, NUMBER)
    });
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4, "{answers:?}");
    assert_eq!(world.provider.received().len(), 4);
    service.stop().await;
    beside.stop().await;
}

async fn no_code_goes_to_another_country(database: Database) {
    let world = world(database).await;
    let service = world.start().await;
    for premium in ["+8816315551234", "+979123456789", "+5352345678", "+18765550123", "+12125550123"] {
        let refused = start_as(&service, &visitor("one"), premium).await.unwrap_err();
        let violation = &refused.violations[0];
        assert_eq!(
            (violation.pointer.as_str(), violation.code.as_str()),
            ("/phone", "country_not_allowed"),
            "{premium}"
        );
    }
    // The organisation's country, and that of its location.
    start_as(&service, &visitor("one"), NUMBER).await.unwrap();
    start_as(&service, &visitor("one"), "+447700900123").await.unwrap();
    assert_eq!(world.provider.received().len(), 2);
    service.stop().await;
}

async fn whoever_opted_out_gets_no_code(database: Database) {
    let world = world(database).await;
    world.provider.for_number(NUMBER, Behaviour::Refuse(400, 21610));
    world.provider.for_number("+17805550199", Behaviour::Refuse(400, 21211));
    let service = world.start().await;
    // The answer is that of any number: only its owner knows of the opt-out.
    start_as(&service, &visitor("one"), NUMBER).await.unwrap();
    let refused = start_as(&service, &visitor("one"), "+17805550199").await.unwrap_err();
    assert_eq!(refused.violations[0].code, "unreachable");
    service.stop().await;
}

async fn no_text_goes_to_another_country(database: Database) {
    let mut world = world(database).await;
    let service = world.start().await;
    let start = us("2026-03-08T15:00:00Z");
    for premium in ["+8816315551234", "+5352345678", "+18765550123"] {
        let visit = world.book_for(organization(1), start, with_phone(premium));
        let text = service.becomes(&visit, "booked", "sms", "suppressed").await;
        assert_eq!(text.reason, "country_not_allowed", "{premium}");
    }
    for allowed in [NUMBER, "+447700900123"] {
        let visit = world.book_for(organization(1), start, with_phone(allowed));
        service.becomes(&visit, "booked", "sms", "sent").await;
    }
    service.stop().await;
    let own = reminder::Organization { countries: Some(vec!["CU".into()]) };
    world.config.organizations.insert(organization(1).to_string(), own);
    let service = world.start().await;
    let visit = world.book_for(organization(1), start, with_phone("+5352345678"));
    service.becomes(&visit, "booked", "sms", "sent").await;
    let visit = world.book_for(organization(1), start, with_phone(NUMBER));
    service.becomes(&visit, "booked", "sms", "suppressed").await;
    service.stop().await;
}

async fn a_recipient_gets_so_many_messages_a_day(database: Database) {
    let mut world = world(database).await;
    world.config.recipient_daily_max = 5;
    let service = world.start().await;
    let start = us("2026-03-20T15:00:00Z");
    for at in 0..8 {
        // Each visit has a patient of its own, and all have one number.
        let visit = world.book_for(organization(1), start + at * 3_600_000_000, with_phone(NUMBER));
        let expected = if at < 5 { "sent" } else { "suppressed" };
        let text = service.becomes(&visit, "booked", "sms", expected).await;
        assert_eq!(text.reason, if at < 5 { "" } else { "message_limit" });
    }
    let other = world.book_for(organization(1), start, with_phone("+17805550199"));
    service.becomes(&other, "booked", "sms", "sent").await;
    world.seconds(86_400);
    let later = world.book_for(organization(1), start, with_phone(NUMBER));
    service.becomes(&later, "booked", "sms", "sent").await;
    service.stop().await;
}
