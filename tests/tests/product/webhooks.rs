//! Webhooks to an organisation's own systems, in both arrangements; PyPI's `standardwebhooks` verifies them.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use domain::event::Kind;
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Product, patient, service};
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
    let output = tokio::task::spawn_blocking(move || testkit::python::run(&folder, PACKAGE, VERIFY, input.as_bytes()));
    let output = output.await??;
    ensure!(output.trim() == format!("verified {}", secrets.len()), "{output}");
    Ok(())
}

async fn received(pages: &Pages, count: usize) -> Vec<Received> {
    poll::until(&format!("{count} deliveries"), WITHIN, || async {
        let received = pages.received();
        (received.len() >= count).then_some(received)
    })
    .await
}

async fn delivered(product: &Product, path: &str, count: usize) -> Vec<Value> {
    poll::until("the deliveries to be recorded", WITHIN, || async {
        let list = product.get(&format!("{path}/deliveries?status=delivered")).await.ok()?;
        let data = list.body["data"].as_array()?.clone();
        (data.len() >= count).then_some(data)
    })
    .await
}

async fn patch(product: &Product, path: &str, body: Value, if_match: &str) -> Result<Answer> {
    product.send(Method::PATCH, path, ADMIN, &[("if-match", if_match)], Some(body)).await
}

fn kind(received: &Received) -> Result<String> {
    let body: Value = serde_json::from_str(&received.body)?;
    Ok(body["type"].as_str().context("a type")?.to_owned())
}

#[tokio::test]
async fn bookings_and_cancellations_are_delivered_signed_and_in_order() -> Result<()> {
    for product in [Product::embedded(&PRIVATE).await?, Product::apart(&PRIVATE).await?] {
        let pages = Pages::serve().await?;
        pages.say("/hook", 200, "", b"");
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let made = product.post(ALL, json!({"url": format!("{}/hook", pages.url), "events": Kind::ALL})).await?;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(made.body["events"], json!(Kind::ALL), "any subset, all of them too");
        let (secret, path) = (made.text("/secret"), format!("{ALL}/{}", made.text("/id")));
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", "+17805550123")});
        let booked = product.post("/v1/appointments", body).await?;
        let visit = booked.text("/id");
        product.post(&format!("/v1/appointments/{visit}/cancel"), json!({"reason_code": "patient_ill"})).await?;

        let deliveries = received(&pages, 2).await;
        let kinds = deliveries.iter().map(kind).collect::<Result<Vec<_>>>()?;
        assert_eq!(kinds, ["appointment.booked", "appointment.cancelled"]);
        for delivery in &deliveries {
            verified(delivery, &[&secret]).await?;
            let body = &delivery.body;
            assert!(!body.contains("Example") && !body.contains("+1780"), "no names: {body}");
        }
        let first: Value = serde_json::from_str(&deliveries[0].body)?;
        for field in ["starts_at", "ends_at", "time_zone", "location_id", "practitioner_id", "service_id", "patient_id"]
        {
            assert_eq!(first["data"][field], booked.body[field], "as the appointment shows it: {field}");
        }
        assert_eq!(first["data"]["appointment_id"], json!(visit));
        let cancelled: Value = serde_json::from_str(&deliveries[1].body)?;
        let why = json!({"reason_code": "patient_ill", "by": "staff", "late": false});
        assert_eq!((&first["data"].get("cancellation"), &cancelled["data"]["cancellation"]), (&None, &why));

        let rotated = product.post(&format!("{path}/rotate_secret"), json!({})).await?;
        let new = rotated.text("/secret");
        assert_ne!(new, secret);
        let ping = product.post(&format!("{path}/test"), json!({})).await?;
        assert_eq!((ping.status, ping.text("/status").as_str()), (StatusCode::OK, "pending"), "{}", ping.body);
        let deliveries = received(&pages, 3).await;
        assert_eq!((kind(&deliveries[2])?.as_str(), &deliveries[2].headers["webhook-id"]), ("ping", &ping.text("/id")));
        verified(&deliveries[2], &[&new, &secret]).await?;
        let list = delivered(&product, &path, 3).await;
        assert_eq!(
            (&list[0]["event"], &list[0]["last_status"], &list[0]["attempts"]),
            (&json!("ping"), &json!(200), &json!(1))
        );
        assert_eq!(list[2]["payload"], first);

        let metrics = product.text("/metrics").await?;
        let counted = metrics.lines().any(|line| line.starts_with("webhook_deliveries_total{outcome=\"delivered\"}"));
        assert!(counted || product.processes.len() > 1, "{metrics}");
        let printed = product.printed();
        assert!(!printed.contains("whsec_") && !printed.contains("/hook"), "no log names a secret or an address");
    }
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_answers_410_is_disabled_and_its_dead_letter_can_be_replayed() -> Result<()> {
    let product = Product::embedded(&PRIVATE).await?;
    let pages = Pages::serve().await?;
    pages.say("/hook", 410, "", b"");
    let made = product.post(ALL, json!({"url": format!("{}/hook", pages.url), "events": ["plan.at_risk"]})).await?;
    let path = format!("{ALL}/{}", made.text("/id"));
    product.post(&format!("{path}/test"), json!({})).await?;
    let disabled = poll::until("the endpoint to be disabled", WITHIN, || async {
        let found = product.get(&path).await.ok()?;
        (found.body["enabled"] == json!(false)).then_some(found)
    });
    assert_eq!(disabled.await.text("/disabled_reason"), "gone");
    let dead = product.get(&format!("{path}/deliveries?status=dead")).await?;
    assert_eq!((dead.text("/data/0/last_error").as_str(), &dead.body["data"][0]["last_status"]), ("gone", &json!(410)));
    let replay = format!("{path}/deliveries/{}/replay", dead.text("/data/0/id"));
    let refused = product.post(&replay, json!({})).await?;
    assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "invalid_transition"));

    pages.say("/hook", 204, "", b"");
    let enabled = patch(&product, &path, json!({"enabled": true}), "*").await?;
    assert_eq!((enabled.status, enabled.body.get("disabled_reason")), (StatusCode::OK, None), "{}", enabled.body);
    assert_eq!(product.post(&replay, json!({})).await?.status, StatusCode::OK);
    delivered(&product, &path, 1).await;
    Ok(())
}

