//! Deliveries: order, retries, replay, signatures.

use std::collections::HashSet;

use rpc::{Code, Idempotency};
use serde_json::{Value, json};
use testkit::{database::Database, poll};
use wire::reminder::{
    ListWebhookDeliveriesRequest, ReplayWebhookDeliveryRequest, RotateWebhookSecretRequest, TestWebhookEndpointRequest,
    WebhookDelivery, WebhookEndpointBody,
};

use crate::{
    common::{Running, WITHIN, organization, patient, us},
    webhooks::receiver::{PATH, SECOND, WebhookFixture, ctx, parse_event, signed_by},
};

const START: &str = "2026-03-08T15:00:00Z";
const PAUSES: [i64; 10] = [5, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000, 36_000, 36_000];

async fn deliveries_about_one_appointment_keep_their_order(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    fixture.pages.say(PATH, 500, "", b"");
    let first = fixture.world.book(START);
    fixture.tried(&endpoint, 1).await;
    fixture.world.reschedule(&first, "2026-03-09T15:00:00Z");
    let second = fixture.world.book(START);
    fixture.when("the third", &endpoint, |all| all.len() == 3 && all[2].attempts == 1).await;
    let waiting = &fixture.deliveries(&endpoint).await[1];
    assert_eq!((waiting.attempts, waiting.next_try_at_us), (0, 0), "it waits behind the first delivery");
    assert_eq!(fixture.received(2).await.len(), 2);

    fixture.pages.say(PATH, 200, "", b"");
    fixture.tried(&endpoint, 1).await;
    fixture.world.seconds(6);
    let received = fixture.received(5).await;
    let of = |id: &str| {
        let events = received.iter().map(parse_event).filter(|(_, about, _)| about == id);
        events.map(|(event, _, version)| (event, version)).collect::<Vec<_>>()
    };
    let booked = || ("appointment.booked".to_owned(), 1);
    assert_eq!(of(&first), [booked(), booked(), ("appointment.rescheduled".to_owned(), 2)]);
    assert_eq!(of(&second), [booked(), booked()]);
    let retries: Vec<_> = received.iter().filter(|one| parse_event(one).1 == second).collect();
    let header = |at: usize, name: &str| retries[at].headers[name].clone();
    assert_eq!(header(0, "webhook-id"), header(1, "webhook-id"), "equal on each retry");
    assert_ne!(header(0, "webhook-timestamp"), header(1, "webhook-timestamp"), "new on each");
    assert_eq!(retries[0].body, retries[1].body);
    fixture.when("deliveries", &endpoint, |all| all.iter().all(|one| one.status == "delivered")).await;

    let body: Value = serde_json::from_str(&retries[0].body).unwrap();
    assert_eq!(body["data"]["starts_at"], json!("2026-03-08T09:00:00-06:00"), "the local time");
    assert!(received.iter().all(|one| !one.body.contains("Canary") && !one.body.contains("+1500")), "no names");
}

async fn a_delivery_is_retried_for_three_days_and_can_then_be_replayed(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    fixture.pages.say(PATH, 302, "/elsewhere", b"");
    fixture.world.book(START);
    for (attempts, pause) in (1..).zip(PAUSES) {
        let delivery = fixture.tried(&endpoint, attempts).await;
        assert_eq!((delivery.status.as_str(), delivery.last_error.as_str()), ("pending", "redirected"));
        let waits = (delivery.next_try_at_us - fixture.world.clock.now_us()) as f64 / SECOND as f64;
        let pause = pause as f64;
        assert!((pause * 0.8..=pause * 1.2).contains(&waits), "attempt {attempts}: {waits} instead of {pause}");
        // The end of the jitter, so that each run has the same number of attempts.
        fixture.to(fixture.world.clock.now_us() + (pause * 1.2) as i64 * SECOND);
    }
    let dead = fixture.when("a dead letter", &endpoint, |all| all[0].status == "dead").await.remove(0);
    assert_eq!((dead.last_status, dead.last_error.as_str(), dead.next_try_at_us), (302, "redirected", 0));
    let hours = (fixture.world.clock.now_us() - dead.created_at_us) / SECOND / 3600;
    assert_eq!((dead.attempts, hours), (11, 69), "another pause would end after three days");
    let count = dead.attempts as usize;
    let tries = fixture.received(count).await;
    assert!(tries.iter().all(|one| one.path == PATH), "no redirect is followed");

    fixture.pages.say(PATH, 204, "", b"");
    let again = fixture.replay(&dead).await.unwrap();
    assert_eq!((again.status.as_str(), again.id.as_str()), ("pending", dead.id.as_str()));
    let done = fixture.when("a delivery", &endpoint, |all| all[0].status == "delivered").await.remove(0);
    assert_eq!((done.attempts, done.last_status), (dead.attempts + 1, 204));
    let received = fixture.received(count + 1).await;
    assert_eq!(received[count].headers["webhook-id"], received[0].headers["webhook-id"]);
}

