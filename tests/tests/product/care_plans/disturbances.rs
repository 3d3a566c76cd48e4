//! Random disturbances: after each one, the plans, their appointments and the ledger agree.

use std::collections::HashMap;

use anyhow::{Context, Result};
use booking::Config;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use reqwest::StatusCode;
use scenarios::Answer;
use serde_json::{Value, json};
use testkit::database::Database;
use wire::booking::change::Owner;

use super::fixture::{Fixture, attention, date_of};

testkit::engines!(random_disturbances_leave_plans_consistent);

const STEPS: usize = 80;
const PLANS: usize = 3;

async fn random_disturbances_leave_plans_consistent(database: Database) {
    let seed = std::env::var("MERIDIAN_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_302);
    println!("seed {seed}");
    disturbed(database, seed).await.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
}

async fn disturbed(database: Database, seed: u64) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 3).await?;
    let mut random = SmallRng::seed_from_u64(seed);
    let mut plans = Vec::new();
    for number in 0..PLANS {
        plans.push(fixture.booked_plan(number, 5).await?);
    }
    for step in 0..STEPS {
        let plan = &plans[random.random_range(0..PLANS)];
        let what = disturb(&fixture, &mut random, plan).await?;
        for plan in &plans {
            check_plan(&fixture, plan).await.with_context(|| format!("after step {step}, {what}"))?;
        }
        check_claims(&fixture).await.with_context(|| format!("after step {step}, {what}"))?;
    }
    Ok(())
}

/// Applies a random disturbance; returns its description.
async fn disturb(fixture: &Fixture, random: &mut SmallRng, id: &str) -> Result<String> {
    let plan = fixture.plan(id).await?;
    let booked: Vec<String> = plan.body["sessions"]
        .as_array()
        .context("sessions")?
        .iter()
        .filter(|session| session["status"] == "booked")
        .filter_map(|session| session["appointment_id"].as_str().map(str::to_owned))
        .collect();
    let any =
        |random: &mut SmallRng| (!booked.is_empty()).then(|| booked[random.random_range(0..booked.len())].clone());
    let choice = random.random_range(0..8);
    match (choice, any(random)) {
        (0, Some(appointment)) => {
            fixture.transition(&appointment, "cancel", json!({"reason_code": "patient_ill"})).await?;
        }
        (1 | 2, Some(appointment)) => {
            let starts_at = fixture.appointment(&appointment).await?.text("/starts_at");
            if starts_at.parse::<jiff::Timestamp>()? > fixture.product.clock.now() {
                fixture.product.advance_to(&starts_at)?;
            }
            if choice == 1 {
                fixture.transition(&appointment, "no_show", json!({})).await?;
            } else {
                fixture.complete(&appointment).await?;
            }
        }
        (3, Some(appointment)) => {
            let visit = fixture.appointment(&appointment).await?;
            let practitioner =
                fixture.practitioners.iter().position(|id| *id == visit.text("/practitioner_id")).context("whom")?;
            fixture.away(practitioner, &visit.text("/starts_at"), &visit.text("/ends_at")).await?;
        }
        (4, Some(appointment)) => move_by_hand(fixture, random, &appointment).await?,
        (5, _) => {
            let decision = ["continue", "extend", "taper"][random.random_range(0..3)];
            let mut review = json!({"nprs": 4, "psfs": [{"activity": "walk", "score": 6}], "decision": decision});
            if decision == "extend" {
                review["sessions"] = json!(1);
            }
            fixture.product.post(&format!("/v1/plans/{id}/reviews"), review).await?;
        }
        _ => repair(fixture, id).await?,
    }
    Ok(format!("choice {choice} at {id}"))
}

/// Moves an appointment to a random open slot, without regard to the plan.
async fn move_by_hand(fixture: &Fixture, random: &mut SmallRng, appointment: &str) -> Result<()> {
    let visit = fixture.appointment(appointment).await?;
    let from = visit.text("/starts_at").parse::<jiff::Timestamp>()?.max(fixture.product.clock.now());
    let to = from + jiff::SignedDuration::from_hours(24 * 14);
    let path = format!("/v1/slots?service_id={}&from={from}&to={to}&limit=200", visit.text("/service_id"));
    let slots = fixture.product.get(&path).await?;
    let slots = slots.body["data"].as_array().context("slots")?.clone();
    if !slots.is_empty() {
        let slot = &slots[random.random_range(0..slots.len())];
        let body = json!({"slot_id": slot["slot_id"]});
        fixture.transition(appointment, "reschedule", body).await?;
    }
    Ok(())
}

