//! What becomes of a message when the provider, or the sender, does not do its part.

use crate::common::{PUBLIC_URL, Running, WITHIN, World, organization, reports::twilio as signed, us, with_token};
use base64::{Engine, engine::general_purpose::STANDARD};
use rpc::{Code, Fault};
use testkit::{database::Database, poll, port::Port, sms::Behaviour};
use wire::reminder::{ListMessagesRequest, Message, RetryMessageRequest, RuleBody};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";

async fn the_provider_gets_its_own_request_format(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    let asked = world.provider.received().remove(0);
    assert_eq!(asked.account, "AC00000000000000000000000000000000");
    let credentials = STANDARD.encode("AC00000000000000000000000000000000:12345");
    assert_eq!(asked.authorization, format!("Basic {credentials}"));
    assert_eq!((asked.form["To"].as_str(), asked.form["From"].as_str()), ("+15005550009", "+15005550006"));
    assert_eq!(asked.form["Body"], with_token(&sent.text));
    let (id, org) = (&sent.id, organization(1));
    let callback = format!("{PUBLIC_URL}/v1/providers/twilio/status?message_id={id}&attempt=1&org={org}");
    assert_eq!(asked.form["StatusCallback"], callback);
    assert!(!asked.form.contains_key("MessagingServiceSid"));
    assert_eq!(sent.attempts[0].provider_message_id, "SM00000000000000000000000000000001");
    // Without a mail server e-mails stay in the sandbox.
    assert_eq!(service.becomes(&visit, "booked", "email", "delivered").await.provider, "sandbox");
    service.stop().await;
}

async fn a_refusal_is_final_and_tried_again_only_by_hand(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    world.provider.script([Behaviour::Refuse(400, 21211)]);
    let service = world.start().await;
    let visit = world.book(START);
    let failed = service.becomes(&visit, "booked", "sms", "failed").await;
    assert_eq!((failed.reason.as_str(), failed.attempts[0].error_code.as_str()), ("refused", "21211"));
    assert!(!failed.attempts[0].detail.contains("5005550009"));
    world.seconds(4 * 3600);
    service.becomes(&visit, "booked", "email", "delivered").await;
    assert_eq!(world.texts().len(), 1);
    let mut client = service.client.clone();
    let ctx = Running::context(organization(1));
    let again = client.retry_message(ctx.request(RetryMessageRequest { id: failed.id.clone() })).await.unwrap();
    assert_eq!(again.into_inner().status, "scheduled");
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!(sent.attempts.iter().map(|one| one.outcome.as_str()).collect::<Vec<_>>(), ["failed", "sent"]);
    let refused = client.retry_message(ctx.request(RetryMessageRequest { id: failed.id })).await.unwrap_err();
    assert_eq!(Fault::from(refused).code, Code::InvalidTransition);
    service.stop().await;
}

async fn a_patient_who_opted_out_gets_no_more_messages(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    world.provider.script([Behaviour::Refuse(400, 21610)]);
    let service = world.start().await;
    let first = world.book(START);
    assert_eq!(service.becomes(&first, "booked", "sms", "failed").await.reason, "opted_out");
    let second = world.book(START);
    assert_eq!(service.becomes(&second, "booked", "sms", "suppressed").await.reason, "opted_out");
    assert_eq!(world.texts().len(), 1);
    service.stop().await;
}

async fn a_report_of_an_opt_out_counts_however_late_it_comes(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let first = world.book(START);
    service.becomes(&first, "booked", "sms", "sent").await;
    let url = world.provider.received()[0].form["StatusCallback"].clone();
    for (status, code) in [("delivered", ""), ("failed", "21610")] {
        let report = signed(&url, status, code, crate::common::TOKEN);
        service.client.clone().receive_status(Running::context(organization(1)).request(report)).await.unwrap();
    }
    assert_eq!(service.becomes(&first, "booked", "sms", "delivered").await.reason, "");
    let second = world.book(START);
    assert_eq!(service.becomes(&second, "booked", "sms", "suppressed").await.reason, "opted_out");
    assert_eq!(world.texts().len(), 1);
    service.stop().await;
}

