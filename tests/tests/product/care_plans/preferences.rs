//! The preference of a plan's series, and proposals that differ from each other.

use anyhow::{Context, Result, ensure};
use booking::Config;
use reqwest::StatusCode;
use scenarios::{Answer, ManualClockProduct, patient};
use serde_json::{Value, json};
use testkit::{database::Database, engines};

use super::fixture::{Fixture, date_of};

engines!(an_acute_plan_starts_soon_unless_continuity_is_preferred, proposals_differ_in_every_session_and_explain_how,);

/// A clinic in which one practitioner is open from Christmas on, and three others on single days before.
struct Clinic {
    product: ManualClockProduct,
    location: String,
    /// Open from the 25th on, every day.
    late: String,
    /// Open on the 7th and the 10th.
    soon: String,
    template: String,
}

impl Clinic {
    async fn over(database: Database) -> Result<Self> {
        let product = ManualClockProduct::at("2026-12-01T15:00:00Z", database, Config::default()).await?;
        let made = async |path: &str, body: Value| -> Result<String> {
            let answer = product.post(path, body).await?;
            ensure!(answer.status == StatusCode::CREATED, "{path}: {}", answer.body);
            Ok(answer.text("/id"))
        };
        let location = made("/v1/locations", json!({"name": "Whyte", "time_zone": "America/Edmonton"})).await?;
        let open = [
            ("2026-12-25", "2027-02-28", vec!["mo", "tu", "we", "th", "fr", "sa", "su"]),
            ("2026-12-07", "2026-12-10", vec!["mo", "th"]),
            ("2026-12-15", "2026-12-15", vec!["tu"]),
            ("2026-12-20", "2026-12-20", vec!["su"]),
        ];
        let mut practitioners = Vec::new();
        for (number, (from, to, days)) in open.into_iter().enumerate() {
            let practitioner = json!({"given_name": "Grace", "family_name": format!("Sample {number}")});
            let practitioner = made("/v1/practitioners", practitioner).await?;
            let weekly: Vec<Value> =
                days.iter().map(|day| json!({"day": day, "from": "09:00", "to": "17:00"})).collect();
            let roster = json!({"location_id": location, "effective_from": from, "effective_to": to, "weekly": weekly});
            made(&format!("/v1/practitioners/{practitioner}/rosters"), roster).await?;
            practitioners.push(practitioner);
        }
        let service = json!({"code": "visit", "name": "Visit", "duration_minutes": 30, "horizon_days": 365});
        let service = made("/v1/services", service).await?;
        let phase = json!({"service_id": service, "sessions": {"least": 4, "most": 4},
            "gap_days": {"least": 3, "ideal": 5, "most": 7}});
        let template = json!({"code": "acute", "name": "Acute", "course": "acute", "phases": [phase]});
        let template = made("/v1/plan_templates", template).await?;
        Ok(Self { location, late: practitioners[0].clone(), soon: practitioners[1].clone(), template, product })
    }

    async fn plan(&self) -> Result<String> {
        let patient = self.product.post("/v1/patients", patient("Example", "+17805550123")).await?.text("/id");
        let body = json!({"patient_id": patient, "plan_template_id": self.template, "condition_code": "low-back-pain",
            "location_ids": [self.location], "start_on": "2026-12-03"});
        let made = self.product.post("/v1/plans", body).await?;
        ensure!(made.status == StatusCode::CREATED, "{}", made.body);
        Ok(format!("/v1/plans/{}", made.text("/id")))
    }

    async fn proposals(&self, plan: &str, ask: Value) -> Result<Answer> {
        self.product.post(&format!("{plan}/proposals"), ask).await
    }
}

/// The dates of the sessions of a proposal.
fn dates(proposal: &Value) -> Vec<String> {
    let sessions = proposal["sessions"].as_array().into_iter().flatten();
    sessions.map(|it| date_of(it["starts_at"].as_str().unwrap_or_default()).to_string()).collect()
}

async fn an_acute_plan_starts_soon_unless_continuity_is_preferred(database: Database) {
    soon(database).await.unwrap();
}