/// Books the best repair; afterwards no future session needs attention.
async fn repair(fixture: &Fixture, id: &str) -> Result<()> {
    let repairs = fixture.repairs(id).await?;
    if repairs.status == StatusCode::UNPROCESSABLE_ENTITY {
        anyhow::ensure!(
            repairs.text("/code") == "no_series" && repairs.body["session"].is_number(),
            "{}",
            repairs.body
        );
        return Ok(());
    }
    anyhow::ensure!(repairs.status == StatusCode::OK, "{}", repairs.body);
    let Some(best) = repairs.body["data"].as_array().and_then(|all| all.first()) else { return Ok(()) };
    let booked = fixture.book(id, json!({"proposal_id": best["id"]})).await?;
    anyhow::ensure!(booked.status == StatusCode::OK, "{}", booked.body);
    // A gap that was overdue before may stay longer than planned; it is named.
    let left: Vec<_> = attention(&booked).into_iter().filter(|(_, code)| code != "gap_too_long").collect();
    anyhow::ensure!(left.is_empty(), "{left:?}: {}", booked.body);
    Ok(())
}

/// Sessions and appointments agree, the ledger reconciles, and each gap that is broken ahead is named.
async fn check_plan(fixture: &Fixture, id: &str) -> Result<()> {
    let plan = fixture.plan(id).await?;
    let sessions = plan.body["sessions"].as_array().context("sessions")?;
    let mut days = Vec::new();
    for session in sessions {
        let Some(appointment) = session["appointment_id"].as_str() else { continue };
        let visit = fixture.appointment(appointment).await?;
        let expected: &[&str] = match session["status"].as_str().context("a status")? {
            "booked" => &["booked", "arrived", "checked-in"],
            "done" => &["fulfilled"],
            "missed" => &["noshow"],
            other => anyhow::bail!("a session that is {other} has an appointment"),
        };
        anyhow::ensure!(expected.contains(&visit.text("/status").as_str()), "{session} and {}", visit.body);
        anyhow::ensure!(visit.text("/plan_session_id") == session["id"], "{}", visit.body);
        if session["status"] != "missed" {
            days.push((visit.text("/starts_at"), session.clone()));
        }
    }
    named(fixture, &plan, days)?;
    let ledger = fixture.product.get(&format!("/v1/plans/{id}/ledger")).await?;
    let balance = &ledger.body["balance"];
    let count = |status: &str| sessions.iter().filter(|session| session["status"] == status).count();
    for status in ["to_book", "booked", "done", "missed"] {
        anyhow::ensure!(balance[status] == json!(count(status)), "{status}: {balance}");
    }
    Ok(())
}

/// What the plan says of gaps that are ahead, worked out anew from the visits: those of neighbours between which nothing
/// is left to book.
fn named(fixture: &Fixture, plan: &Answer, mut days: Vec<(String, Value)>) -> Result<()> {
    let now = fixture.product.clock.now();
    let instant = |text: &str| text.parse::<jiff::Timestamp>();
    let found = attention(plan);
    let open: Vec<u64> = plan.body["sessions"]
        .as_array()
        .context("sessions")?
        .iter()
        .filter(|session| session["status"] == "to_book")
        .filter_map(|session| session["ordinal"].as_u64())
        .collect();
    days.sort_by(|one, other| one.0.cmp(&other.0));
    for pair in days.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let ordinal = |session: &Value| session["ordinal"].as_u64().unwrap_or(0);
        let (from, to) = (ordinal(&before.1), ordinal(&after.1));
        // What is still to be booked may come between them.
        let between = open.iter().any(|open| *open < from.max(to));
        let Some(gap) = after.1["gap_days"].as_object() else { continue };
        if between || instant(&after.0)? <= now {
            continue;
        }
        let days = i64::from((date_of(&after.0) - date_of(&before.0)).get_days());
        let code = match days {
            days if days > gap["most"].as_i64().context("most")? => Some("gap_too_long"),
            days if days < gap["least"].as_i64().context("least")? => Some("gap_too_short"),
            _ => None,
        };
        let is_named = found.iter().any(|(session, found)| *session == to && Some(found.as_str()) == code);
        anyhow::ensure!(code.is_none() || is_named, "{days} days before session {to}: {found:?}");
    }
    Ok(())
}

/// Every appointment that takes time has its claims, and every claim has its appointment.
async fn check_claims(fixture: &Fixture) -> Result<()> {
    let mut kinds: HashMap<String, (String, usize)> = HashMap::new();
    let mut others = Vec::new();
    for change in fixture.product.snapshot().await? {
        match change.owner {
            Some(Owner::Appointment(state)) => {
                kinds.insert(state.id, (state.status, change.claims.len()));
            }
            Some(Owner::Hold(state)) => others.push(state.id),
            _ => {}
        }
    }
    // Nobody holds anything: what is left is the spacing that follows a needling visit which is over.
    for owner in others {
        let visit = fixture.appointment(&owner.replace("hold_", "appt_")).await?;
        let takes = visit.body["status"].as_str().is_some_and(|status| status != "cancelled" && status != "noshow");
        anyhow::ensure!(takes, "claims without an appointment: {owner}, {}", visit.body);
    }
    for (id, (status, claims)) in kinds {
        let takes = !matches!(status.as_str(), "cancelled" | "noshow" | "entered-in-error");
        anyhow::ensure!(takes == (claims > 0), "{id} is {status} and has {claims} claims");
    }
    Ok(())
}
