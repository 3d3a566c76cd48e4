//! Order, retries, the dead letter and its replay, signatures.

use std::collections::HashSet;

use rpc::{Code, Idempotency};
use serde_json::{Value, json};
use testkit::{database::Database, poll};
use wire::reminder::{
    ListWebhookDeliveriesRequest, ReplayWebhookDeliveryRequest, RotateWebhookSecretRequest, TestWebhookEndpointRequest,
    WebhookDelivery, WebhookEndpointBody,
};

use crate::{
    common::{WITHIN, organization, patient, us},
    webhooks::receiver::{Bed, PATH, SECOND, ctx, signed_by, told},
};

const START: &str = "2026-03-08T15:00:00Z";
const PAUSES: [i64; 10] = [5, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000, 36_000, 36_000];

async fn changes_of_one_appointment_go_one_after_another(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    bed.pages.say(PATH, 500, "", b"");
    let first = bed.world.book(START);
    bed.tried(&endpoint, 1).await;
    bed.world.reschedule(&first, "2026-03-09T15:00:00Z");
    let second = bed.world.book(START);
    bed.when("the third", &endpoint, |all| all.len() == 3 && all[2].attempts == 1).await;
    let waiting = &bed.deliveries(&endpoint).await[1];
    assert_eq!((waiting.attempts, waiting.next_try_at_us), (0, 0), "it waits behind the first");
    assert_eq!(bed.received(2).await.len(), 2);

    bed.pages.say(PATH, 200, "", b"");
    bed.tried(&endpoint, 1).await;
    bed.world.seconds(6);
    let received = bed.received(5).await;
    let of = |id: &str| {
        let told = received.iter().map(told).filter(|(_, about, _)| about == id);
        told.map(|(event, _, version)| (event, version)).collect::<Vec<_>>()
    };
    let booked = || ("appointment.booked".to_owned(), 1);
    assert_eq!(of(&first), [booked(), booked(), ("appointment.rescheduled".to_owned(), 2)]);
    assert_eq!(of(&second), [booked(), booked()]);
    let retries: Vec<_> = received.iter().filter(|one| told(one).1 == second).collect();
    let header = |at: usize, name: &str| retries[at].headers[name].clone();
    assert_eq!(header(0, "webhook-id"), header(1, "webhook-id"), "the same on every retry");
    assert_ne!(header(0, "webhook-timestamp"), header(1, "webhook-timestamp"), "new on each");
    assert_eq!(retries[0].body, retries[1].body);
    bed.when("deliveries", &endpoint, |all| all.iter().all(|one| one.status == "delivered")).await;

    let body: Value = serde_json::from_str(&retries[0].body).unwrap();
    assert_eq!(body["data"]["starts_at"], json!("2026-03-08T09:00:00-06:00"), "the time of its place");
    assert!(received.iter().all(|one| !one.body.contains("Canary") && !one.body.contains("+1500")), "no names");
}

async fn it_is_tried_for_three_days_then_kept_as_a_dead_letter_until_it_is_replayed(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    bed.pages.say(PATH, 302, "/elsewhere", b"");
    bed.world.book(START);
    for (attempts, pause) in (1..).zip(PAUSES) {
        let delivery = bed.tried(&endpoint, attempts).await;
        assert_eq!((delivery.status.as_str(), delivery.last_error.as_str()), ("pending", "redirected"));
        let waits = (delivery.next_try_at_us - bed.world.clock.now_us()) as f64 / SECOND as f64;
        let pause = pause as f64;
        assert!((pause * 0.8..=pause * 1.2).contains(&waits), "attempt {attempts}: {waits} instead of {pause}");
        // At the end of the jitter, so that the count of attempts is the same in every run.
        bed.to(bed.world.clock.now_us() + (pause * 1.2) as i64 * SECOND);
    }
    let dead = bed.when("a dead letter", &endpoint, |all| all[0].status == "dead").await.remove(0);
    assert_eq!((dead.last_status, dead.last_error.as_str(), dead.next_try_at_us), (302, "redirected", 0));
    let hours = (bed.world.clock.now_us() - dead.created_at_us) / SECOND / 3600;
    assert_eq!((dead.attempts, hours), (11, 69), "another pause would end after three days");
    let count = dead.attempts as usize;
    let tries = bed.received(count).await;
    assert!(tries.iter().all(|one| one.path == PATH), "no redirect is followed");

    bed.pages.say(PATH, 204, "", b"");
    let again = bed.replay(&dead).await.unwrap();
    assert_eq!((again.status.as_str(), again.id.as_str()), ("pending", dead.id.as_str()));
    let done = bed.when("a delivery", &endpoint, |all| all[0].status == "delivered").await.remove(0);
    assert_eq!((done.attempts, done.last_status), (dead.attempts + 1, 204));
    let received = bed.received(count + 1).await;
    assert_eq!(received[count].headers["webhook-id"], received[0].headers["webhook-id"]);
}

