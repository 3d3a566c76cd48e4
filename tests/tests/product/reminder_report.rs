//! The report on reminders: messages sent, replies, and attendance.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Clinic, ManualClockProduct, patient, service};
use serde_json::{Value, json};
use testkit::{database::Database, poll};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);
/// Two days before the visits, a Monday morning in Edmonton.
const NOW: &str = "2026-03-02T15:00:00Z";
const REPORT: &str = "/v1/reports/reminders?from=2026-03-04&to=2026-03-04&group_by=day";

testkit::engines!(
    the_report_compares_visits_with_and_without_reminders,
    the_report_includes_visits_from_before_the_reminder_service,
);

async fn the_report_compares_visits_with_and_without_reminders(database: Database) {
    whole(database).await.unwrap();
}

fn slots_path(clinic: &Clinic) -> String {
    let (from, to) = ("2026-03-04T07:00:00Z", "2026-03-05T07:00:00Z");
    format!("/v1/slots?service_id={}&from={from}&to={to}&limit=200", clinic.service)
}

/// Waits until booking's feed shows all that was written: an open transaction anywhere in the cluster holds it back, and a
/// follower that began then would read these bookings as news.
async fn feed_shows_all(product: &ManualClockProduct, clinic: &Clinic) {
    poll::until("the feed to show all bookings", WITHIN, || async {
        let search = product.get(&slots_path(clinic)).await.ok()?;
        (search.status == StatusCode::OK).then_some(())
    })
    .await;
}

/// Books three appointments on Wednesday, the last for a patient without consents; returns their ids.
async fn booked(product: &ManualClockProduct, clinic: &Clinic) -> Result<Vec<String>> {
    let headers = [("meridian-revision", clinic.revision.as_str())];
    let slots = product.send(Method::GET, &slots_path(clinic), &headers, None).await?;
    let mut visits = Vec::new();
    let wants_none = "T09:30";
    for (at, phone) in [("T08:00", "+17805550131"), ("T08:45", "+17805550132"), (wants_none, "+17805550133")] {
        let mut patient = patient("Example", phone);
        if at == wants_none {
            patient["consents"] = json!([]);
        }
        let mut open = slots.body["data"].as_array().into_iter().flatten();
        let slot = open.find(|slot| slot["starts_at"].as_str().is_some_and(|start| start.contains(at)));
        let body = json!({"slot_id": slot.context("a slot")?["slot_id"], "patient": patient});
        let made = product.post("/v1/appointments", body).await?;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        visits.push(made.text("/id"));
    }
    Ok(visits)
}

/// The messages about an appointment, once all are delivered or suppressed.
async fn settled(product: &ManualClockProduct, visit: &str) -> Vec<Value> {
    poll::until("the messages to settle", WITHIN, || async {
        let list = product.get(&format!("/v1/messages?appointment_id={visit}")).await.ok()?;
        let all = list.body["data"].as_array()?.clone();
        let over = |it: &Value| it["status"] == "delivered" || it["status"] == "suppressed";
        (all.len() == 4 && all.iter().all(over)).then_some(all)
    })
    .await
}

async fn the_report_includes_visits_from_before_the_reminder_service(database: Database) {
    past(database).await.unwrap();
}

