//! A caller who may write patients and not read them learns nothing of a record by writing to it.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, patient, service};
use serde_json::{Value, json};

use super::key;

#[tokio::test]
async fn a_write_without_the_right_to_read_answers_no_record() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let (_, writer) = key(&product, &["patients:write"]).await?;
        let (_, both) = key(&product, &["patients:read", "patients:write"]).await?;
        let clinic = product.clinic("Europe/London", service()).await?;
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let made = product.post("/v1/patients", patient("Example", "+447700900123")).await?;
        let path = format!("/v1/patients/{}", made.text("/id"));
        // Two bookings with other addresses, which become proposed changes.
        for (slot, email) in [(0, "first@example.org"), (40, "second@example.org")] {
            let mut details = patient("Example", "+447700900123");
            details["email"] = json!(email);
            let body = json!({"slot_id": slots[slot]["slot_id"], "patient": details});
            assert_eq!(product.post("/v1/appointments", body).await?.status, StatusCode::CREATED);
        }
        let changes = product.get(&path).await?.body["proposed_changes"].clone();
        let change = |at: usize| format!("{path}/proposed_changes/{}", changes[at]["id"].as_str().unwrap_or_default());
        let consent = json!({"channel": "sms", "kind": "marketing", "given": true, "how": "phone"});
        let writes: [(Method, String, Option<Value>); 4] = [
            (Method::PATCH, path.clone(), Some(json!({"language": "fr"}))),
            (Method::POST, format!("{}/accept", change(0)), None),
            (Method::POST, format!("{path}/consents"), Some(consent)),
            (Method::POST, format!("{}/dismiss", change(1)), None),
        ];
        for (method, path, body) in writes {
            let answer = product.send(method, &path, &writer, &[], body).await?;
            assert_eq!((answer.status, &answer.body), (StatusCode::NO_CONTENT, &Value::Null), "{path}");
        }
        let record = product.get(&path).await?;
        assert_eq!(record.body["language"], "fr", "the write was done");
        assert_eq!(record.body["proposed_changes"], json!([]));

        let patched = product.send(Method::PATCH, &path, &writer, &[], Some(json!({"language": "en"}))).await?;
        let etag = patched.headers["etag"].to_str()?.to_owned();
        let fresh = [("if-match", etag.as_str())];
        let answer = product.send(Method::PATCH, &path, &both, &fresh, Some(json!({"language": "de"}))).await?;
        assert_eq!(
            (answer.status, answer.text("/language").as_str()),
            (StatusCode::OK, "de"),
            "readers get the record"
        );
        let stale = product.send(Method::PATCH, &path, &writer, &fresh, Some(json!({"language": "es"}))).await?;
        assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
        assert!(!stale.body.to_string().contains("7700900123"), "{}", stale.body);
        assert_eq!(product.send(Method::GET, &path, &writer, &[], None).await?.status, StatusCode::FORBIDDEN);
        assert_eq!(product.send(Method::GET, &path, ADMIN, &[], None).await?.text("/language"), "de");
    }
    Ok(())
}
