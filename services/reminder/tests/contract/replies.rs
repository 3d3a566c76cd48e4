//! Replies of patients and their effects.

use crate::common::{
    Running, World, organization,
    replies::{PHONE, say, twilio, wrote},
    us,
};
use rpc::{Code, Context, Fault, Idempotency};
use testkit::{database::Database, poll, sms::Behaviour};
use wire::reminder::{
    CreateRuleRequest, InboxItem, ListInboxRequest, ListInboxResponse, MarkReadRequest, Message, ReceiveRequest,
    RuleBody,
};

/// A hundred hours before the visits.
const NOW: &str = "2026-03-04T11:00:00Z";
/// 09:00 in Edmonton.
const START: &str = "2026-03-08T15:00:00Z";

async fn inbox_of(service: &Running, number: u128) -> ListInboxResponse {
    let request = Running::context(organization(number)).request(ListInboxRequest::default());
    service.client.clone().list_inbox(request).await.unwrap().into_inner()
}

/// `meaning attention` of each inbox entry, the newest first.
async fn inbox(service: &Running) -> Vec<String> {
    let line = |one: &InboxItem| format!("{} {}", one.meaning, one.attention);
    inbox_of(service, 1).await.items.iter().map(line).collect()
}

/// Books a visit and waits for its text message.
async fn booked(world: &World, service: &Running, starts_at: &str) -> String {
    let visit = world.book(starts_at);
    service.becomes(&visit, "booked", "sms", "sent").await;
    visit
}

/// Advances to the day before the visits and waits for their reminders.
async fn reminded(world: &World, service: &Running, visits: &[&str]) {
    world.until("2026-03-07T15:00:00Z");
    for visit in visits {
        service.when("the reminder", visit, |all| reminders(all) == 1).await;
    }
}

fn reminders(all: &[Message]) -> usize {
    all.iter().filter(|one| one.trigger == "before_start" && one.channel == "sms" && one.status == "sent").count()
}

async fn last_text(world: &World, count: usize) -> String {
    poll::until("the answer", crate::common::WITHIN, || async {
        let texts = world.texts();
        (texts.len() >= count).then(|| texts[count - 1].clone())
    })
    .await
}

async fn a_letter_confirms_cancels_or_moves_the_visit(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = booked(&world, &service, START).await;
    reminded(&world, &service, &[&visit]).await;
    let asked = world.texts();
    assert_eq!(
        asked.last().unwrap(),
        "Northside Physio: your visit is on Sun, Mar 8 at 9:00 AM. Answer C to confirm, X to call it off, M to move it. \
         Tel +17805550100"
    );
    // A provider may pass a reply on twice: one effect, one response.
    say(&service, PHONE, "c", 1).await;
    say(&service, PHONE, "c", 1).await;
    let thanks = last_text(&world, asked.len() + 1).await;
    assert_eq!(thanks, "Northside Physio: thank you. We expect you on Sun, Mar 8 at 9:00 AM.");
    assert_eq!((world.booking.visit(&visit).confirmed_at_us, world.booking.keys().len()), (1, 1));
    say(&service, PHONE, "M", 2).await;
    let link = last_text(&world, asked.len() + 2).await;
    assert!(link.contains("https://book.example.org/m/token-of-visit-0000001"), "{link}");
    say(&service, PHONE, "x", 3).await;
    assert_eq!(world.booking.visit(&visit).status, "cancelled");
    // The rules announce the cancellation; there is no second response.
    service.becomes(&visit, "cancelled", "sms", "sent").await;
    service.settled(&visit).await;
    assert_eq!(world.texts().len(), asked.len() + 3);
    assert_eq!(inbox(&service).await, [""; 0]);
    service.stop().await;
}

async fn an_ambiguous_reply_is_asked_about_once_and_then_kept_for_a_person(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let first = booked(&world, &service, "2026-03-08T14:00:00Z").await;
    let second = booked(&world, &service, "2026-03-08T20:00:00Z").await;
    world.until("2026-03-07T14:00:00Z");
    service.when("the first reminder", &first, |all| reminders(all) == 1).await;
    world.until("2026-03-07T20:00:00Z");
    service.when("the second reminder", &second, |all| reminders(all) == 1).await;
    let before = world.texts().len();
    say(&service, PHONE, "X", 1).await;
    let asked = last_text(&world, before + 1).await;
    assert_eq!(
        asked,
        "Northside Physio: which visit, Sun, Mar 8 8:00 AM; Sun, Mar 8 2:00 PM? Answer with the day as well, such as C 8 \
         or X 8."
    );
    // The day is ambiguous, too. After one question the reply goes to the inbox.
    say(&service, PHONE, "X 8", 2).await;
    assert_eq!(inbox(&service).await, ["cancel ambiguous"]);
    assert!([&first, &second].iter().all(|visit| world.booking.visit(visit).status == "booked"));
    service.stop().await;
}