async fn a_receiver_may_ask_for_a_longer_delay(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    for (visit, after, waits) in [(1, "7200", 7200), (2, "999999999", 36_000)] {
        fixture.pages.retry_after(PATH, 503, after);
        fixture.world.book(START);
        fixture.when("a delivery", &endpoint, |all| all.len() == visit).await;
        let delivery = fixture.tried(&endpoint, 1).await;
        assert_eq!(delivery.next_try_at_us - fixture.world.clock.now_us(), waits * SECOND, "{after}");
    }
}

async fn the_old_secret_also_signs_for_a_day(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    let old = endpoint.secret.as_str();
    fixture.world.book(START);
    assert!(signed_by(&fixture.received(1).await[0], &[old]));
    let request = RotateWebhookSecretRequest { id: endpoint.id.clone() };
    let rotated = fixture.service.webhooks.clone().rotate_webhook_secret(ctx().request(request)).await.unwrap();
    let new = rotated.into_inner().secret;
    assert!(new.starts_with("whsec_") && new != old);
    assert_eq!(fixture.get(&endpoint.id).await.secret, "", "shown once");
    fixture.world.book(START);
    assert!(signed_by(&fixture.received(2).await[1], &[&new, old]));
    fixture.world.seconds(24 * 3600 - 1);
    fixture.world.book(START);
    assert!(signed_by(&fixture.received(3).await[2], &[&new, old]));
    fixture.world.seconds(1);
    fixture.world.book(START);
    assert!(signed_by(&fixture.received(4).await[3], &[&new]));
}

async fn an_endpoint_gets_its_events_and_no_other_organisations(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let some = fixture.endpoint(&["appointment.cancelled"]).await;
    let all = fixture.endpoint(&[]).await;
    let visit = fixture.world.book(START);
    fixture.world.cancel(&visit);
    let foreign = fixture.world.book_for(organization(2), us(START), patient());
    let at_risk = fixture.world.book(START);
    fixture.world.booking.puts_at_risk(&at_risk, "", "2026-03-09", fixture.world.clock.now_us());
    fixture.when("deliveries", &all, |found| found.len() == 3).await;
    let events = async |endpoint| {
        let found = fixture.deliveries(endpoint).await;
        found.into_iter().map(|one| one.event).collect::<Vec<_>>()
    };
    assert_eq!(events(&all).await, ["appointment.booked", "appointment.cancelled", "appointment.booked"]);
    assert_eq!(events(&some).await, ["appointment.cancelled"]);
    assert!(fixture.pages.received().iter().all(|one| !one.body.contains(&foreign)));
    // The list filters by status.
    let request = ListWebhookDeliveriesRequest {
        webhook_endpoint_id: all.id.clone(),
        statuses: vec!["dead".into()],
        ..Default::default()
    };
    let dead = fixture.service.webhooks.clone().list_webhook_deliveries(ctx().request(request)).await.unwrap();
    assert_eq!(dead.into_inner().deliveries, []);
    let request = ListWebhookDeliveriesRequest {
        webhook_endpoint_id: all.id.clone(),
        statuses: vec!["lost".into()],
        ..Default::default()
    };
    let refused = fixture.service.webhooks.clone().list_webhook_deliveries(ctx().request(request)).await.unwrap_err();
    assert_eq!(rpc::Fault::from(refused).violations[0].pointer, "status");
}

async fn a_repeated_request_delivers_once(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    let mut ctx = ctx();
    let key = |text: &str| Some(Idempotency { key: text.into(), fingerprint: text.into() });
    ctx.idempotency = key("test");
    let request = || TestWebhookEndpointRequest { id: endpoint.id.clone() };
    let mut client = fixture.service.webhooks.clone();
    let first = client.test_webhook_endpoint(ctx.forward(request())).await.unwrap().into_inner();
    let second = client.test_webhook_endpoint(ctx.forward(request())).await.unwrap().into_inner();
    assert_eq!(first, second);
    fixture.when("a delivery", &endpoint, |all| all.len() == 1 && all[0].status == "delivered").await;

    ctx.idempotency = key("replay");
    let request = || ReplayWebhookDeliveryRequest { webhook_endpoint_id: endpoint.id.clone(), id: first.id.clone() };
    let again = client.replay_webhook_delivery(ctx.forward(request())).await.unwrap().into_inner();
    fixture.when("it again", &endpoint, |all| all[0].attempts == 2 && all[0].status == "delivered").await;
    let same = client.replay_webhook_delivery(ctx.forward(request())).await.unwrap().into_inner();
    assert_eq!(again, same);
    fixture.received(2).await;
}

