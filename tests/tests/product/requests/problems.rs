//! Problem details say how to correct a request.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, patient, service};
use serde_json::json;

const HOUR: &str = "write a time of day as HH:MM, such as 08:00; 24:00 is the day's end";
const SCOPES: &str = "use one of slots:read, bookings:write, patients:read, patients:write, directory:write, messages:write, \
                      reports:read, metrics:read, admin";
const TRIGGERS: &str = "use one of booked, before_start, cancelled, rescheduled, after_completed, missed, \
                        plan_session_unbooked, waitlist_offer";

#[tokio::test]
async fn a_fault_names_the_form_the_options_or_the_intended_field() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("Europe/London", service()).await?;
    let rosters = format!("/v1/practitioners/{}/rosters", clinic.practitioner);
    let roster = |from: &str| {
        json!({"location_id": clinic.location, "effective_from": "2026-01-01",
            "weekly": [{"day": "mo", "from": from, "to": "17:00"}]})
    };
    let mut misspelt = patient("Example", "+447700900123");
    misspelt["family_nme"] = json!("Example");
    for (path, body, pointer, code, detail) in [
        (rosters.as_str(), roster("8:00"), "/weekly/0/from", "invalid_form", HOUR),
        (&rosters, roster("25:00"), "/weekly/0/from", "invalid_form", HOUR),
        (
            &rosters,
            json!({"location_id": clinic.location, "effective_from": "2026-01-01",
                "weekly": [{"dya": "mo", "day": "mo", "from": "08:00", "to": "17:00"}]}),
            "/weekly/0/dya",
            "unknown_field",
            "there is no such field; did you mean `day`?",
        ),
        ("/v1/keys", json!({"name": "web", "scopes": ["slots"]}), "/scopes/0", "invalid_value", SCOPES),
        ("/v1/reminder_rules", json!({"trigger": "book", "channels": ["sms"]}), "/trigger", "invalid_value", TRIGGERS),
        (
            "/v1/patients",
            misspelt,
            "/family_nme",
            "unknown_field",
            "there is no such field; did you mean `family_name`?",
        ),
        (
            "/v1/holds",
            json!({"slot": "slot_x"}),
            "/slot",
            "unknown_field",
            "there is no such field; did you mean `slot_id`?",
        ),
        (
            "/v1/organizations",
            json!({"name": "Other", "default_language": "English", "country": "Great Britain"}),
            "/country",
            "invalid_form",
            "write a country as two capital letters (ISO 3166-1), such as CA",
        ),
        (
            "/v1/services",
            json!({"code": "Manual Therapy", "name": "M", "duration_minutes": 30}),
            "/code",
            "invalid_form",
            "write 1 to 64 small letters, digits, hyphens or underscores, such as manual-therapy",
        ),
        (
            "/v1/services",
            json!({"code": "m", "name": "M", "duration_minutes": "30"}),
            "/duration_minutes",
            "wrong_type",
            "must be a whole number",
        ),
    ] {
        let answer = product.post(path, body).await?;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", answer.body);
        let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
        let fault = errors.iter().find(|fault| fault["pointer"] == pointer);
        let fault = fault.unwrap_or_else(|| panic!("{path} has no fault at {pointer}: {}", answer.body));
        assert_eq!((fault["code"].as_str(), fault["detail"].as_str()), (Some(code), Some(detail)), "{path} {pointer}");
        assert!(!answer.body.to_string().contains("openapi.json"), "the detail is complete: {}", answer.body);
    }
    Ok(())
}

#[tokio::test]
async fn unrouted_answers_carry_a_trace_id() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    for (method, path, status) in [
        (Method::GET, "/v1/nothing", 404),
        (Method::GET, "/", 404),
        (Method::DELETE, "/v1/patients", 405),
        (Method::POST, "/healthz", 405),
        (Method::POST, "/openapi.json", 405),
        (Method::GET, "/v1/patients/%FF", 400),
    ] {
        let own = product.send(method.clone(), path, ADMIN, &[], None).await?;
        let id = own.text("/trace_id");
        assert!(id.len() == 32 && id.chars().any(|digit| digit != '0'), "{method} {path}: {}", own.body);
        assert_eq!((own.status.as_u16(), own.body["status"].as_u64()), (status, Some(u64::from(status))), "{path}");
        let theirs = product.send(method.clone(), path, ADMIN, &[("traceparent", &parent)], None).await?;
        assert_eq!(theirs.text("/trace_id"), trace, "{method} {path} goes on with the caller's trace");
    }
    let wrong = product.send(Method::DELETE, "/v1/patients", ADMIN, &[], None).await?;
    let allowed = wrong.headers.get("allow").and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "the methods that there are: {allowed}");
    Ok(())
}
