//! Endpoints that answer 410, or fail for days.

use rpc::Code;
use testkit::database::Database;

use crate::webhooks::receiver::{PATH, SECOND, WebhookFixture};

const START: &str = "2026-04-08T15:00:00Z";
const HOUR: i64 = 3600 * SECOND;

async fn a_410_disables_the_endpoint_at_once(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    fixture.pages.say(PATH, 500, "", b"");
    let visit = fixture.world.book(START);
    fixture.tried(&endpoint, 1).await;
    fixture.world.cancel(&visit);
    fixture.when("two deliveries", &endpoint, |all| all.len() == 2).await;
    fixture.pages.say(PATH, 410, "", b"");
    fixture.world.seconds(6);
    let all = fixture.when("both to end", &endpoint, |all| all.iter().all(|one| one.status == "dead")).await;
    let errors: Vec<_> = all.iter().map(|one| (one.attempts, one.last_error.as_str())).collect();
    assert_eq!(errors, [(2, "gone"), (0, "endpoint_disabled")]);
    let disabled = fixture.get(&endpoint.id).await;
    assert_eq!((disabled.body.unwrap().enabled, disabled.disabled_reason.as_str()), (false, "gone"));

    // A disabled endpoint gets no deliveries, and none can be replayed.
    let quiet = fixture.world.book(START);
    let other = fixture.endpoint(&["appointment.cancelled"]).await;
    fixture.world.cancel(&quiet);
    fixture.when("a delivery to the other endpoint", &other, |all| all.len() == 1).await;
    assert_eq!(fixture.deliveries(&endpoint).await.len(), 2);
    assert_eq!(fixture.replay(&all[0]).await.unwrap_err().code, Code::InvalidTransition);

    fixture.pages.say(PATH, 204, "", b"");
    let enabled = fixture.set_enabled(&endpoint, true).await;
    assert_eq!((enabled.body.unwrap().enabled, enabled.disabled_reason.as_str()), (true, ""));
    // Replayed deliveries keep their order.
    for one in &all {
        fixture.replay(one).await.unwrap();
    }
    fixture.when("both", &endpoint, |all| all.iter().all(|one| one.status == "delivered")).await;
    let pending = fixture.replay(&all[0]).await.unwrap();
    fixture.when("it again", &endpoint, |all| all.iter().all(|one| one.status == "delivered")).await;
    assert_eq!(pending.id, all[0].id);
}

async fn an_endpoint_that_fails_for_five_days_is_disabled(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    let begun = fixture.world.clock.now_us();
    fixture.pages.say(PATH, 500, "", b"");
    fixture.world.book(START);
    fixture.tried(&endpoint, 1).await;
    assert_eq!(fixture.get(&endpoint.id).await.failing_since_us, begun);
    fixture.to(begun + 119 * HOUR);
    fixture.when("the first to die", &endpoint, |all| all[0].status == "dead").await;
    fixture.world.book(START);
    fixture.when("the second", &endpoint, |all| all.len() == 2).await;
    let second = fixture.tried(&endpoint, 1).await;
    assert!(fixture.get(&endpoint.id).await.body.unwrap().enabled, "five days are not over");
    assert_eq!(second.status, "pending");
    fixture.to(begun + 120 * HOUR);
    let all = fixture.when("the second to die", &endpoint, |all| all[1].status == "dead").await;
    assert_eq!((all[1].attempts, all[1].last_error.as_str()), (2, "endpoint_disabled"));
    let disabled = fixture.get(&endpoint.id).await;
    assert_eq!((disabled.body.unwrap().enabled, disabled.disabled_reason.as_str()), (false, "failing"));

    // Enabling the endpoint restarts the five days, as does a success.
    assert_eq!(fixture.set_enabled(&endpoint, true).await.failing_since_us, 0);
    fixture.world.book(START);
    fixture.when("the third", &endpoint, |all| all.len() == 3).await;
    fixture.tried(&endpoint, 1).await;
    fixture.pages.say(PATH, 204, "", b"");
    fixture.to(begun + 150 * HOUR);
    fixture.when("a success", &endpoint, |all| all[2].status == "delivered").await;
    fixture.pages.say(PATH, 500, "", b"");
    fixture.to(begun + 260 * HOUR);
    fixture.world.book(START);
    fixture.when("the fourth", &endpoint, |all| all.len() == 4).await;
    fixture.tried(&endpoint, 1).await;
    assert!(fixture.get(&endpoint.id).await.body.unwrap().enabled, "it has not failed for five days");
}

testkit::engines!(a_410_disables_the_endpoint_at_once, an_endpoint_that_fails_for_five_days_is_disabled,);
