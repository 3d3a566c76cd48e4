//! An organisation's own systems are told what happens: webhooks, verified by PyPI's `standardwebhooks`, in both
//! arrangements.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use domain::event::Kind;
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, House, patient, service};
use serde_json::{Value, json};
use testkit::{
    http::{Pages, Received},
    poll,
};

const WITHIN: Duration = Duration::from_secs(30);
const PRIVATE: [&str; 2] = ["--set", "reminder.webhooks.private_addresses=true"];
const ALL: &str = "/v1/webhook_endpoints";
const PACKAGE: &str = "standardwebhooks==1.0.0";
/// Each secret must verify the delivery, and a body that was changed must not pass.
const VERIFY: &str = r#"
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
given = json.load(sys.stdin)
for secret in given["secrets"]:
    Webhook(secret).verify(given["body"], given["headers"])
    try:
        Webhook(secret).verify(given["body"] + " ", given["headers"])
    except WebhookVerificationError:
        continue
    raise SystemExit("a changed body passes")
print("verified", len(given["secrets"]))
"#;

async fn verified(received: &Received, secrets: &[&str]) -> Result<()> {
    let headers: BTreeMap<_, _> = received.headers.iter().filter(|(name, _)| name.starts_with("webhook-")).collect();
    let input = json!({"secrets": secrets, "body": received.body, "headers": headers}).to_string();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let said = tokio::task::spawn_blocking(move || testkit::python::run(&folder, PACKAGE, VERIFY, input.as_bytes()));
    let said = said.await??;
    ensure!(said.trim() == format!("verified {}", secrets.len()), "{said}");
    Ok(())
}

async fn received(pages: &Pages, count: usize) -> Vec<Received> {
    poll::until(&format!("{count} deliveries"), WITHIN, || async {
        let received = pages.received();
        (received.len() >= count).then_some(received)
    })
    .await
}

async fn delivered(house: &House, path: &str, count: usize) -> Vec<Value> {
    poll::until("the deliveries to be recorded", WITHIN, || async {
        let list = house.get(&format!("{path}/deliveries?status=delivered")).await.ok()?;
        let data = list.body["data"].as_array()?.clone();
        (data.len() >= count).then_some(data)
    })
    .await
}

async fn patch(house: &House, path: &str, body: Value, if_match: &str) -> Result<Answer> {
    house.send(Method::PATCH, path, ADMIN, &[("if-match", if_match)], Some(body)).await
}

fn kind(received: &Received) -> Result<String> {
    let body: Value = serde_json::from_str(&received.body)?;
    Ok(body["type"].as_str().context("a type")?.to_owned())
}

