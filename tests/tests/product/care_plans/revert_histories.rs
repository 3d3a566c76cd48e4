//! Random histories of two patients side by side: what the one's desk does and takes back, the other's never does. After
//! each step both have the same appointments, claims, plan, ledger balance and reminders to come.

use anyhow::{Context, Result};
use booking::Config;
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use reqwest::StatusCode;
use scenarios::{ORGANIZATION, context};
use serde_json::{Value, json};
use testkit::{database::Database, poll};
use wire::booking::{Change, SnapshotRequest, change::Owner, feed_client::FeedClient};

use super::fixture::{Fixture, appointment_of, attention};

testkit::engines!(histories_with_reverts_equal_those_without_what_was_reverted);

const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);
const STEPS: usize = 24;
/// The sessions of each plan: an evaluation and needling after it.
const VISITS: usize = 7;
const TRANSITIONS: [&str; 6] = ["confirm", "arrive", "start", "complete", "no_show", "cancel"];
/// The fields of an appointment that a transition sets.
const STAMPS: [&str; 9] = [
    "status",
    "displaced",
    "confirmed_at",
    "arrived_at",
    "started_at",
    "completed_at",
    "cancelled_at",
    "cancellation",
    "rescheduled_late",
];

async fn histories_with_reverts_equal_those_without_what_was_reverted(database: Database) {
    let seed = std::env::var("MERIDIAN_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_302);
    println!("seed {seed}");
    histories(database, seed).await.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
}

/// A patient with a booked plan.
struct Patient {
    plan: String,
    visits: Vec<String>,
}

async fn histories(database: Database, seed: u64) -> Result<()> {
    let config = Config { late_cancellation_forfeits: true, ..Config::default() };
    let fixture = Fixture::of(database, config, 2).await?;
    let (with, without) = (patient(&fixture, 0).await?, patient(&fixture, 1).await?);
    let first = settled(&fixture, &with).await?;
    same(&fixture, &with, &without, "at the start").await?;
    let mut random = SmallRng::seed_from_u64(seed);
    let mut reverted = 0;
    for step in 0..STEPS {
        let visit = random.random_range(0..VISITS);
        if random.random_range(0..3) == 0 {
            until_start(&fixture, &with.visits[visit]).await?;
        }
        let what = TRANSITIONS[random.random_range(0..TRANSITIONS.len())];
        if random.random_range(0..3) == 0 {
            let done = transition(&fixture, &with.visits[visit], what).await?;
            let other = transition(&fixture, &without.visits[visit], what).await?;
            anyhow::ensure!(done == other, "{what} is {done} here and {other} there");
        } else if changes(&fixture, &with.visits[visit], what).await? {
            // In half of the cases with one more on top of it.
            let more = TRANSITIONS[random.random_range(0..TRANSITIONS.len())];
            let again = random.random_bool(0.5) && changes(&fixture, &with.visits[visit], more).await?;
            for _ in 0..=usize::from(again) {
                let back = transition(&fixture, &with.visits[visit], "revert").await?;
                anyhow::ensure!(back == StatusCode::OK, "{back} after {what} and perhaps {more}");
                reverted += 1;
            }
        }
        same(&fixture, &with, &without, &format!("after step {step}, {what} of visit {visit}")).await?;
    }
    anyhow::ensure!(reverted > STEPS / 4, "only {reverted} were reverted");
    let report = fixture.product.get("/v1/reports/plans?from=2026-03-01&to=2026-04-30&group_by=practitioner").await?;
    let row = |at: usize| {
        let rows = report.body["data"].as_array()?;
        let row = rows.iter().find(|row| row["key"] == *fixture.practitioners[at])?;
        row.as_object().map(|row| row.iter().filter(|(name, _)| *name != "key").collect::<Vec<_>>())
    };
    anyhow::ensure!(row(0).is_some() && row(0) == row(1), "the report: {}", report.body);
    // Everything is taken back, whatever its age: both are as they were booked.
    for patient in [&with, &without] {
        for visit in &patient.visits {
            while transition(&fixture, visit, "revert").await? == StatusCode::OK {}
        }
        anyhow::ensure!(settled(&fixture, patient).await? == first, "not what was booked");
    }
    Ok(())
}

/// Books a plan with the practitioner of this number alone.
async fn patient(fixture: &Fixture, number: usize) -> Result<Patient> {
    let body = json!({"patient_id": fixture.patient(number).await?, "plan_template_id": fixture.template,
        "condition_code": "low-back-pain", "sessions": VISITS, "location_ids": [fixture.location],
        "practitioner_id": fixture.practitioners[number], "start_on": "2026-03-05"});
    let plan = fixture.product.post("/v1/plans", body).await?.text("/id");
    let best = fixture.product.post(&format!("/v1/plans/{plan}/proposals"), json!({"limit": 1})).await?;
    let booked = fixture.book(&plan, json!({"proposal_id": best.text("/data/0/id")})).await?;
    anyhow::ensure!(booked.status == StatusCode::OK, "{}", booked.body);
    Ok(Patient { plan, visits: (0..VISITS).map(|at| appointment_of(&booked, at)).collect() })
}

async fn until_start(fixture: &Fixture, visit: &str) -> Result<()> {
    let starts_at = fixture.appointment(visit).await?.text("/starts_at");
    if starts_at.parse::<Timestamp>()? > fixture.product.clock.now() {
        fixture.product.advance_to(&starts_at)?;
    }
    Ok(())
}

async fn transition(fixture: &Fixture, visit: &str, what: &str) -> Result<StatusCode> {
    let body = if what == "cancel" { json!({"reason_code": "patient_ill"}) } else { json!({}) };
    Ok(fixture.transition(visit, what, body).await?.status)
}

/// Makes a transition, and answers whether there is anything of it to take back: a second confirmation changes nothing.
async fn changes(fixture: &Fixture, visit: &str, what: &str) -> Result<bool> {
    let is_confirmed = fixture.appointment(visit).await?.body["confirmed_at"].is_string();
    let done = transition(fixture, visit, what).await? == StatusCode::OK;
    Ok(done && !(what == "confirm" && is_confirmed))
}

/// Compares both patients, once the reminder service has followed.
async fn same(fixture: &Fixture, one: &Patient, other: &Patient, when: &str) -> Result<()> {
    let [left, right] = [settled(fixture, one).await?, settled(fixture, other).await?];
    anyhow::ensure!(left == right, "{when}:\n{left}\n{right}");
    let [left, right] = [claims(fixture, one).await?, claims(fixture, other).await?];
    anyhow::ensure!(left == right, "{when}:\n{left:?}\n{right:?}");
    let [left, right] = [planned(fixture, one).await?, planned(fixture, other).await?];
    anyhow::ensure!(left == right, "{when}:\n{left}\n{right}");
    let due =
        async || -> Result<(Vec<Value>, Vec<Value>)> { Ok((due(fixture, one).await?, due(fixture, other).await?)) };
    poll::until(&format!("equal reminders {when}"), WITHIN, || async {
        let (left, right) = due().await.ok()?;
        (left == right).then_some(())
    })
    .await;
    Ok(())
}

/// The appointments with their stamps, the ledger's balance and the adherence.
async fn settled(fixture: &Fixture, patient: &Patient) -> Result<Value> {
    let mut visits = Vec::new();
    for id in &patient.visits {
        let visit = fixture.appointment(id).await?.body;
        visits.push(json!(STAMPS.iter().map(|name| &visit[name]).collect::<Vec<_>>()));
    }
    let (plan, ledger) = (fixture.plan(&patient.plan).await?, format!("/v1/plans/{}/ledger", patient.plan));
    let balance = fixture.product.get(&ledger).await?.body["balance"].clone();
    Ok(
        json!({"visits": visits, "balance": balance, "adherence": plan.body["adherence"], "status": plan.body["status"]}),
    )
}

/// The claims that have not ended long ago: kind, start and end, by the number of the visit. Older ones are swept.
async fn claims(fixture: &Fixture, patient: &Patient) -> Result<Vec<(usize, i32, i64, i64)>> {
    let since_us = (fixture.product.clock.now() - SignedDuration::from_hours(6)).as_microsecond();
    let request = context(ORGANIZATION).request(SnapshotRequest { ends_after_us: since_us });
    let mut parts = FeedClient::new(fixture.product.booking.clone()).snapshot(request).await?.into_inner();
    let mut found = Vec::new();
    while let Some(part) = parts.message().await? {
        for Change { owner, claims, .. } in part.changes {
            let Some(Owner::Appointment(visit)) = owner else { continue };
            let Some(number) = patient.visits.iter().position(|id| *id == visit.id) else { continue };
            let recent = claims.iter().filter(|claim| claim.ends_at_us > since_us);
            found.extend(recent.map(|claim| (number, claim.kind, claim.starts_at_us, claim.ends_at_us)));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The sessions of the plan, and those that need attention now.
async fn planned(fixture: &Fixture, patient: &Patient) -> Result<Value> {
    let plan = fixture.plan(&patient.plan).await?;
    let visit = |session: &Value| patient.visits.iter().position(|id| session["appointment_id"] == **id);
    let sessions = plan.body["sessions"].as_array().context("sessions")?.iter();
    let sessions = sessions.map(|it| json!([it["ordinal"], it["status"], it["gap_days"], visit(it)]));
    Ok(json!({"sessions": sessions.collect::<Vec<_>>(), "attention": attention(&plan)}))
}

/// The reminders that are to come. A few minutes of the near future are left out: a move settles in that time.
async fn due(fixture: &Fixture, patient: &Patient) -> Result<Vec<Value>> {
    let from = fixture.product.clock.now() + SignedDuration::from_mins(5);
    let mut found = Vec::new();
    for (number, id) in patient.visits.iter().enumerate() {
        let list = fixture.product.get(&format!("/v1/messages?appointment_id={id}&status=scheduled&limit=200")).await?;
        for it in list.body["data"].as_array().context("messages")? {
            let due_at: Timestamp = it["due_at"].as_str().context("a due time")?.parse()?;
            if it["trigger"] == "before_start" && due_at > from {
                found.push(json!([number, it["channel"], due_at.to_string()]));
            }
        }
    }
    found.sort_by_key(Value::to_string);
    Ok(found)
}
