//! A location's time zone changes while it has future appointments: they move on request, all together, and patients are
//! informed.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use scenarios::{Answer, Clinic, ManualClockProduct, patient, service};
use serde_json::{Value, json};
use testkit::{database::Database, poll};

const WITHIN: Duration = Duration::from_secs(30);
/// Two days before the visits, a Monday morning in Denver.
const NOW: &str = "2026-03-02T16:00:00Z";
const EAST: &str = "America/New_York";
const WEST: &str = "America/Denver";

testkit::engines!(appointments_keep_their_wall_time_or_their_instant, a_proposal_from_before_the_change_is_not_booked);

async fn appointments_keep_their_wall_time_or_their_instant(database: Database) {
    hours(database).await.unwrap();
}

async fn a_proposal_from_before_the_change_is_not_booked(database: Database) {
    proposed(database).await.unwrap();
}

/// Books this hour of 4 March on the clinic's clock.
async fn book(product: &ManualClockProduct, clinic: &Clinic, hour: &str, who: Value) -> Result<String> {
    let day = "from=2026-03-04T07:00:00Z&to=2026-03-05T07:00:00Z&limit=200";
    let there = format!("service_id={}&location_id={}", clinic.service, clinic.location);
    let slots = product.get(&format!("/v1/slots?{there}&{day}")).await?;
    let mut open = slots.body["data"].as_array().into_iter().flatten();
    let at_hour =
        |slot: &&Value| slot["starts_at"].as_str().is_some_and(|start| start.contains(&format!("T{hour}:00:")));
    let slot = open.find(at_hour).with_context(|| format!("{hour} is open: {}", slots.body))?;
    let made = product.post("/v1/appointments", json!({"slot_id": slot["slot_id"], "patient": who})).await?;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    Ok(made.text("/id"))
}

async fn rezone(product: &ManualClockProduct, clinic: &Clinic, zone: &str, how: &str) -> Result<Answer> {
    let path = format!("/v1/locations/{}{how}", clinic.location);
    product.send(Method::PATCH, &path, &[], Some(json!({"time_zone": zone}))).await
}

async fn start(product: &ManualClockProduct, visit: &str) -> Result<String> {
    Ok(product.get(&format!("/v1/appointments/{visit}")).await?.text("/starts_at"))
}

/// The texts that were sent about a move of the appointment, newest first, once there are this many.
async fn texts(product: &ManualClockProduct, visit: &str, count: usize) -> Vec<String> {
    poll::until("the texts", WITHIN, || async {
        // Messages wait a moment for further changes from the feed.
        product.clock.advance(SignedDuration::from_secs(5));
        let list = product.get(&format!("/v1/messages?appointment_id={visit}")).await.ok()?;
        let all = list.body["data"].as_array()?.clone();
        let sent =
            |it: &&Value| it["trigger"] == "rescheduled" && it["channel"] == "sms" && it["status"] == "delivered";
        let texts: Vec<String> =
            all.iter().filter(sent).filter_map(|it| it["text"].as_str().map(str::to_owned)).collect();
        (texts.len() == count).then_some(texts)
    })
    .await
}

async fn hours(database: Database) -> Result<()> {
    let product = ManualClockProduct::at(NOW, database, booking::Config::default()).await?;
    let clinic = product.rest.clinic(WEST, service()).await?;
    let mut other = service();
    other["code"] = json!("massage");
    let elsewhere = product.rest.clinic(WEST, other).await?;
    let (ada, bob) = (patient("Nine", "+17805550141"), patient("One", "+17805550142"));
    let nine = book(&product, &clinic, "09", ada).await?;
    let one = book(&product, &clinic, "13", bob.clone()).await?;

    let refused = rezone(&product, &clinic, EAST, "").await?;
    assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "has_appointments"));
    assert_eq!((&refused.body["count"], &refused.body["appointment_ids"]), (&json!(2), &json!([nine, one])));
    assert!(refused.text("/detail").contains("appointments=keep_wall_time"), "{}", refused.body);
    let listed = rezone(&product, &clinic, EAST, "?dry_run=true&appointments=keep_wall_time").await?;
    let expected = json!({"appointment_id": nine, "before": "2026-03-04T09:00:00-07:00",
        "after": "2026-03-04T09:00:00-05:00", "keep_wall_time": "2026-03-04T09:00:00-05:00",
        "keep_instant": "2026-03-04T11:00:00-05:00"});
    assert_eq!((listed.status, &listed.body["appointments"][0]), (StatusCode::OK, &expected), "{}", listed.body);
    assert_eq!(
        (&listed.body["appointments"][1]["appointment_id"], &listed.body["displaced"]),
        (&json!(one), &json!([]))
    );
    let without = rezone(&product, &clinic, EAST, "?dry_run=true").await?;
    assert_eq!((without.status, &without.body["appointments"][0]["after"]), (StatusCode::OK, &Value::Null));

    // The patient has another appointment at one o'clock in New York, so no appointment moves.
    let busy = book(&product, &elsewhere, "11", bob).await?;
    let clash = rezone(&product, &clinic, EAST, "?appointments=keep_wall_time").await?;
    assert_eq!((clash.status, clash.text("/code").as_str()), (StatusCode::CONFLICT, "appointments_clash"));
    assert_eq!((&clash.body["count"], &clash.body["appointment_ids"]), (&json!(1), &json!([one, busy])));
    let location = product.get(&format!("/v1/locations/{}", clinic.location)).await?;
    assert_eq!((location.text("/time_zone").as_str(), &location.body["version"]), (WEST, &json!(1)));
    assert_eq!(start(&product, &nine).await?, "2026-03-04T09:00:00-07:00");
    product.post(&format!("/v1/appointments/{busy}/cancel"), json!({"reason_code": "clinic"})).await?;

    let moved = rezone(&product, &clinic, EAST, "?appointments=keep_wall_time").await?;
    assert_eq!((moved.status, &moved.body["displaced"]), (StatusCode::OK, &json!([])), "{}", moved.body);
    assert_eq!(moved.body["appointments"], listed.body["appointments"]);
    assert_eq!(start(&product, &nine).await?, "2026-03-04T09:00:00-05:00");
    assert_eq!(start(&product, &one).await?, "2026-03-04T13:00:00-05:00");
    let nobody = product.get("/v1/appointments?displaced=true").await?;
    assert_eq!(nobody.body["data"], json!([]));
    for (visit, hour) in [(&nine, "9:00"), (&one, "1:00")] {
        let sent = texts(&product, visit, 1).await;
        assert!(sent[0].contains(hour), "{sent:?}");
    }
    // Opening hours and open slots follow the new zone.
    book(&product, &clinic, "08", patient("Eight", "+17805550143")).await?;
    check_keep_instant(&product, &clinic, &nine, &one).await
}