async fn soon(database: Database) -> Result<()> {
    let clinic = Clinic::over(database).await?;
    let plan = clinic.plan().await?;
    for ask in [json!({}), json!({"prefer": "soonest"})] {
        let answer = clinic.proposals(&plan, ask).await?;
        let first = &answer.body["data"][0];
        assert_eq!(dates(first), ["2026-12-07", "2026-12-10", "2026-12-15", "2026-12-20"], "{}", answer.body);
        assert_eq!((&first["sessions"][0]["practitioner_id"]), &json!(clinic.soon));
        let text = first["explanation"].as_str().context("a sentence")?;
        assert!(text.contains("begins 4 days after the first possible day"), "{text}");
        // A day later costs 200 points a session: 4, 2, 2 and 2 days.
        assert_eq!(first["cost_terms"]["lateness"], 2000);
        assert_eq!(first["cost_terms"]["practitioner"], 800);
    }
    let steady = clinic.proposals(&plan, json!({"prefer": "continuity"})).await?;
    let first = &steady.body["data"][0];
    assert_eq!(dates(first), ["2026-12-25", "2026-12-30", "2027-01-04", "2027-01-09"], "{}", steady.body);
    assert_eq!((&first["cost_terms"]["practitioner"], &first["cost_terms"]["lateness"]), (&json!(0), &json!(880)));

    // After a lost slot, the fresh proposal is the best by the same preference.
    let slot = &first["sessions"][0]["slot_id"];
    let other = json!({"slot_id": slot, "patient": patient("Other", "+17805550124")});
    assert_eq!(clinic.product.post("/v1/appointments", other).await?.status, StatusCode::CREATED);
    let lost = clinic.product.post(&format!("{plan}/book"), json!({"proposal_id": first["id"]})).await?;
    assert_eq!(lost.text("/code"), "series_conflict", "{}", lost.body);
    assert_eq!(lost.text("/proposal/sessions/0/practitioner_id"), clinic.late);

    let hours = clinic.proposals(&plan, json!({"prefer": "hours"})).await?;
    assert_eq!(hours.body["data"][0]["cost_terms"]["hours"], 0, "{}", hours.body);
    assert!(hours.text("/data/0/explanation").contains("all in the "), "{}", hours.body);
    let unknown = clinic.proposals(&plan, json!({"prefer": "cheapest"})).await?;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unknown.body);
    assert_eq!(unknown.text("/errors/0/pointer"), "/prefer", "{}", unknown.body);
    Ok(())
}

async fn proposals_differ_in_every_session_and_explain_how(database: Database) {
    different(database).await.unwrap();
}

async fn different(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 3).await?;
    let body = json!({"patient_id": fixture.patient(0).await?, "plan_template_id": fixture.template,
        "condition_code": "low-back-pain", "sessions": 9, "location_ids": [fixture.location], "start_on": "2026-03-03"});
    let plan = fixture.product.post("/v1/plans", body).await?.text("/id");
    let answer = fixture.product.post(&format!("/v1/plans/{plan}/proposals"), json!({"limit": 5})).await?;
    let all = answer.body["data"].as_array().context("data")?;
    assert_eq!(all.len(), 5, "{}", answer.body);
    let costs: Vec<u64> = all.iter().filter_map(|proposal| proposal["cost"].as_u64()).collect();
    assert!(costs.is_sorted(), "{costs:?}");
    let read = |proposal: &Value, read: fn(&Value) -> String| -> Vec<String> {
        proposal["sessions"].as_array().into_iter().flatten().map(read).collect()
    };
    let practitioner = |it: &Value| it["practitioner_id"].to_string();
    let day = |it: &Value| it["starts_at"].as_str().unwrap_or_default()[..10].to_owned();
    let part = |it: &Value| match it["starts_at"].as_str().unwrap_or_default()[11..13].parse::<u32>() {
        Ok(..12) => "morning".to_owned(),
        Ok(12..17) => "afternoon".to_owned(),
        _ => "evening".to_owned(),
    };
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            let differ = |get: fn(&Value) -> String| {
                let (one, other) = (read(one, get), read(other, get));
                one.len() == 9 && one.iter().zip(&other).all(|(one, other)| one != other)
            };
            assert!(differ(practitioner) || differ(day) || differ(part), "{one} and {other}");
        }
        let text = one["explanation"].as_str().context("a sentence")?;
        assert_eq!(text.contains("unlike the first proposal, every session is "), at > 0, "{text}");
    }
    let kinds = [" with another practitioner", " in the ", " on another day, the first "];
    let named =
        |kind: &&&str| all.iter().any(|it| it["explanation"].as_str().is_some_and(|text| text.contains(**kind)));
    assert!(kinds.iter().filter(named).count() >= 2, "{}", answer.body);
    Ok(())
}