#[tokio::test]
async fn what_is_booked_and_called_off_is_told_signed_and_in_order() -> Result<()> {
    for house in [House::embedded(&PRIVATE).await?, House::apart(&PRIVATE).await?] {
        let pages = Pages::serve().await?;
        pages.say("/hook", 200, "", b"");
        let clinic = house.clinic("America/Edmonton", service()).await?;
        let made = house.post(ALL, json!({"url": format!("{}/hook", pages.url), "events": Kind::ALL})).await?;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(made.body["events"], json!(Kind::ALL), "any subset, all of them too");
        let (secret, path) = (made.text("/secret"), format!("{ALL}/{}", made.text("/id")));
        let slots = house.slots(&clinic, (2, 4), &clinic.revision).await?;
        let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", "+17805550123")});
        let booked = house.post("/v1/appointments", body).await?;
        let visit = booked.text("/id");
        house.post(&format!("/v1/appointments/{visit}/cancel"), json!({"reason_code": "patient_ill"})).await?;

        let told = received(&pages, 2).await;
        let kinds = told.iter().map(kind).collect::<Result<Vec<_>>>()?;
        assert_eq!(kinds, ["appointment.booked", "appointment.cancelled"]);
        for one in &told {
            verified(one, &[&secret]).await?;
            assert!(!one.body.contains("Example") && !one.body.contains("+1780"), "no names: {}", one.body);
        }
        let first: Value = serde_json::from_str(&told[0].body)?;
        for field in ["starts_at", "ends_at", "time_zone", "location_id", "practitioner_id", "service_id", "patient_id"]
        {
            assert_eq!(first["data"][field], booked.body[field], "as the appointment shows it: {field}");
        }
        assert_eq!(first["data"]["appointment_id"], json!(visit));
        let called_off: Value = serde_json::from_str(&told[1].body)?;
        let why = json!({"reason_code": "patient_ill", "by": "staff", "late": false});
        assert_eq!((&first["data"].get("cancellation"), &called_off["data"]["cancellation"]), (&None, &why));

        let rotated = house.post(&format!("{path}/rotate_secret"), json!({})).await?;
        let new = rotated.text("/secret");
        assert_ne!(new, secret);
        let ping = house.post(&format!("{path}/test"), json!({})).await?;
        assert_eq!((ping.status, ping.text("/status").as_str()), (StatusCode::OK, "pending"), "{}", ping.body);
        let told = received(&pages, 3).await;
        assert_eq!((kind(&told[2])?.as_str(), &told[2].headers["webhook-id"]), ("ping", &ping.text("/id")));
        verified(&told[2], &[&new, &secret]).await?;
        let list = delivered(&house, &path, 3).await;
        assert_eq!(
            (&list[0]["event"], &list[0]["last_status"], &list[0]["attempts"]),
            (&json!("ping"), &json!(200), &json!(1))
        );
        assert_eq!(list[2]["payload"], first);

        let metrics = house.text("/metrics").await?;
        let counted = metrics.lines().any(|line| line.starts_with("webhook_deliveries_total{outcome=\"delivered\"}"));
        assert!(counted || house.processes.len() > 1, "{metrics}");
        let printed = house.printed();
        assert!(!printed.contains("whsec_") && !printed.contains("/hook"), "no log names a secret or an address");
    }
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_answers_410_is_disabled_and_its_dead_letter_can_be_replayed() -> Result<()> {
    let house = House::embedded(&PRIVATE).await?;
    let pages = Pages::serve().await?;
    pages.say("/hook", 410, "", b"");
    let made = house.post(ALL, json!({"url": format!("{}/hook", pages.url), "events": ["plan.at_risk"]})).await?;
    let path = format!("{ALL}/{}", made.text("/id"));
    house.post(&format!("{path}/test"), json!({})).await?;
    let disabled = poll::until("the endpoint to be disabled", WITHIN, || async {
        let found = house.get(&path).await.ok()?;
        (found.body["enabled"] == json!(false)).then_some(found)
    });
    assert_eq!(disabled.await.text("/disabled_reason"), "gone");
    let dead = house.get(&format!("{path}/deliveries?status=dead")).await?;
    assert_eq!((dead.text("/data/0/last_error").as_str(), &dead.body["data"][0]["last_status"]), ("gone", &json!(410)));
    let replay = format!("{path}/deliveries/{}/replay", dead.text("/data/0/id"));
    let refused = house.post(&replay, json!({})).await?;
    assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "invalid_transition"));

    pages.say("/hook", 204, "", b"");
    let enabled = patch(&house, &path, json!({"enabled": true}), "*").await?;
    assert_eq!((enabled.status, enabled.body.get("disabled_reason")), (StatusCode::OK, None), "{}", enabled.body);
    assert_eq!(house.post(&replay, json!({})).await?.status, StatusCode::OK);
    delivered(&house, &path, 1).await;
    Ok(())
}

#[tokio::test]
async fn endpoints_are_made_changed_and_deleted_like_everything_else() -> Result<()> {
    let house = House::embedded(&[]).await?;
    let body = json!({"url": "https://hooks.example.invalid/meridian"});
    let make = async || house.send(Method::POST, ALL, ADMIN, &[("idempotency-key", "one")], Some(body.clone())).await;
    let (made, again) = (make().await?, make().await?);
    assert_eq!(made.body, again.body, "the same secret");
    assert_eq!(again.headers.get("idempotency-replayed").context("replayed")?, "true");
    let path = made.headers.get("location").context("a location")?.to_str()?.to_owned();
    assert_eq!((made.body["events"].clone(), made.body["enabled"].clone()), (json!([]), json!(true)));

    let changed = patch(&house, &path, json!({"events": ["plan.changed"], "description": "Ours"}), "\"1\"").await?;
    assert_eq!(
        (changed.status, &changed.body["events"]),
        (StatusCode::OK, &json!(["plan.changed"])),
        "{}",
        changed.body
    );
    assert_eq!((changed.headers["etag"].to_str()?, changed.body.get("secret")), ("\"2\"", None));
    let stale = patch(&house, &path, json!({"enabled": false}), "\"1\"").await?;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let wrong = patch(&house, &path, json!({"events": ["plan.gone"]}), "*").await?;
    assert_eq!(
        (wrong.status, wrong.text("/errors/0/pointer").as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "/events/0")
    );

    for url in ["http://127.0.0.1:9/hook", "https://localhost/hook", "https://[::1]/", "http://169.254.169.254/"] {
        let refused = house.post(ALL, json!({"url": url})).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}: {}", refused.body);
        assert_eq!(refused.text("/errors/0/pointer"), "/url");
        let moved = patch(&house, &path, json!({"url": url}), "*").await?;
        assert_eq!(moved.text("/errors/0/code"), "private_address", "{url}");
    }
    let key = house.post("/v1/keys", json!({"name": "reports", "scopes": ["reports:read"]})).await?.text("/key");
    let refused = house.send(Method::GET, ALL, &key, &[], None).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let delete = async || house.send(Method::DELETE, &path, ADMIN, &[], None).await;
    assert_eq!(delete().await?.status, StatusCode::NO_CONTENT);
    assert_eq!(delete().await?.status, StatusCode::NOT_FOUND);
    assert_eq!(house.get(ALL).await?.body["data"], json!([]));
    Ok(())
}