async fn a_temporarily_undelivered_message_is_sent_again(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    let again = |all: &[Message]| all.iter().any(|one| one.reason == "not_delivered" && one.status == "scheduled");
    let mut client = service.client.clone();
    let ctx = Running::context(organization(1));
    // Out of reach is tried while patience lasts, what nobody can explain once.
    for (sent, (code, more)) in [("30008", true), ("30003", true), ("30008", false)].into_iter().enumerate() {
        let due = poll::until("the attempt", crate::common::WITHIN, || async { world.texts().get(sent).map(drop) });
        due.await;
        service.becomes(&visit, "booked", "sms", "sent").await;
        let url = world.provider.received()[sent].form["StatusCallback"].clone();
        for _ in 0..2 {
            let report = signed(&url, "undelivered", code, crate::common::TOKEN);
            client.receive_status(ctx.request(report)).await.unwrap();
        }
        if more {
            service.when("another attempt to be planned", &visit, again).await;
            world.seconds(400);
        }
    }
    let lost = service.becomes(&visit, "booked", "sms", "undelivered").await;
    assert_eq!((lost.reason.as_str(), lost.attempts.len()), ("not_delivered", 3));
    assert_eq!(
        lost.attempts.iter().map(|one| one.error_code.as_str()).collect::<Vec<_>>(),
        ["30008", "30003", "30008"]
    );
    service.stop().await;
}

async fn a_busy_provider_is_retried_after_the_delay_that_it_named(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    world.provider.script([Behaviour::Busy(90)]);
    let service = world.start().await;
    let visit = world.book(START);
    let busy = |all: &[Message]| all.iter().any(|one| one.reason == "provider_busy" && one.status == "scheduled");
    service.when("the refusal", &visit, busy).await;
    world.seconds(89);
    service.becomes(&visit, "booked", "email", "delivered").await;
    assert_eq!(world.texts().len(), 1);
    // And up to a fifth more, so that not all come back at once.
    world.seconds(19);
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!((sent.attempts.len(), sent.attempts[0].error_code.as_str()), (2, "20429"));
    assert_eq!(sent.sent_at_us, us(NOW) + 108_000_000);
    assert_eq!(world.texts().len(), 2);
    service.stop().await;
}

async fn retries_of_a_busy_provider_end(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.attempts_max = 3;
    world.provider.script([Behaviour::Busy(5); 9]);
    let service = world.start().await;
    let visit = world.book(START);
    poll::until("the end of its patience", crate::common::WITHIN, || async {
        world.seconds(5);
        let all = service.messages(&visit).await;
        all.iter().any(|one| one.channel == "sms" && one.reason == "gave_up" && one.status == "failed").then_some(())
    })
    .await;
    assert_eq!(world.texts().len(), 3);
    service.stop().await;
}

async fn a_provider_out_of_reach_is_tried_again(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    let nobody = Port::free().unwrap();
    world.config.providers.twilio.base_url = nobody.url();
    let service = world.start().await;
    let visit = world.book(START);
    let unreached = |all: &[Message]| {
        all.iter().any(|one| {
            one.status == "scheduled" && one.attempts.first().is_some_and(|at| at.error_code == "not_connected")
        })
    };
    service.when("the failed connect", &visit, unreached).await;
    service.stop().await;
}