async fn a_slow_receiver_delays_no_other_endpoint(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let slow = WebhookEndpointBody { url: format!("{}/slow", fixture.pages.url), ..fixture.body(&[]) };
    fixture.create(&ctx(), slow).await.unwrap();
    let endpoint = fixture.endpoint(&[]).await;
    let gate = fixture.pages.hold("/slow");
    // More than the concurrent deliveries of a process.
    for _ in 0..40 {
        fixture.world.book(START);
    }
    let done = |all: &[WebhookDelivery]| all.len() == 40 && all.iter().all(|one| one.status == "delivered");
    fixture.when("forty deliveries", &endpoint, done).await;
    let waiting = fixture.pages.received().iter().filter(|one| one.path == "/slow").count();
    assert!((1..8).contains(&waiting), "{waiting} on their way");
    drop(gate);
}

async fn endpoints_that_never_answer_delay_no_other_organisation(database: Database) {
    const ENDPOINTS: usize = 20;
    let fixture = WebhookFixture::on(database).await;
    let silent = WebhookEndpointBody { url: format!("{}/silent", fixture.pages.url), ..fixture.body(&[]) };
    for _ in 0..ENDPOINTS {
        fixture.create(&ctx(), silent.clone()).await.unwrap();
    }
    let theirs = Running::context(organization(2));
    fixture.create(&theirs, fixture.body(&[])).await.unwrap();
    let gate = fixture.pages.hold("/silent");
    let count = |path: &str| fixture.pages.received().iter().filter(|one| one.path == path).count();
    // Each visit is a delivery to each endpoint: many more than a process has places.
    for _ in 0..20 {
        fixture.world.book(START);
    }
    poll::until("deliveries that are not answered", WITHIN, || async { (count("/silent") >= 20).then_some(()) }).await;
    for _ in 0..10 {
        fixture.world.book_for(organization(2), us(START), patient());
    }
    poll::until("the other organisation's", WITHIN, || async { (count(PATH) == 10).then_some(()) }).await;
    let held = count("/silent");
    assert!(held < 20 * ENDPOINTS, "{held} are on their way, the others wait for places");
    drop(gate);
}

async fn a_ping_tests_an_endpoint(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&["plan.at_risk"]).await;
    let request = || TestWebhookEndpointRequest { id: endpoint.id.clone() };
    let sent =
        fixture.service.webhooks.clone().test_webhook_endpoint(ctx().request(request())).await.unwrap().into_inner();
    let received = fixture.received(1).await.remove(0);
    assert_eq!((parse_event(&received).0.as_str(), &received.headers["webhook-id"]), ("ping", &sent.id));
    assert!(signed_by(&received, &[&endpoint.secret]));
    fixture.set_enabled(&endpoint, false).await;
    let refused = fixture.service.webhooks.clone().test_webhook_endpoint(ctx().request(request())).await.unwrap_err();
    assert_eq!(rpc::Fault::from(refused).code, Code::InvalidTransition);
}

async fn two_processes_side_by_side_deliver_each_once(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let other = fixture.world.start().await;
    let endpoint = fixture.endpoint(&[]).await;
    for _ in 0..20 {
        fixture.world.book(START);
    }
    let all = |found: &[WebhookDelivery]| {
        found.len() == 20 && found.iter().all(|one| one.status == "delivered" && one.attempts == 1)
    };
    fixture.when("twenty deliveries", &endpoint, all).await;
    let received = fixture.received(20).await;
    let ids: HashSet<_> = received.iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 20);
    other.stop().await;
}

async fn an_unrecorded_delivery_of_a_killed_process_is_sent_again(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    let gate = fixture.pages.hold(PATH);
    fixture.world.book(START);
    fixture.received(1).await;
    let WebhookFixture { world, service, pages } = fixture;
    service.kill().await;
    drop(gate);
    let service = world.start().await;
    let fixture = WebhookFixture { world, service, pages };
    fixture.world.seconds(61);
    poll::until("another attempt", WITHIN, || async { (fixture.pages.received().len() == 2).then_some(()) }).await;
    let received = fixture.received(2).await;
    assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
    fixture.when("a delivery", &endpoint, |all| all[0].status == "delivered").await;
}

testkit::engines!(
    deliveries_about_one_appointment_keep_their_order,
    a_delivery_is_retried_for_three_days_and_can_then_be_replayed,
    a_receiver_may_ask_for_a_longer_delay,
    the_old_secret_also_signs_for_a_day,
    an_endpoint_gets_its_events_and_no_other_organisations,
    a_ping_tests_an_endpoint,
    two_processes_side_by_side_deliver_each_once,
    a_repeated_request_delivers_once,
    a_slow_receiver_delays_no_other_endpoint,
    endpoints_that_never_answer_delay_no_other_organisation,
    an_unrecorded_delivery_of_a_killed_process_is_sent_again,
);