async fn a_day_selects_the_visit(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let first = booked(&world, &service, "2026-03-08T14:00:00Z").await;
    let second = booked(&world, &service, "2026-03-09T01:00:00Z").await;
    let third = booked(&world, &service, "2026-03-09T14:00:00Z").await;
    world.until("2026-03-08T14:00:00Z");
    for visit in [&second, &third] {
        service.when("the reminder", visit, |all| reminders(all) == 1).await;
    }
    say(&service, PHONE, "X 9", 1).await;
    let now = [&first, &second, &third].map(|visit| world.booking.visit(visit).status);
    assert_eq!(now, ["booked", "booked", "cancelled"], "19:00 on the 8th is another day there");
    service.stop().await;
}

async fn a_reply_to_a_changed_visit_has_no_effect(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = booked(&world, &service, START).await;
    reminded(&world, &service, &[&visit]).await;
    let before = world.texts().len();
    // The patient answers the message from before the move.
    world.booking.hold_back();
    world.reschedule(&visit, "2026-03-09T15:00:00Z");
    say(&service, PHONE, "X", 1).await;
    assert_eq!(world.booking.visit(&visit).status, "booked");
    let text = last_text(&world, before + 1).await;
    assert_eq!(
        text,
        "Northside Physio: that visit has changed since, so nothing was done. We have your message. Tel +17805550100"
    );
    assert_eq!(inbox(&service).await, ["cancel refused"]);
    world.booking.release();
    service.becomes(&visit, "rescheduled", "sms", "scheduled").await;
    say(&service, PHONE, "C", 2).await;
    assert_eq!(inbox(&service).await, ["confirm outdated", "cancel refused"]);
    assert_eq!(world.booking.visit(&visit).confirmed_at_us, 0);
    service.stop().await;
}

async fn stop_blocks_messages_until_start(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let first = world.book(START);
    service.becomes(&first, "booked", "sms", "sent").await;
    say(&service, PHONE, "Stop", 1).await;
    let second = world.book(START);
    assert_eq!(service.becomes(&second, "booked", "sms", "suppressed").await.reason, "opted_out");
    say(&service, PHONE, "Yes", 2).await;
    let third = world.book(START);
    service.becomes(&third, "booked", "sms", "sent").await;
    // An opt-out to the carrier, perhaps a cancellation to the patient: it counts as opt-out, and a person reads it.
    say(&service, PHONE, "CANCEL", 3).await;
    let fourth = world.book(START);
    assert_eq!(service.becomes(&fourth, "booked", "sms", "suppressed").await.reason, "opted_out");
    say(&service, PHONE, "START", 4).await;
    // Without an opt-out before, it may be a confirmation.
    say(&service, PHONE, "yes", 5).await;
    assert_eq!(inbox(&service).await, ["start not_understood", "stop opted_out"]);
    let consents = world.booking.consents();
    let given: Vec<_> = consents.iter().map(|(_, given)| *given).collect();
    assert_eq!(given, [false, true, false, true, true]);
    assert!(consents.iter().all(|(address, _)| address == PHONE));
    assert_eq!(world.texts().len(), 2, "the carrier answers these words itself");
    service.stop().await;
}

async fn a_waiting_response_survives_the_cancellation_of_its_visit(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = booked(&world, &service, START).await;
    reminded(&world, &service, &[&visit]).await;
    world.provider.script([Behaviour::Busy(60)]);
    say(&service, PHONE, "C", 1).await;
    let waits = |all: &[Message]| all.iter().any(|one| one.trigger == "reply" && one.reason == "provider_busy");
    service.when("the answer to wait", &visit, waits).await;
    // The cancellation suppresses planned messages, but no response.
    world.cancel(&visit);
    service.becomes(&visit, "cancelled", "sms", "sent").await;
    world.seconds(90);
    service.becomes(&visit, "reply", "sms", "sent").await;
    service.stop().await;
}