async fn a_silent_provider_leaves_it_unknown_and_a_late_report_settles_it(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    world.provider.script([Behaviour::Stall]);
    let service = world.start().await;
    let visit = world.book(START);
    let unknown = service.becomes(&visit, "booked", "sms", "unknown").await;
    assert_eq!((unknown.reason.as_str(), unknown.attempts[0].outcome.as_str()), ("no_answer", "unknown"));
    world.until("2026-03-04T20:00:00Z");
    service.becomes(&visit, "booked", "email", "delivered").await;
    assert_eq!(world.texts().len(), 1, "it is not sent again");
    let url = world.provider.received()[0].form["StatusCallback"].clone();
    let report = |status: &str, token: &str| signed(&url, status, "", token);
    let mut client = service.client.clone();
    let other = Running::context(organization(2));
    let forged = client.receive_status(other.request(report("delivered", "wrong"))).await.unwrap_err();
    assert_eq!(Fault::from(forged).code, Code::SignatureInvalid);
    assert_eq!(service.becomes(&visit, "booked", "sms", "unknown").await.reason, "no_answer");
    client.receive_status(other.request(report("delivered", crate::common::TOKEN))).await.unwrap();
    let settled = service.becomes(&visit, "booked", "sms", "delivered").await;
    assert_eq!(
        (settled.attempts[0].outcome.as_str(), settled.attempts[0].provider_message_id.as_str()),
        ("sent", "SM1")
    );
    // Late, repeated and unknown reports change nothing and are no fault.
    for status in ["sent", "queued", "undelivered", "delivered", "no-such-status"] {
        client.receive_status(other.request(report(status, crate::common::TOKEN))).await.unwrap();
    }
    let nowhere = signed(&format!("{PUBLIC_URL}/v1/providers/twilio/status"), "sent", "", crate::common::TOKEN);
    client.receive_status(other.request(nowhere)).await.unwrap();
    assert_eq!(service.becomes(&visit, "booked", "sms", "delivered").await.reason, "");
    service.stop().await;
}

async fn a_sender_that_dies_between_send_and_record_leaves_it_unknown(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.providers.twilio.timeout_seconds = 60;
    world.provider.script([Behaviour::Stall]);
    let service = world.start().await;
    let visit = world.book(START);
    poll::until("the request", crate::common::WITHIN, || async { (world.texts().len() == 1).then_some(()) }).await;
    assert_eq!(service.becomes(&visit, "booked", "sms", "sending").await.attempts[0].outcome, "unknown");
    // Not leased when the sender dies: a lease ends by the clock, which stands still here.
    service.becomes(&visit, "booked", "email", "delivered").await;
    service.kill().await;
    let service = world.start().await;
    let other = world.book(START);
    service.becomes(&other, "booked", "sms", "sent").await;
    assert_eq!(service.becomes(&visit, "booked", "sms", "sending").await.attempts.len(), 1);
    world.seconds(120);
    let unknown = service.becomes(&visit, "booked", "sms", "unknown").await;
    assert_eq!((unknown.reason.as_str(), unknown.attempts.len()), ("no_answer", 1));
    world.until("2026-03-04T20:00:00Z");
    let next = world.book(START);
    service.becomes(&next, "booked", "sms", "sent").await;
    assert_eq!(world.texts().len(), 3, "the one whose fate is unknown was not sent again");
    service.stop().await;
}

/// Lets a patient confirm while booking's answer about the visit is on its way.
async fn confirms_meanwhile(world: &World, service: &Running, visit: &str, asked: usize) {
    poll::until("the question", WITHIN, async || (world.booking.asked() > asked).then_some(())).await;
    world.booking.change(visit, "confirmed", world.clock.now_us(), |one| one.confirmed_at_us += 1);
    let mut ctx = Running::context(organization(1));
    ctx.revision = Some(world.booking.revision());
    service.client.clone().list_messages(ctx.request(ListMessagesRequest::default())).await.unwrap();
}

async fn an_outdated_answer_of_booking_is_requested_again(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    world.booking.set_slow(true);
    let visit = world.book(START);
    confirms_meanwhile(&world, &service, &visit, 0).await;
    world.until("2026-03-04T20:00:00Z");
    world.booking.set_slow(false);
    // Where hours have passed: at once.
    service.becomes(&visit, "booked", "sms", "sent").await;
    service.becomes(&visit, "booked", "email", "delivered").await;
    world.booking.set_slow(true);
    let (due, asked) = ("2026-03-07T15:00:00Z", world.booking.asked());
    world.until(due);
    confirms_meanwhile(&world, &service, &visit, asked).await;
    world.booking.set_slow(false);
    let sent = poll::until("the reminder", WITHIN, async || {
        world.seconds(1);
        let all = service.messages(&visit).await;
        all.into_iter().find(|one| one.channel == "sms" && one.due_at_us == us(due) && one.status == "sent")
    });
    let waited_us = sent.await.sent_at_us - us(due);
    assert!(waited_us < 60_000_000, "not until the lease is over: {waited_us}");
    service.stop().await;
}