/// Back in the west, the appointments keep their instants; those before the practitioner's hours become displaced.
async fn check_keep_instant(product: &ManualClockProduct, clinic: &Clinic, nine: &str, one: &str) -> Result<()> {
    let stayed = rezone(product, clinic, WEST, "?appointments=keep_instant").await?;
    assert_eq!(stayed.status, StatusCode::OK, "{}", stayed.body);
    let eight = &stayed.body["appointments"][0]["appointment_id"];
    assert_eq!(stayed.body["displaced"], json!([eight, nine]), "six and seven o'clock");
    assert_eq!(start(product, nine).await?, "2026-03-04T07:00:00-07:00");
    assert_eq!(start(product, one).await?, "2026-03-04T11:00:00-07:00");
    let sent = texts(product, one, 2).await;
    assert!(sent.iter().any(|text| text.contains("11:00")), "{sent:?}");

    // Another name of the same zone moves no appointment, and a patch without a zone needs no choice.
    let renamed = rezone(product, clinic, "America/Edmonton", "?appointments=keep_wall_time").await?;
    assert_eq!((renamed.status, start(product, one).await?), (StatusCode::OK, "2026-03-04T11:00:00-07:00".to_owned()));
    let path = format!("/v1/locations/{}", clinic.location);
    let named = product.send(Method::PATCH, &path, &[], Some(json!({"name": "New name"}))).await?;
    assert_eq!(named.status, StatusCode::OK, "{}", named.body);
    assert_eq!(named.body.get("appointments"), None);

    // Archiving the location names the appointments that it displaces.
    let gone = product.send(Method::DELETE, &path, &[], None).await?;
    assert_eq!(
        (gone.status, &gone.body["displaced"]),
        (StatusCode::OK, &json!([one])),
        "the others were displaced before"
    );
    Ok(())
}

async fn proposed(database: Database) -> Result<()> {
    let product = ManualClockProduct::at(NOW, database, booking::Config::default()).await?;
    let clinic = product.rest.clinic(WEST, service()).await?;
    let phase = json!({"service_id": clinic.service, "sessions": {"least": 2, "most": 2},
        "gap_days": {"least": 2, "ideal": 3, "most": 7}});
    let template = json!({"code": "two", "name": "Two", "course": "acute", "phases": [phase]});
    let template = product.post("/v1/plan_templates", template).await?.text("/id");
    let patient_id = product.post("/v1/patients", patient("Planned", "+17805550144")).await?.text("/id");
    let plan = json!({"patient_id": patient_id, "plan_template_id": template, "condition_code": "neck-pain",
        "location_ids": [clinic.location], "preferences": {"not_before": "09:00", "not_after": "10:00"},
        "start_on": "2026-03-04"});
    let plan = product.post("/v1/plans", plan).await?;
    let path = format!("/v1/plans/{}", plan.text("/id"));
    let before = product.post(&format!("{path}/proposals"), json!({})).await?.text("/data/0/id");
    // A minute later, since a proposal at the very instant of the change counts as older.
    product.clock.advance(SignedDuration::from_mins(1));
    assert_eq!(rezone(&product, &clinic, EAST, "").await?.status, StatusCode::OK);
    let stale = product.post(&format!("{path}/book"), json!({"proposal_id": before})).await?;
    assert_eq!(stale.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", stale.body);
    assert_eq!(stale.text("/errors/0/pointer"), "/proposal_id");
    product.clock.advance(SignedDuration::from_mins(1));
    let fresh = product.post(&format!("{path}/proposals"), json!({})).await?.text("/data/0/id");
    let booked = product.post(&format!("{path}/book"), json!({"proposal_id": fresh})).await?;
    assert_eq!(booked.status, StatusCode::OK, "{}", booked.body);
    let visit = booked.text("/sessions/0/appointment_id");
    assert_eq!(start(&product, &visit).await?.get(10..13), Some("T09"));
    Ok(())
}