async fn past(database: Database) -> Result<()> {
    let product = ManualClockProduct::without_reminders(NOW, database, booking::Config::default()).await?;
    let clinic = product.rest.clinic("America/Edmonton", service()).await?;
    let visits = booked(&product, &clinic).await?;
    product.advance_to("2026-03-04T18:00:00Z")?;
    for step in ["arrive", "start", "complete"] {
        product.post(&format!("/v1/appointments/{}/{step}", visits[0]), json!({})).await?;
    }
    product.post(&format!("/v1/appointments/{}/no_show", visits[1]), json!({})).await?;
    feed_shows_all(&product, &clinic).await;
    // The reminder service starts twelve days after the appointments.
    product.advance(12);
    product.begin_reminders();
    let report = poll::until("the visits to be read", WITHIN, || async {
        let report = product.get(REPORT).await.ok()?;
        (report.body["visits_known_from"] == "2025-02-09T18:00:00Z").then_some(report)
    })
    .await;
    let row = &report.body["data"][0];
    assert_eq!((&row["visits"], &row["sent"], &row["with_reminder"]["completed"]), (&json!(3), &json!(0), &json!(0)));
    assert_eq!(row["without_reminder"], json!({"completed": 1, "no_shows": 1, "no_show_rate": 0.5}), "{}", report.body);
    assert_eq!(report.body["messages_known_from"], "2026-03-16T18:00:00Z", "no message is older");
    for visit in &visits {
        let messages = product.get(&format!("/v1/messages?appointment_id={visit}")).await?;
        assert_eq!(messages.body["data"], json!([]));
    }
    Ok(())
}

async fn whole(database: Database) -> Result<()> {
    let product = ManualClockProduct::at(NOW, database, booking::Config::default()).await?;
    let clinic = product.rest.clinic("America/Edmonton", service()).await?;
    let visits = booked(&product, &clinic).await?;
    let transition = async |visit: &str, step: &str| -> Result<()> {
        let done = product.post(&format!("/v1/appointments/{visit}/{step}"), json!({})).await?;
        assert_eq!(done.status, StatusCode::OK, "{}", done.body);
        Ok(())
    };
    transition(&visits[0], "confirm").await?;
    // The last reminder leaves two hours before.
    product.advance_to("2026-03-04T14:50:00Z")?;
    let mut messages = Vec::new();
    for visit in &visits {
        messages.extend(settled(&product, visit).await);
    }
    let sent: Vec<&Value> = messages.iter().filter(|it| it["sent_at"].is_string()).collect();
    for message in &messages {
        let costs = message["channel"] == "sms" && message["sent_at"].is_string();
        assert_eq!(message["segments"].as_u64().context("segments")? > 0, costs, "{message}");
    }
    product.advance_to("2026-03-04T18:00:00Z")?;
    for step in ["arrive", "start", "complete"] {
        transition(&visits[0], step).await?;
    }
    transition(&visits[1], "no_show").await?;
    transition(&visits[2], "no_show").await?;

    let report = product.get(REPORT).await?;
    let segments: u64 = sent.iter().filter_map(|it| it["segments"].as_u64()).sum();
    let suppressed = messages.len() - sent.len();
    let expected = json!([{"key": "2026-03-04", "visits": 3, "sent": sent.len(), "delivered": sent.len(), "failed": 0,
        "unknown": 0, "suppressed": suppressed, "segments": segments, "confirmed": 1, "replied": 0,
        "with_reminder": {"completed": 1, "no_shows": 1, "no_show_rate": 0.5},
        "without_reminder": {"completed": 0, "no_shows": 1, "no_show_rate": 1.0}}]);
    assert_eq!((report.status, &report.body["data"]), (StatusCode::OK, &expected), "{}", report.body);

    let request = testkit::http::client().get(format!("{}{REPORT}", product.rest.url));
    let table = request.header("authorization", format!("Bearer {ADMIN}")).header("accept", "text/csv").send().await?;
    assert_eq!(table.headers()["content-type"], "text/csv; charset=utf-8");
    let table = table.text().await?;
    let counts = format!("{0},{0},0,0,{suppressed},{segments},1,0", sent.len());
    let line = format!("2026-03-04,3,{counts},1,1,0.5000,0,1,1.0000");
    assert_eq!(table.lines().skip(1).collect::<Vec<_>>(), [line], "{table}");

    let long = product.get("/v1/reports/reminders?from=2026-01-01&to=2027-02-05").await?;
    assert_eq!((long.status, long.text("/errors/0/pointer").as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "to"));
    let key = product.post("/v1/keys", json!({"name": "web", "scopes": ["messages:write"]})).await?.text("/key");
    let refused = product.rest.send(Method::GET, REPORT, &key, &[], None).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    Ok(())
}