async fn a_text_whose_answer_has_aged_is_verified_again(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    world.booking.set_slow(true);
    let visit = world.book(START);
    poll::until("the question", WITHIN, async || (world.booking.asked() > 0).then_some(())).await;
    // The patient has cancelled, and the news is on its way.
    world.booking.hold_back();
    world.booking.change(&visit, "cancelled", world.clock.now_us(), |one| one.status = "cancelled".to_owned());
    world.seconds(3);
    world.booking.set_slow(false);
    // Either may have been asked about first.
    for channel in ["sms", "email"] {
        assert_eq!(service.becomes(&visit, "booked", channel, "suppressed").await.reason, "cancelled");
    }
    assert!(world.texts().is_empty());
    service.stop().await;
}

async fn a_text_whose_address_was_taken_back_meanwhile_is_not_sent(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    world.booking.set_slow(true);
    let visit = world.book(START);
    poll::until("the question", WITHIN, async || (world.booking.asked() > 0).then_some(())).await;
    world.booking.change_patient(&visit, |patient| (patient.phone, patient.email) = Default::default());
    world.seconds(3);
    world.booking.set_slow(false);
    for channel in ["sms", "email"] {
        service.becomes(&visit, "booked", channel, "suppressed").await;
    }
    assert!(world.texts().is_empty());
    service.stop().await;
}

async fn workers_side_by_side_send_each_message_once(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let (one, two) = (world.start().await, world.start().await);
    let visits: Vec<_> = (0..40).map(|_| world.book(START)).collect();
    for visit in &visits {
        one.becomes(visit, "booked", "sms", "sent").await;
        one.becomes(visit, "booked", "email", "delivered").await;
    }
    // One of them dies; the other takes over, feed and all.
    one.kill().await;
    world.until("2026-03-07T15:00:00Z");
    let late = world.book(START);
    for visit in &visits {
        two.becomes(visit, "before_start", "sms", "sent").await;
    }
    two.becomes(&late, "booked", "sms", "sent").await;
    let mut urls: Vec<_> = world.provider.received().iter().map(|one| one.form["StatusCallback"].clone()).collect();
    assert_eq!(urls.len(), 81);
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 81);
    assert!(urls.iter().all(|url| url.contains("&attempt=1&")), "no message was tried twice");
    two.stop().await;
}

async fn a_text_that_a_rule_breaks_fails_by_itself(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    // It is short for most, and longer than a message may be for one.
    let long = |body: &mut RuleBody| body.template.as_mut().unwrap().sms = "{{ patient_given_name }}".repeat(40);
    service.change_rule("booked", long).await;
    let long = wire::booking::PatientDetails { given_name: "x".repeat(100), ..crate::common::patient() };
    let long = world.book_for(organization(1), us(START), long);
    let short = world.book(START);
    assert_eq!(service.becomes(&long, "booked", "sms", "failed").await.reason, "template_failed");
    service.becomes(&long, "booked", "email", "delivered").await;
    service.becomes(&short, "booked", "sms", "delivered").await;
    service.stop().await;
}

testkit::engines!(
    the_provider_gets_its_own_request_format,
    a_refusal_is_final_and_tried_again_only_by_hand,
    a_patient_who_opted_out_gets_no_more_messages,
    a_report_of_an_opt_out_counts_however_late_it_comes,
    a_temporarily_undelivered_message_is_sent_again,
    a_busy_provider_is_retried_after_the_delay_that_it_named,
    retries_of_a_busy_provider_end,
    a_provider_out_of_reach_is_tried_again,
    a_silent_provider_leaves_it_unknown_and_a_late_report_settles_it,
    a_sender_that_dies_between_send_and_record_leaves_it_unknown,
    an_outdated_answer_of_booking_is_requested_again,
    a_text_whose_answer_has_aged_is_verified_again,
    a_text_whose_address_was_taken_back_meanwhile_is_not_sent,
    workers_side_by_side_send_each_message_once,
    a_text_that_a_rule_breaks_fails_by_itself,
);