async fn a_score_is_recorded_and_a_bad_one_reaches_the_inbox(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let body = RuleBody {
        trigger: "after_completed".into(),
        offset_minutes: 36 * 60,
        channels: vec!["sms".into()],
        asks: "score".into(),
        ..RuleBody::default()
    };
    let request = Running::context(organization(1)).request(CreateRuleRequest { body: Some(body.clone()) });
    service.client.clone().create_rule(request).await.unwrap();
    let other = "+15005550010";
    let fine = world.book(START);
    let bad = world.book_for(organization(1), us(START), crate::common::with_phone(other));
    for visit in [&fine, &bad] {
        service.becomes(visit, "booked", "sms", "sent").await;
    }
    world.until(START);
    for visit in [&fine, &bad] {
        world.booking.change(visit, "completed", us(START), |visit| visit.status = "fulfilled".into());
        service.becomes(visit, "after_completed", "sms", "scheduled").await;
    }
    world.seconds(36 * 3600);
    let asked = service.becomes(&fine, "after_completed", "sms", "sent").await.text;
    assert_eq!(
        asked,
        "Northside Physio: how do you feel after your visit on Sun, Mar 8? Answer with a number, 0 (no pain) to 10, or H \
         for a call. Tel +17805550100"
    );
    service.becomes(&bad, "after_completed", "sms", "sent").await;
    say(&service, PHONE, "2", 1).await;
    say(&service, other, "8/10", 2).await;
    assert_eq!(world.booking.check_ins(), [(fine, 2), (bad.clone(), 8)]);
    let items = inbox_of(&service, 1).await.items;
    let [item] = &items[..] else { panic!("{} items", items.len()) };
    assert_eq!((item.attention.as_str(), item.score, item.appointment_id.as_str()), ("pain", Some(8), bad.as_str()));
    say(&service, PHONE, "H", 3).await;
    assert_eq!(inbox(&service).await, ["help call_back", "score pain"]);
    // A patient cannot answer an e-mail.
    let body = RuleBody { channels: vec!["email".into()], ..body };
    let request = Running::context(organization(1)).request(CreateRuleRequest { body: Some(body) });
    let refused = Fault::from(service.client.clone().create_rule(request).await.unwrap_err());
    assert_eq!(refused.violations[0].pointer, "/channels");
    service.stop().await;
}

async fn no_reply_is_lost(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let visit = booked(&world, &service, START).await;
    reminded(&world, &service, &[&visit]).await;
    world.booking.set_down(true);
    say(&service, PHONE, "x", 1).await;
    world.booking.set_down(false);
    say(&service, PHONE, "I am late", 2).await;
    // A reply from an unknown number goes to the installation's own organisation.
    say(&service, "+15005550099", "hello", 3).await;
    assert_eq!(inbox(&service).await, ["unknown not_understood", "cancel not_processed"]);
    assert_eq!(inbox_of(&service, 9).await.items[0].text, "hello");
    let forged = ReceiveRequest { signature: "AAAA".into(), ..wrote(PHONE, "x", 4) };
    let refused = service.client.clone().receive_inbound(Running::context(organization(9)).request(forged)).await;
    assert_eq!(Fault::from(refused.unwrap_err()).code, Code::SignatureInvalid);

    let unread = inbox_of(&service, 1).await;
    assert_eq!(unread.unread_count, 2);
    let read = async |number, id: &str| {
        let request = Running::context(organization(number)).request(MarkReadRequest { id: id.into() });
        service.client.clone().mark_read(request).await.map(tonic::Response::into_inner)
    };
    let id = unread.items[0].id.clone();
    assert_eq!(Fault::from(read(9, &id).await.err().unwrap()).code, Code::NotFound);
    let first = read(1, &id).await.unwrap();
    assert_eq!((first.read_at_us, first.read_by.as_str()), (world.clock.now_us(), "key_test"));
    world.seconds(60);
    assert!(read(1, &id).await.unwrap() == first, "the first reader stays");
    repeated_keys_replay(&service, &id, &unread.items[1].id).await;
    let request = ListInboxRequest { unread: true, ..ListInboxRequest::default() };
    let left = service.client.clone().list_inbox(Running::context(organization(1)).request(request)).await.unwrap();
    assert_eq!((left.get_ref().unread_count, left.get_ref().items.len()), (1, 1));
    service.stop().await;
}

