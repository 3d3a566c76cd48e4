//! A sick week: the appointments of many patients moved together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use booking::Config;
use reqwest::{Method, StatusCode};
use scenarios::patient;
use serde_json::{Value, json};
use testkit::database::Database;

use super::fixture::{Fixture, attention};

testkit::engines!(a_sick_week_is_solved_together_and_booked_patient_by_patient);

async fn a_sick_week_is_solved_together_and_booked_patient_by_patient(database: Database) {
    sick_week(database).await.unwrap();
}

const VISITS: usize = 60;
const PATIENTS: usize = 40;

/// Books up to sixty appointments of forty patients with one practitioner in one week.
async fn full_week(fixture: &Fixture) -> Result<Vec<Value>> {
    let path = format!(
        "/v1/slots?service_id={}&practitioner_id={}&from=2026-03-09T00:00:00Z&to=2026-03-14T00:00:00Z&limit=200",
        fixture.evaluation, fixture.practitioners[0]
    );
    let slots = fixture.product.get(&path).await?;
    let slots = slots.body["data"].as_array().context("slots")?.clone();
    let mut starts: BTreeMap<String, &Value> = BTreeMap::new();
    for slot in &slots {
        // Eleven appointments of 45 minutes fit into a day.
        let start = slot["starts_at"].as_str().context("a start")?;
        starts.entry(start.to_owned()).or_insert(slot);
    }
    let (mut booked, mut ends) = (Vec::new(), String::new());
    for (start, slot) in starts {
        if booked.len() == VISITS || start < ends {
            continue;
        }
        let number = booked.len() % PATIENTS;
        let body = json!({"slot_id": slot["slot_id"], "patient": patient("Example", &format!("+1780555{number:04}"))});
        let made = fixture.product.post("/v1/appointments", body).await?;
        anyhow::ensure!(made.status == StatusCode::CREATED, "{}", made.body);
        ends = made.text("/ends_at");
        booked.push(made.body);
    }
    anyhow::ensure!(booked.len() >= 50, "{} visits fit", booked.len());
    Ok(booked)
}

async fn sick_week(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 4).await?;
    let plan = fixture.booked_plan(77, 4).await?;
    let visits = full_week(&fixture).await?;
    let displaced = fixture.away(0, "2026-03-09T00:00:00-06:00", "2026-03-14T00:00:00-06:00").await?;
    assert!(displaced.len() >= visits.len(), "{} of {}", displaced.len(), visits.len());

    let ask = json!({"practitioner_id": fixture.practitioners[0], "from": "2026-03-09T00:00:00-06:00",
        "to": "2026-03-14T00:00:00-06:00"});
    let proposal = fixture.product.post("/v1/displaced/proposals", ask.clone()).await?;
    assert_eq!(proposal.status, StatusCode::OK, "{}", proposal.body);
    let duration =
        proposal.headers.get("server-timing").and_then(|value| value.to_str().ok()).unwrap_or("not reported");
    println!("{} visits of {PATIENTS} patients solved together; server: {duration}", displaced.len());
    let moves = proposal.body["moves"].as_array().context("moves")?;
    let unplaced = proposal.body["unplaced"].as_array().context("unplaced")?;
    assert_eq!(moves.len() + unplaced.len(), displaced.len());
    assert_eq!(unplaced.len(), 0, "three others have room for all: {unplaced:?}");
    let slots: BTreeSet<&str> = moves.iter().filter_map(|it| it["slot"]["slot_id"].as_str()).collect();
    assert_eq!(slots.len(), moves.len(), "no slot twice");
    let mut times: Vec<[&str; 3]> = moves
        .iter()
        .map(|it| ["practitioner_id", "starts_at", "ends_at"].map(|name| it["slot"][name].as_str().unwrap_or_default()))
        .collect();
    times.sort_unstable();
    let apart = |pair: &[[&str; 3]]| pair[0][0] != pair[1][0] || pair[0][2] <= pair[1][1];
    assert!(times.windows(2).all(apart), "no practitioner has two visits at once: {times:?}");

    // One slot is taken meanwhile: its patient keeps their old times, and the other patients move.
    let lost = &moves[0];
    let other = json!({"slot_id": lost["slot"]["slot_id"], "patient": patient("Other", "+17805559999")});
    assert_eq!(fixture.product.post("/v1/appointments", other).await?.status, StatusCode::CREATED);
    let booking = json!({"proposal_id": proposal.body["id"]});
    let key = [("idempotency-key", "a-sick-week")];
    let send = async || fixture.product.send(Method::POST, "/v1/displaced/book", &key, Some(booking.clone())).await;
    let report = send().await?;
    assert_eq!(report.status, StatusCode::OK, "{}", report.body);
    let again = send().await?;
    assert_eq!((&again.body, again.headers.get("idempotency-replayed").is_some()), (&report.body, true));
    let patients = report.body["data"].as_array().context("patients")?;
    let failed: Vec<&Value> = patients.iter().filter(|it| it["moved"] == json!(false)).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(
        (&failed[0]["patient_id"], &failed[0]["code"]),
        (&lost["appointment"]["patient_id"], &json!("slot_taken"))
    );
    let kept = failed[0]["appointment_ids"].as_array().context("ids")?;
    assert_eq!(report.body["moved"].as_u64(), Some((displaced.len() - kept.len()) as u64));
    for id in kept {
        let stays = fixture.appointment(id.as_str().context("an id")?).await?;
        assert_eq!((&stays.body["displaced"], &stays.body["version"]), (&json!(true), &json!(2)), "all or none of it");
    }

    // The remaining appointments are solved again, and then none is displaced.
    let rest = fixture.product.post("/v1/displaced/proposals", ask).await?;
    assert_eq!(rest.body["moves"].as_array().map(Vec::len), Some(kept.len()), "{}", rest.body);
    let one = rest.body["moves"][0]["appointment"]["id"].clone();
    let part = json!({"proposal_id": rest.body["id"], "appointment_ids": [one]});
    assert_eq!(fixture.product.post("/v1/displaced/book", part).await?.body["moved"], json!(1));
    let others: Vec<Value> = rest.body["moves"].as_array().context("moves")?[1..]
        .iter()
        .map(|it| json!({"appointment_id": it["appointment"]["id"], "slot_id": it["slot"]["slot_id"]}))
        .collect();
    if !others.is_empty() {
        let moved = fixture.product.post("/v1/displaced/book", json!({"moves": others})).await?;
        assert_eq!(moved.body["failed"], json!(0), "{}", moved.body);
    }
    let list = "/v1/appointments?displaced=true&from=2026-03-01T00:00:00Z&to=2026-06-01T00:00:00Z";
    assert_eq!(fixture.product.get(list).await?.body["data"], json!([]));
    assert_eq!(attention(&fixture.plan(&plan).await?), [], "the plan's gaps are kept");
    Ok(())
}
