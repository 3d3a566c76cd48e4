//! Calendars that other programs subscribe to, read by PyPI's `icalendar`, in both arrangements.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, House, patient, service};
use serde_json::{Value, json};

const PACKAGE: &str = "icalendar==6.3.1";
/// What the library reads, as JSON: an event a line, by its start.
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

async fn read(house: &House, url: &str) -> Result<Vec<Value>> {
    let path = url.split_once("/v1/").map(|(_, path)| format!("/v1/{path}")).context("a link")?;
    let file = house.text(&path).await?;
    ensure!(!file.contains("Example") && !file.contains("+1780"), "a calendar names no patient: {file}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let said =
        tokio::task::spawn_blocking(move || testkit::python::run(&folder, PACKAGE, READ, file.as_bytes())).await??;
    Ok(serde_json::from_str(&said)?)
}

#[tokio::test]
async fn a_calendar_follows_what_is_booked_moved_and_called_off() -> Result<()> {
    for house in [House::embedded(&[]).await?, House::apart(&[]).await?] {
        let mut own = service();
        own["name"] =
            json!("Dry needling; \"deep\", über, long: äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü");
        let clinic = house.clinic("America/Edmonton", own).await?;
        let link = house.post(&format!("/v1/practitioners/{}/calendar", clinic.practitioner), json!({})).await?;
        assert_eq!(link.status, StatusCode::OK, "{}", link.body);
        let url = link.text("/url");
        assert!(url.ends_with(".ics"), "{url}");
        assert!(read(&house, &url).await?.is_empty());

        let slots = house.slots(&clinic, (2, 4), &clinic.revision).await?;
        let book = async |slot: &Value| {
            let body = json!({"slot_id": slot["slot_id"], "patient": patient("Example", "+17805550123")});
            house.post("/v1/appointments", body).await
        };
        let booked = book(&slots[0]).await?;
        let events = read(&house, &url).await?;
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
        let moved = house.post(&format!("{path}/reschedule"), json!({"slot_id": slots[20]["slot_id"]})).await?;
        let now = read(&house, &url).await?;
        assert_eq!(now.len(), 1, "the same visit, elsewhere");
        assert_eq!((&now[0]["uid"], &now[0]["sequence"]), (&event["uid"], &json!(1)));
        assert_eq!(instant(now[0]["start"].as_str().context("a start")?)?, instant(&moved.text("/starts_at"))?);
        house.post(&format!("{path}/cancel"), json!({"reason_code": "patient_ill"})).await?;
        let now = read(&house, &url).await?;
        assert_eq!((&now[0]["status"], &now[0]["sequence"]), (&json!("CANCELLED"), &json!(2)));

        // A patient's own says where and when, and not what for; a location's says with whom.
        let second = book(&slots[4]).await?;
        let one = house.post(&format!("/v1/patients/{}/calendar", second.text("/patient_id")), json!({})).await?;
        let mine = read(&house, &one.text("/url")).await?;
        assert_eq!(mine.len(), 2);
        assert!(mine.iter().all(|event| event["summary"] == "Appointment at Clinic"), "{mine:?}");
        let whole = house.post(&format!("/v1/locations/{}/calendar", clinic.location), json!({})).await?;
        let whole = read(&house, &whole.text("/url")).await?;
        assert!(whole.iter().all(|event| event["summary"].as_str().is_some_and(|it| it.ends_with("Grace Sample"))));
    }
    Ok(())
}

#[tokio::test]
async fn a_link_that_was_taken_back_opens_nothing() -> Result<()> {
    let house = House::embedded(&[]).await?;
    let clinic = house.clinic("America/Edmonton", service()).await?;
    let path = format!("/v1/practitioners/{}/calendar", clinic.practitioner);
    let first = house.post(&path, json!({})).await?.text("/url");
    assert_eq!(house.post(&path, json!({})).await?.text("/url"), first, "the same link until it is taken back");
    let end = house.send(Method::DELETE, &path, ADMIN, &[], None).await?;
    assert_eq!(end.status, StatusCode::NO_CONTENT);
    let open = async |url: &str| house.send(Method::GET, url, "", &[], None).await;
    let gone = open(&first).await?;
    assert_eq!((gone.status, gone.text("/code").as_str()), (StatusCode::GONE, "link_expired"));
    let again = house.send(Method::DELETE, &path, ADMIN, &[], None).await?;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let second = house.post(&path, json!({})).await?.text("/url");
    assert_ne!(second, first);
    assert_eq!(open(&second).await?.status, StatusCode::OK, "no key is needed");
    let forged = open(&second.replace(".ics", "A.ics")).await?;
    assert_eq!(forged.status, StatusCode::NOT_FOUND);
    // Who may not read appointments may not make a link to them.
    let key = json!({"name": "front end", "scopes": ["slots:read", "bookings:write"]});
    let key = house.post("/v1/keys", key).await?.text("/key");
    let refused = house.send(Method::POST, &path, &key, &[], Some(json!({}))).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    Ok(())
}
