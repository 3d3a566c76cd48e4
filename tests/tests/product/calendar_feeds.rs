//! Calendars to which other programs subscribe, in both arrangements; PyPI's `icalendar` reads them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, patient, service};
use serde_json::{Value, json};

const PACKAGE: &str = "icalendar==6.3.1";
/// Prints the events that the library reads as JSON, by their start.
const READ: &str = r#"
import json, sys
from icalendar import Calendar
calendar = Calendar.from_ical(sys.stdin.buffer.read())
assert not calendar.errors and calendar["VERSION"] == "2.0" and calendar["METHOD"] == "PUBLISH", calendar.errors
events = sorted(calendar.walk("VEVENT"), key=lambda event: event.start)
assert not any(event.errors for event in events), [event.errors for event in events]
print(json.dumps([{"uid": str(event["UID"]), "sequence": int(event["SEQUENCE"]), "status": str(event["STATUS"]),
    "summary": str(event["SUMMARY"]), "location": str(event["LOCATION"]), "start": event.start.isoformat(),
    "minutes": (event.end - event.start).total_seconds() / 60, "stamp": event["DTSTAMP"].dt.isoformat()}
    for event in events]))
"#;

async fn read(product: &Product, url: &str) -> Result<Vec<Value>> {
    let path = url.split_once("/v1/").map(|(_, path)| format!("/v1/{path}")).context("a link")?;
    let file = product.text(&path).await?;
    ensure!(!file.contains("Example") && !file.contains("+1780"), "a calendar names no patient: {file}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let output =
        tokio::task::spawn_blocking(move || testkit::python::run(&folder, PACKAGE, READ, file.as_bytes())).await??;
    Ok(serde_json::from_str(&output)?)
}

#[tokio::test]
async fn a_calendar_shows_bookings_moves_and_cancellations() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let mut own = service();
        own["name"] =
            json!("Dry needling; \"deep\", über, long: äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü");
        let clinic = product.clinic("America/Edmonton", own).await?;
        let link = product.post(&format!("/v1/practitioners/{}/calendar", clinic.practitioner), json!({})).await?;
        assert_eq!(link.status, StatusCode::OK, "{}", link.body);
        let url = link.text("/url");
        assert!(url.ends_with(".ics"), "{url}");
        assert!(read(&product, &url).await?.is_empty());

        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let book = async |slot: &Value| {
            let body = json!({"slot_id": slot["slot_id"], "patient": patient("Example", "+17805550123")});
            product.post("/v1/appointments", body).await
        };
        let booked = book(&slots[0]).await?;
        let events = read(&product, &url).await?;
        assert_eq!(events.len(), 1);
        let event = &events[0];
        assert!(event["uid"].as_str().context("a uid")?.contains(&booked.text("/id")), "{event}");
        assert_eq!(
            (&event["sequence"], &event["status"], &event["minutes"]),
            (&json!(0), &json!("CONFIRMED"), &json!(30.0))
        );
        assert!(event["summary"].as_str().context("a summary")?.starts_with("Dry needling; \"deep\", über"), "{event}");
        let instant = |text: &str| text.parse::<jiff::Timestamp>();
        let starts_at = event["start"].as_str().context("a start")?;
        assert_eq!(instant(starts_at)?, instant(&booked.text("/starts_at"))?);

        let path = format!("/v1/appointments/{}", booked.text("/id"));
        let moved = product.post(&format!("{path}/reschedule"), json!({"slot_id": slots[20]["slot_id"]})).await?;
        let now = read(&product, &url).await?;
        assert_eq!(now.len(), 1, "the same appointment, moved");
        assert_eq!((&now[0]["uid"], &now[0]["sequence"]), (&event["uid"], &json!(1)));
        assert_eq!(instant(now[0]["start"].as_str().context("a start")?)?, instant(&moved.text("/starts_at"))?);
        product.post(&format!("{path}/cancel"), json!({"reason_code": "patient_ill"})).await?;
        let now = read(&product, &url).await?;
        assert_eq!((&now[0]["status"], &now[0]["sequence"]), (&json!("CANCELLED"), &json!(2)));

        // A patient's calendar does not name the service; a location's names the practitioner.
        let second = book(&slots[4]).await?;
        let one = product.post(&format!("/v1/patients/{}/calendar", second.text("/patient_id")), json!({})).await?;
        let mine = read(&product, &one.text("/url")).await?;
        assert_eq!(mine.len(), 2);
        assert!(mine.iter().all(|event| event["summary"] == "Appointment at Clinic"), "{mine:?}");
        let whole = product.post(&format!("/v1/locations/{}/calendar", clinic.location), json!({})).await?;
        let whole = read(&product, &whole.text("/url")).await?;
        assert!(whole.iter().all(|event| event["summary"].as_str().is_some_and(|it| it.ends_with("Grace Sample"))));
    }
    Ok(())
}

#[tokio::test]
async fn a_revoked_link_opens_nothing() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let path = format!("/v1/practitioners/{}/calendar", clinic.practitioner);
    let first = product.post(&path, json!({})).await?.text("/url");
    assert_eq!(product.post(&path, json!({})).await?.text("/url"), first, "the same link until it is revoked");
    let end = product.send(Method::DELETE, &path, ADMIN, &[], None).await?;
    assert_eq!(end.status, StatusCode::NO_CONTENT);
    let open = async |url: &str| product.send(Method::GET, url, "", &[], None).await;
    let gone = open(&first).await?;
    assert_eq!((gone.status, gone.text("/code").as_str()), (StatusCode::GONE, "link_expired"));
    let again = product.send(Method::DELETE, &path, ADMIN, &[], None).await?;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let second = product.post(&path, json!({})).await?.text("/url");
    assert_ne!(second, first);
    assert_eq!(open(&second).await?.status, StatusCode::OK, "no key is needed");
    let forged = open(&second.replace(".ics", "A.ics")).await?;
    assert_eq!(forged.status, StatusCode::NOT_FOUND);
    // A link needs the scope to read appointments.
    let key = json!({"name": "front end", "scopes": ["slots:read", "bookings:write"]});
    let key = product.post("/v1/keys", key).await?.text("/key");
    let refused = product.send(Method::POST, &path, &key, &[], Some(json!({}))).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    Ok(())
}