#[tokio::test]
async fn endpoints_are_created_changed_and_deleted() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let body = json!({"url": "https://hooks.example.invalid/meridian"});
    let make = async || product.send(Method::POST, ALL, ADMIN, &[("idempotency-key", "one")], Some(body.clone())).await;
    let (made, again) = (make().await?, make().await?);
    assert_eq!(made.body, again.body, "the same secret");
    assert_eq!(again.headers.get("idempotency-replayed").context("replayed")?, "true");
    let path = made.headers.get("location").context("a location")?.to_str()?.to_owned();
    assert_eq!((made.body["events"].clone(), made.body["enabled"].clone()), (json!([]), json!(true)));

    let changed = patch(&product, &path, json!({"events": ["plan.changed"], "description": "Ours"}), "\"1\"").await?;
    assert_eq!(
        (changed.status, &changed.body["events"]),
        (StatusCode::OK, &json!(["plan.changed"])),
        "{}",
        changed.body
    );
    assert_eq!((changed.headers["etag"].to_str()?, changed.body.get("secret")), ("\"2\"", None));
    let stale = patch(&product, &path, json!({"enabled": false}), "\"1\"").await?;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let wrong = patch(&product, &path, json!({"events": ["plan.gone"]}), "*").await?;
    assert_eq!(
        (wrong.status, wrong.text("/errors/0/pointer").as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "/events/0")
    );

    for url in ["http://127.0.0.1:9/hook", "https://localhost/hook", "https://[::1]/", "http://169.254.169.254/"] {
        let refused = product.post(ALL, json!({"url": url})).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}: {}", refused.body);
        assert_eq!(refused.text("/errors/0/pointer"), "/url");
        let moved = patch(&product, &path, json!({"url": url}), "*").await?;
        assert_eq!(moved.text("/errors/0/code"), "private_address", "{url}");
    }
    let key = product.post("/v1/keys", json!({"name": "reports", "scopes": ["reports:read"]})).await?.text("/key");
    let refused = product.send(Method::GET, ALL, &key, &[], None).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let delete = async || product.send(Method::DELETE, &path, ADMIN, &[], None).await;
    assert_eq!(delete().await?.status, StatusCode::NO_CONTENT);
    assert_eq!(delete().await?.status, StatusCode::NOT_FOUND);
    assert_eq!(product.get(ALL).await?.body["data"], json!([]));
    Ok(())
}
