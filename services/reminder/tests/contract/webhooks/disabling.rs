//! Endpoints that want nothing any more, or are nowhere to be found.

use rpc::Code;
use testkit::database::Database;

use crate::webhooks::receiver::{Bed, PATH, SECOND};

const START: &str = "2026-04-08T15:00:00Z";
const HOUR: i64 = 3600 * SECOND;

async fn an_endpoint_that_is_gone_is_disabled_at_once(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    bed.pages.say(PATH, 500, "", b"");
    let visit = bed.world.book(START);
    bed.tried(&endpoint, 1).await;
    bed.world.cancel(&visit);
    bed.when("two deliveries", &endpoint, |all| all.len() == 2).await;
    bed.pages.say(PATH, 410, "", b"");
    bed.world.seconds(6);
    let all = bed.when("both to end", &endpoint, |all| all.iter().all(|one| one.status == "dead")).await;
    let errors: Vec<_> = all.iter().map(|one| (one.attempts, one.last_error.as_str())).collect();
    assert_eq!(errors, [(2, "gone"), (0, "endpoint_disabled")]);
    let disabled = bed.get(&endpoint.id).await;
    assert_eq!((disabled.body.unwrap().enabled, disabled.disabled_reason.as_str()), (false, "gone"));

    // While it is disabled nothing is told, and nothing is replayed.
    let quiet = bed.world.book(START);
    let other = bed.endpoint(&["appointment.cancelled"]).await;
    bed.world.cancel(&quiet);
    bed.when("the other one to hear", &other, |all| all.len() == 1).await;
    assert_eq!(bed.deliveries(&endpoint).await.len(), 2);
    assert_eq!(bed.replay(&all[0]).await.unwrap_err().code, Code::InvalidTransition);

    bed.pages.say(PATH, 204, "", b"");
    let enabled = bed.set_enabled(&endpoint, true).await;
    assert_eq!((enabled.body.unwrap().enabled, enabled.disabled_reason.as_str()), (true, ""));
    // Replayed, they go one after the other again.
    for one in &all {
        bed.replay(one).await.unwrap();
    }
    bed.when("both", &endpoint, |all| all.iter().all(|one| one.status == "delivered")).await;
    let pending = bed.replay(&all[0]).await.unwrap();
    bed.when("it again", &endpoint, |all| all.iter().all(|one| one.status == "delivered")).await;
    assert_eq!(pending.id, all[0].id);
}

async fn an_endpoint_that_fails_for_five_days_is_disabled(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    let begun = bed.world.clock.now_us();
    bed.pages.say(PATH, 500, "", b"");
    bed.world.book(START);
    bed.tried(&endpoint, 1).await;
    assert_eq!(bed.get(&endpoint.id).await.failing_since_us, begun);
    bed.to(begun + 119 * HOUR);
    bed.when("the first to die", &endpoint, |all| all[0].status == "dead").await;
    bed.world.book(START);
    bed.when("the second", &endpoint, |all| all.len() == 2).await;
    let second = bed.tried(&endpoint, 1).await;
    assert!(bed.get(&endpoint.id).await.body.unwrap().enabled, "five days are not over");
    assert_eq!(second.status, "pending");
    bed.to(begun + 120 * HOUR);
    let all = bed.when("the second to die", &endpoint, |all| all[1].status == "dead").await;
    assert_eq!((all[1].attempts, all[1].last_error.as_str()), (2, "endpoint_disabled"));
    let disabled = bed.get(&endpoint.id).await;
    assert_eq!((disabled.body.unwrap().enabled, disabled.disabled_reason.as_str()), (false, "failing"));

    // Enabled again, it has five days again; a success begins them anew, too.
    assert_eq!(bed.set_enabled(&endpoint, true).await.failing_since_us, 0);
    bed.world.book(START);
    bed.when("the third", &endpoint, |all| all.len() == 3).await;
    bed.tried(&endpoint, 1).await;
    bed.pages.say(PATH, 204, "", b"");
    bed.to(begun + 150 * HOUR);
    bed.when("a success", &endpoint, |all| all[2].status == "delivered").await;
    bed.pages.say(PATH, 500, "", b"");
    bed.to(begun + 260 * HOUR);
    bed.world.book(START);
    bed.when("the fourth", &endpoint, |all| all.len() == 4).await;
    bed.tried(&endpoint, 1).await;
    assert!(bed.get(&endpoint.id).await.body.unwrap().enabled, "it has failed for no five days");
}

testkit::engines!(an_endpoint_that_is_gone_is_disabled_at_once, an_endpoint_that_fails_for_five_days_is_disabled,);