async fn a_receiver_that_asks_for_time_gets_it(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    for (visit, after, waits) in [(1, "7200", 7200), (2, "999999999", 36_000)] {
        bed.pages.retry_after(PATH, 503, after);
        bed.world.book(START);
        bed.when("a delivery", &endpoint, |all| all.len() == visit).await;
        let delivery = bed.tried(&endpoint, 1).await;
        assert_eq!(delivery.next_try_at_us - bed.world.clock.now_us(), waits * SECOND, "{after}");
    }
}

async fn the_old_secret_signs_beside_the_new_one_for_a_day(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    let old = endpoint.secret.as_str();
    bed.world.book(START);
    assert!(signed_by(&bed.received(1).await[0], &[old]));
    let request = RotateWebhookSecretRequest { id: endpoint.id.clone() };
    let rotated = bed.service.webhooks.clone().rotate_webhook_secret(ctx().request(request)).await.unwrap();
    let new = rotated.into_inner().secret;
    assert!(new.starts_with("whsec_") && new != old);
    assert_eq!(bed.get(&endpoint.id).await.secret, "", "shown once");
    bed.world.book(START);
    assert!(signed_by(&bed.received(2).await[1], &[&new, old]));
    bed.world.seconds(24 * 3600 - 1);
    bed.world.book(START);
    assert!(signed_by(&bed.received(3).await[2], &[&new, old]));
    bed.world.seconds(1);
    bed.world.book(START);
    assert!(signed_by(&bed.received(4).await[3], &[&new]));
}

async fn an_endpoint_hears_what_it_asked_for_and_nothing_of_others(database: Database) {
    let bed = Bed::on(database).await;
    let some = bed.endpoint(&["appointment.cancelled"]).await;
    let all = bed.endpoint(&[]).await;
    let visit = bed.world.book(START);
    bed.world.cancel(&visit);
    let foreign = bed.world.book_for(organization(2), us(START), patient());
    let at_risk = bed.world.book(START);
    bed.world.booking.puts_at_risk(&at_risk, "", "2026-03-09", bed.world.clock.now_us());
    bed.when("deliveries", &all, |found| found.len() == 3).await;
    let events = async |endpoint| {
        let found = bed.deliveries(endpoint).await;
        found.into_iter().map(|one| one.event).collect::<Vec<_>>()
    };
    assert_eq!(events(&all).await, ["appointment.booked", "appointment.cancelled", "appointment.booked"]);
    assert_eq!(events(&some).await, ["appointment.cancelled"]);
    assert!(bed.pages.received().iter().all(|one| !one.body.contains(&foreign)));
    // The list can be narrowed.
    let request = ListWebhookDeliveriesRequest {
        webhook_endpoint_id: all.id.clone(),
        statuses: vec!["dead".into()],
        ..Default::default()
    };
    let dead = bed.service.webhooks.clone().list_webhook_deliveries(ctx().request(request)).await.unwrap();
    assert_eq!(dead.into_inner().deliveries, []);
    let request = ListWebhookDeliveriesRequest {
        webhook_endpoint_id: all.id.clone(),
        statuses: vec!["lost".into()],
        ..Default::default()
    };
    let refused = bed.service.webhooks.clone().list_webhook_deliveries(ctx().request(request)).await.unwrap_err();
    assert_eq!(rpc::Fault::from(refused).violations[0].pointer, "status");
}