async fn a_carriers_message_is_parsed_as_far_as_possible(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let ctx = Running::context(organization(9));
    let url = format!("{}/v1/providers/twilio/inbound", crate::common::PUBLIC_URL);
    let pass_on = async |call: ReceiveRequest| {
        service.client.clone().receive_inbound(ctx.request(call)).await.map(tonic::Response::into_inner)
    };
    // A picture without a text gives a note; without an id, each callback is a new message.
    for text in ["", "", "hello"] {
        assert!(!pass_on(twilio(&url, "+15005550099", text, "")).await.unwrap().repeated);
    }
    let texts: Vec<_> = inbox_of(&service, 9).await.items.into_iter().rev().map(|item| item.text).collect();
    assert_eq!(texts, ["(no text; pictures, not kept: 1)", "(no text; pictures, not kept: 1)", "hello"]);
    // A message from an alphanumeric sender is dropped. One without a sender is refused.
    assert_eq!(pass_on(twilio(&url, "Vodafone", "offer", "SM1")).await.unwrap().id, "");
    let refused = Fault::from(pass_on(twilio(&url, "", "x", "SM2")).await.unwrap_err());
    assert_eq!((refused.code, refused.violations[0].pointer.as_str()), (Code::ValidationFailed, "/From"));
    // The provider signs the URL that it was given; the gateway may have another one.
    let elsewhere = |call: ReceiveRequest| ReceiveRequest { url: url.replace("book.example.org", "10.0.0.7"), ..call };
    assert_ne!(pass_on(elsewhere(wrote("+15005550098", "hello", 3))).await.unwrap().id, "");
    let forged = elsewhere(twilio(&url.replace("book", "evil"), "+15005550098", "x", "SM4"));
    assert_eq!(Fault::from(pass_on(forged).await.unwrap_err()).code, Code::SignatureInvalid);
    service.stop().await;
}

/// A repeated key gets the same answer, marked as a replay.
async fn repeated_keys_replay(service: &Running, id: &str, other: &str) {
    let keyed = async |id: &str, fingerprint: &str| {
        let idempotency = Some(Idempotency { key: "one".into(), fingerprint: fingerprint.into() });
        let ctx = Context { idempotency, ..Running::context(organization(1)) };
        service.client.clone().mark_read(ctx.forward(MarkReadRequest { id: id.into() })).await
    };
    let (first, again) = (keyed(id, "a").await.unwrap(), keyed(id, "a").await.unwrap());
    assert!(!rpc::is_replay(&first) && rpc::is_replay(&again));
    assert!(first.into_inner() == again.into_inner());
    assert_eq!(Fault::from(keyed(other, "b").await.err().unwrap()).code, Code::IdempotencyKeyReused);
}

async fn signed_calls_are_limited_for_each_organisation_and_forged_ones_do_not_count(database: Database) {
    let mut world = World::with_twilio(database, NOW).await;
    world.config.callbacks_per_second = 3;
    let service = world.start().await;
    booked(&world, &service, START).await;
    let url = format!("{}/v1/providers/twilio/inbound", crate::common::PUBLIC_URL);
    let pass_on = async |from: &str, number: u32, forged: bool| {
        let mut request = twilio(&url, from, "STOP", &format!("SM{number:032}"));
        if forged {
            request.signature = "forged".into();
        }
        let ctx = Running::context(organization(9));
        service.client.clone().receive_inbound(ctx.request(request)).await.map_err(|status| Fault::from(status).code)
    };
    for number in 0..20 {
        assert_eq!(pass_on(PHONE, number, true).await.err(), Some(Code::SignatureInvalid));
    }
    let mut refused = 0;
    for number in 20..40 {
        match pass_on(PHONE, number, false).await {
            Ok(_) => {}
            Err(code) => {
                assert_eq!(code, Code::RateLimited);
                refused += 1;
            }
        }
    }
    assert!((1..=17).contains(&refused), "{refused} of 20 signed calls");
    // A number that no organisation has written to belongs to the caller's.
    assert!(pass_on("+15005550077", 41, false).await.is_ok(), "another organisation's");
}

testkit::engines!(
    a_letter_confirms_cancels_or_moves_the_visit,
    an_ambiguous_reply_is_asked_about_once_and_then_kept_for_a_person,
    a_day_selects_the_visit,
    a_reply_to_a_changed_visit_has_no_effect,
    stop_blocks_messages_until_start,
    a_waiting_response_survives_the_cancellation_of_its_visit,
    a_score_is_recorded_and_a_bad_one_reaches_the_inbox,
    no_reply_is_lost,
    a_carriers_message_is_parsed_as_far_as_possible,
    signed_calls_are_limited_for_each_organisation_and_forged_ones_do_not_count,
);
