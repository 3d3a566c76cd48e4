use reqwest::StatusCode;
use serde_json::Value;

use super::*;

async fn send(fake: &FakeProvider, to: &str) -> reqwest::Result<reqwest::Response> {
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", fake.url());
    let form = [("To", to), ("From", "+15005550006"), ("Body", "Tomorrow at 9.")];
    crate::http::client().post(url).basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN)).form(&form).send().await
}

async fn look_up(fake: &FakeProvider, rest: &str) -> Value {
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT_SID}/{rest}", fake.url());
    let request = crate::http::client().get(url).basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN));
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn it_accepts_records_and_looks_up() {
    let fake = FakeProvider::start().await.unwrap();
    let response = send(&fake, "+15005550009").await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let message: Value = response.json().await.unwrap();
    assert_eq!(message["status"], "queued");
    assert_eq!(message["num_segments"], "1");
    let sid = message["sid"].as_str().unwrap();

    assert_eq!(fake.wait_for(1).await[0].form["Body"], "Tomorrow at 9.");
    fake.set_status(sid, "delivered", None);
    assert_eq!(look_up(&fake, &format!("Messages/{sid}.json")).await["status"], "delivered");
    let found = look_up(&fake, "Messages.json?To=%2B15005550009").await;
    assert_eq!(found["messages"].as_array().unwrap().len(), 1);
    assert_eq!(look_up(&fake, "Messages.json?To=%2B1").await["messages"].as_array().unwrap().len(), 0);
    assert_eq!(look_up(&fake, "Messages/SM0.json").await["code"], 20_404);
}

#[tokio::test]
async fn it_answers_as_the_script_says() {
    let fake = FakeProvider::start().await.unwrap();
    fake.script([Behaviour::Refuse(400, 21_211), Behaviour::Busy(7), Behaviour::Broken, Behaviour::HangUp]);
    let refused = send(&fake, "+1").await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], 21_211);
    let too_many = send(&fake, "+1").await.unwrap();
    assert_eq!(too_many.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(too_many.headers()["retry-after"], "7");
    assert_eq!(send(&fake, "+1").await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(send(&fake, "+1").await.is_err());
    assert!(fake.messages().is_empty());
    assert_eq!(send(&fake, "+1").await.unwrap().status(), StatusCode::CREATED);

    fake.for_number("+2", Behaviour::AcceptThenHangUp);
    assert!(send(&fake, "+2").await.is_err());
    assert_eq!(fake.messages().len(), 2);
    assert_eq!(fake.received().len(), 6);
}

#[tokio::test]
async fn a_stalled_request_waits_for_its_release() {
    let fake = FakeProvider::start().await.unwrap();
    fake.script([Behaviour::Stall]);
    let sending = tokio::spawn({
        let fake = fake.clone();
        async move { send(&fake, "+1").await.unwrap().status() }
    });
    fake.wait_for(1).await;
    // The message is accepted, which the caller cannot know.
    assert!(!sending.is_finished());
    fake.release();
    assert_eq!(sending.await.unwrap(), StatusCode::CREATED);
    assert_eq!(fake.messages().len(), 1);
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let fake = FakeProvider::start().await.unwrap();
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", fake.url());
    let form = [("To", "+1"), ("From", "+1"), ("Body", "x")];
    let request = crate::http::client().post(url).basic_auth(ACCOUNT_SID, Some("wrong")).form(&form);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert!(!fake.received()[0].authorized);
    assert!(fake.messages().is_empty());
}
