//! A request that is repeated with its `Idempotency-Key` takes effect once and has the same answer.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use scenarios::{ADMIN, Product, from_now, patient, service};
use serde_json::{Value, json};

/// An answer: its status, whether it is a replay, and its text.
type Raw = (StatusCode, bool, String);

async fn post(product: &Product, path: &str, key: Option<&str>, idempotency: &str, body: &Value) -> Result<Raw> {
    let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", product.url) };
    let mut request = testkit::http::client().post(url).header("idempotency-key", idempotency).json(body);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await?;
    let replayed = answer.headers().get("idempotency-replayed").is_some_and(|value| value == "true");
    Ok((answer.status(), replayed, answer.text().await?))
}

/// Posts a body twice with one key, and then another body with that key; returns the first answer's body.
async fn repeated(product: &Product, path: &str, body: &Value, other: &Value) -> Result<Value> {
    let send = async |body: &Value| post(product, path, Some(ADMIN), "once", body).await;
    let first = send(body).await?;
    ensure!(first.0.is_success() && !first.1, "{path}: {first:?}");
    let again = send(body).await?;
    assert_eq!(again, (first.0, true, first.2.clone()), "{path} answers byte for byte");
    let (status, _, text) = send(other).await?;
    let problem: Value = serde_json::from_str(&text)?;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("idempotency_key_reused")), "{path}: {text}");
    Ok(serde_json::from_str(&first.2)?)
}

/// Each of these writes takes effect once; the database does not hold the API key itself.
async fn every_write_is_done_once(product: Product) -> Result<()> {
    let web = json!({"name": "web", "scopes": ["slots:read"]});
    let made = repeated(&product, "/v1/keys", &web, &json!({"name": "app", "scopes": ["slots:read"]})).await?;
    let keys = product.get("/v1/keys").await?;
    let ids: Vec<&Value> = keys.body["data"].as_array().context("a list")?.iter().map(|key| &key["id"]).collect();
    assert_eq!(ids, [&made["id"]], "one key was made");
    let secret = made["key"].as_str().context("the key itself")?;
    let read = product.send(reqwest::Method::GET, "/v1/locations", secret, &[], None).await?;
    assert_eq!(read.status, StatusCode::OK, "the replayed key is the one that was made: {}", read.body);
    if product.database.is_none() {
        for file in ["gateway.sqlite", "gateway.sqlite-wal"] {
            let bytes = std::fs::read(product.folder().join("meridian-data").join(file)).unwrap_or_default();
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{file} holds the key itself");
        }
    }

    let organization = |name: &str| json!({"name": name, "default_language": "en", "country": "GB"});
    repeated(&product, "/v1/organizations", &organization("One"), &organization("Two")).await?;
    let names = product.get("/v1/organizations").await?;
    let names: Vec<&str> =
        names.body["data"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["Default organisation", "One"], "one organisation was made");

    let rule = |channel: &str| json!({"trigger": "booked", "channels": [channel]});
    repeated(&product, "/v1/reminder_rules", &rule("sms"), &rule("email")).await?;
    let preview = |text: &str| json!({"trigger": "booked", "template": {"sms": text}});
    repeated(&product, "/v1/messages/preview", &preview("See you"), &preview("Bye")).await?;
    let window = |day| -> Result<Value> { Ok(json!({"from": from_now(0)?, "to": from_now(day)?})) };
    repeated(&product, "/v1/displaced/proposals", &window(7)?, &window(8)?).await?;

    let clinic = product.clinic("Europe/London", service()).await?;
    let calendar = format!("/v1/practitioners/{}/calendar", clinic.practitioner);
    repeated(&product, &calendar, &json!({}), &json!({"other": 1})).await?;
    let phase = json!({"service_id": clinic.service, "sessions": {"least": 1, "most": 3},
        "gap_days": {"least": 3, "ideal": 5, "most": 7}});
    let template = json!({"code": "short", "name": "Short", "course": "acute", "phases": [phase]});
    let template = product.post("/v1/plan_templates", template).await?.text("/id");
    let patient_id = product.post("/v1/patients", patient("Example", "+447700900123")).await?.text("/id");
    let plan = json!({"patient_id": patient_id, "plan_template_id": template, "condition_code": "neck-pain", "sessions": 2,
        "location_ids": [clinic.location], "start_on": &from_now(3)?[..10]});
    let plan = product.post("/v1/plans", plan).await?.text("/id");
    let path = format!("/v1/plans/{plan}/proposals");
    let proposed = repeated(&product, &path, &json!({"limit": 1}), &json!({"limit": 2})).await?;
    let chosen = json!({"proposal_id": proposed["data"][0]["id"]});
    let booked = product.post(&format!("/v1/plans/{plan}/book"), chosen).await?;
    assert_eq!(booked.status, StatusCode::OK, "what was proposed is remembered: {}", booked.body);
    repeated(&product, &format!("/v1/plans/{plan}/repair"), &json!({"limit": 1}), &json!({"limit": 2})).await?;
    Ok(())
}

#[tokio::test]
async fn on_sqlite_every_write_is_done_once() -> Result<()> {
    every_write_is_done_once(Product::embedded(&[]).await?).await
}

#[tokio::test]
async fn on_postgres_every_write_is_done_once() -> Result<()> {
    every_write_is_done_once(Product::apart(&[]).await?).await
}

#[tokio::test]
async fn idempotency_keys_are_separate_by_caller_and_by_link() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("Europe/London", service()).await?;
    let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
    let mut answers = BTreeSet::new();
    for (at, phone) in [(0, "+447700900123"), (10, "+447700900124")] {
        let body = json!({"slot_id": slots[at]["slot_id"], "patient": patient("Example", phone)});
        let booked = product.post("/v1/appointments", body).await?;
        let path = format!("{}/confirm", booked.text("/links/manage"));
        let (first, again) = (
            post(&product, &path, None, "mine", &json!({})).await?,
            post(&product, &path, None, "mine", &json!({})).await?,
        );
        assert_eq!((first.0, first.1), (StatusCode::OK, false), "another patient's key: {}", first.2);
        assert_eq!(again, (StatusCode::OK, true, first.2.clone()));
        answers.insert(first.2);
    }
    assert_eq!(answers.len(), 2, "each link has its own answer");

    // Two keys of one organisation, and the installation's own in two organisations.
    let key = json!({"name": "desk", "scopes": ["admin"]});
    let desk = product.post("/v1/keys", key).await?.text("/key");
    let mut ids = BTreeSet::new();
    for caller in [ADMIN, &desk] {
        let text = post(&product, "/v1/patients", Some(caller), "mine", &patient("Other", "+447700900125")).await?.2;
        let made: Value = serde_json::from_str(&text)?;
        ids.insert(made["id"].as_str().context("a patient")?.to_owned());
    }
    assert_eq!(ids.len(), 2, "each caller has its own answer");
    Ok(())
}