async fn a_repeated_request_sends_once(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    let mut ctx = ctx();
    let key = |text: &str| Some(Idempotency { key: text.into(), fingerprint: text.into() });
    ctx.idempotency = key("test");
    let request = || TestWebhookEndpointRequest { id: endpoint.id.clone() };
    let mut client = bed.service.webhooks.clone();
    let first = client.test_webhook_endpoint(ctx.forward(request())).await.unwrap().into_inner();
    let second = client.test_webhook_endpoint(ctx.forward(request())).await.unwrap().into_inner();
    assert_eq!(first, second);
    bed.when("a delivery", &endpoint, |all| all.len() == 1 && all[0].status == "delivered").await;

    ctx.idempotency = key("replay");
    let request = || ReplayWebhookDeliveryRequest { webhook_endpoint_id: endpoint.id.clone(), id: first.id.clone() };
    let again = client.replay_webhook_delivery(ctx.forward(request())).await.unwrap().into_inner();
    bed.when("it again", &endpoint, |all| all[0].attempts == 2 && all[0].status == "delivered").await;
    let same = client.replay_webhook_delivery(ctx.forward(request())).await.unwrap().into_inner();
    assert_eq!(again, same);
    bed.received(2).await;
}

async fn a_slow_receiver_holds_up_nobody_else(database: Database) {
    let bed = Bed::on(database).await;
    let slow = WebhookEndpointBody { url: format!("{}/slow", bed.pages.url), ..bed.body(&[]) };
    bed.create(&ctx(), slow).await.unwrap();
    let endpoint = bed.endpoint(&[]).await;
    let gate = bed.pages.hold("/slow");
    // More than there are places.
    for _ in 0..40 {
        bed.world.book(START);
    }
    let done = |all: &[WebhookDelivery]| all.len() == 40 && all.iter().all(|one| one.status == "delivered");
    bed.when("forty deliveries", &endpoint, done).await;
    let waiting = bed.pages.received().iter().filter(|one| one.path == "/slow").count();
    assert!((1..8).contains(&waiting), "{waiting} on their way");
    drop(gate);
}

async fn a_ping_tests_an_endpoint(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&["plan.at_risk"]).await;
    let request = || TestWebhookEndpointRequest { id: endpoint.id.clone() };
    let sent = bed.service.webhooks.clone().test_webhook_endpoint(ctx().request(request())).await.unwrap().into_inner();
    let received = bed.received(1).await.remove(0);
    assert_eq!((told(&received).0.as_str(), &received.headers["webhook-id"]), ("ping", &sent.id));
    assert!(signed_by(&received, &[&endpoint.secret]));
    bed.set_enabled(&endpoint, false).await;
    let refused = bed.service.webhooks.clone().test_webhook_endpoint(ctx().request(request())).await.unwrap_err();
    assert_eq!(rpc::Fault::from(refused).code, Code::InvalidTransition);
}

async fn two_processes_side_by_side_deliver_each_once(database: Database) {
    let bed = Bed::on(database).await;
    let other = bed.world.start().await;
    let endpoint = bed.endpoint(&[]).await;
    for _ in 0..20 {
        bed.world.book(START);
    }
    let all = |found: &[WebhookDelivery]| {
        found.len() == 20 && found.iter().all(|one| one.status == "delivered" && one.attempts == 1)
    };
    bed.when("twenty deliveries", &endpoint, all).await;
    let received = bed.received(20).await;
    let ids: HashSet<_> = received.iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 20);
    other.stop().await;
}

async fn what_a_killed_process_had_not_recorded_is_sent_again(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    let gate = bed.pages.hold(PATH);
    bed.world.book(START);
    bed.received(1).await;
    let Bed { world, service, pages } = bed;
    service.kill().await;
    drop(gate);
    let service = world.start().await;
    let bed = Bed { world, service, pages };
    bed.world.seconds(61);
    poll::until("another attempt", WITHIN, || async { (bed.pages.received().len() == 2).then_some(()) }).await;
    let received = bed.received(2).await;
    assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
    bed.when("a delivery", &endpoint, |all| all[0].status == "delivered").await;
}

testkit::engines!(
    changes_of_one_appointment_go_one_after_another,
    it_is_tried_for_three_days_then_kept_as_a_dead_letter_until_it_is_replayed,
    a_receiver_that_asks_for_time_gets_it,
    the_old_secret_signs_beside_the_new_one_for_a_day,
    an_endpoint_hears_what_it_asked_for_and_nothing_of_others,
    a_ping_tests_an_endpoint,
    two_processes_side_by_side_deliver_each_once,
    a_repeated_request_sends_once,
    a_slow_receiver_holds_up_nobody_else,
    what_a_killed_process_had_not_recorded_is_sent_again,
);
