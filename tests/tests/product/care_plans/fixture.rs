//! A clinic in Edmonton with several practitioners and a template of a chronic plan.

use anyhow::{Context, Result};
use jiff::civil::Date;
use reqwest::StatusCode;
use scenarios::{Answer, ManualClockProduct, patient};
use serde_json::{Value, json};
use testkit::database::Database;

/// A Monday morning in Edmonton, where clocks go forward on the Sunday after.
pub const NOW: &str = "2026-03-02T15:00:00Z";
pub const WEEKDAYS: [&str; 5] = ["mo", "tu", "we", "th", "fr"];

pub struct Fixture {
    pub product: ManualClockProduct,
    pub location: String,
    pub practitioners: Vec<String>,
    pub evaluation: String,
    pub template: String,
}

impl Fixture {
    /// Creates this many practitioners, who work on weekdays from 08:00 to 17:00, and more rooms than they need.
    pub async fn of(database: Database, config: booking::Config, count: usize) -> Result<Self> {
        let product = ManualClockProduct::at(NOW, database, config).await?;
        let made = async |path: &str, body: Value| -> Result<String> {
            let answer = product.post(path, body).await?;
            anyhow::ensure!(answer.status == StatusCode::CREATED, "{path}: {}", answer.body);
            Ok(answer.text("/id"))
        };
        let location = made("/v1/locations", json!({"name": "Whyte", "time_zone": "America/Edmonton"})).await?;
        let mut practitioners = Vec::new();
        for number in 0..count {
            for room in ["a", "b"] {
                let room = json!({"name": format!("{number}{room}"), "type": "treatment-room"});
                made(&format!("/v1/locations/{location}/rooms"), room).await?;
            }
            let practitioner = json!({"given_name": "Grace", "family_name": format!("Sample {number}")});
            let practitioner = made("/v1/practitioners", practitioner).await?;
            let weekly: Vec<Value> =
                WEEKDAYS.iter().map(|day| json!({"day": day, "from": "08:00", "to": "17:00"})).collect();
            let roster = json!({"location_id": location, "effective_from": "2026-01-01", "weekly": weekly});
            made(&format!("/v1/practitioners/{practitioner}/rosters"), roster).await?;
            practitioners.push(practitioner);
        }
        let evaluation = json!({"code": "initial-evaluation", "name": "Evaluation", "duration_minutes": 45,
            "room_type": "treatment-room", "horizon_days": 365});
        let evaluation = made("/v1/services", evaluation).await?;
        let needling = json!({"code": "dry-needling", "name": "Needling", "duration_minutes": 30, "needling": true,
            "requires_prior": evaluation, "room_type": "treatment-room", "prep_minutes": 5, "cleanup_minutes": 5,
            "horizon_days": 365});
        let needling = made("/v1/services", needling).await?;
        let phase = |service: &str, count: (u32, u32), gap: (u32, u32, u32)| {
            json!({"service_id": service, "sessions": {"least": count.0, "most": count.1},
                "gap_days": {"least": gap.0, "ideal": gap.1, "most": gap.2}})
        };
        let phases = [phase(&evaluation, (1, 1), (0, 0, 0)), phase(&needling, (3, 8), (6, 7, 8))];
        let template = json!({"code": "chronic-needling", "name": "Chronic", "course": "chronic", "phases": phases});
        let template = made("/v1/plan_templates", template).await?;
        Ok(Self { product, location, practitioners, evaluation, template })
    }

    pub async fn patient(&self, number: usize) -> Result<String> {
        let made = self.product.post("/v1/patients", patient("Example", &format!("+1780555{number:04}"))).await?;
        Ok(made.text("/id"))
    }

    /// Books a plan of an evaluation and this many needling sessions, a week apart; returns its id.
    pub async fn booked_plan(&self, number: usize, sessions: u32) -> Result<String> {
        let body = json!({"patient_id": self.patient(number).await?, "plan_template_id": self.template,
            "condition_code": "low-back-pain", "sessions": sessions + 1, "location_ids": [self.location],
            "start_on": "2026-03-03"});
        let made = self.product.post("/v1/plans", body).await?;
        anyhow::ensure!(made.status == StatusCode::CREATED, "{}", made.body);
        let plan = made.text("/id");
        let best = self.product.post(&format!("/v1/plans/{plan}/proposals"), json!({"limit": 1})).await?;
        let booked = self.book(&plan, json!({"proposal_id": best.text("/data/0/id")})).await?;
        anyhow::ensure!(booked.status == StatusCode::OK, "{}", booked.body);
        Ok(plan)
    }

    pub async fn plan(&self, plan: &str) -> Result<Answer> {
        self.product.get(&format!("/v1/plans/{plan}")).await
    }

    pub async fn book(&self, plan: &str, body: Value) -> Result<Answer> {
        self.product.post(&format!("/v1/plans/{plan}/book"), body).await
    }

    pub async fn repairs(&self, plan: &str) -> Result<Answer> {
        self.product.post(&format!("/v1/plans/{plan}/repair"), json!({})).await
    }

    pub async fn appointment(&self, id: &str) -> Result<Answer> {
        self.product.get(&format!("/v1/appointments/{id}")).await
    }

    /// A transition of an appointment: `complete`, `no_show`, `cancel` and so on.
    pub async fn transition(&self, id: &str, transition: &str, body: Value) -> Result<Answer> {
        self.product.post(&format!("/v1/appointments/{id}/{transition}"), body).await
    }

    /// Completes an appointment that has started.
    pub async fn complete(&self, id: &str) -> Result<()> {
        for transition in ["arrive", "start", "complete"] {
            let done = self.transition(id, transition, json!({})).await?;
            anyhow::ensure!(done.status == StatusCode::OK, "{}", done.body);
        }
        Ok(())
    }

    /// Adds time off of a practitioner; returns the displaced appointments.
    pub async fn away(&self, practitioner: usize, from: &str, to: &str) -> Result<Vec<String>> {
        let path = format!("/v1/practitioners/{}/time_off", self.practitioners[practitioner]);
        let made = self.product.post(&path, json!({"starts_at": from, "ends_at": to, "reason": "sick"})).await?;
        anyhow::ensure!(made.status == StatusCode::CREATED, "{}", made.body);
        let displaced = made.body["displaced"].as_array().context("displaced")?;
        Ok(displaced.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

/// The appointment of a session, from 0.
pub fn appointment_of(plan: &Answer, session: usize) -> String {
    plan.text(&format!("/sessions/{session}/appointment_id"))
}

/// The local date of an instant in an answer.
pub fn date_of(starts_at: &str) -> Date {
    starts_at[..10].parse().unwrap()
}

/// The codes of the sessions that need attention, with each session's ordinal from 1.
pub fn attention(plan: &Answer) -> Vec<(u64, String)> {
    let sessions = plan.body["sessions"].as_array().unwrap();
    let ordinal = |id: &Value| sessions.iter().find(|it| it["id"] == *id).unwrap()["ordinal"].as_u64().unwrap();
    let found = plan.body["attention"].as_array().unwrap().iter();
    found.map(|it| (ordinal(&it["plan_session_id"]), it["code"].as_str().unwrap().to_owned())).collect()
}
