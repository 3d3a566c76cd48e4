//! Care plans, in both arrangements: a series of sessions is proposed and booked as one.

use anyhow::{Context, Result};
use reqwest::StatusCode;
use scenarios::{Answer, Clinic, Product, patient};
use serde_json::{Value, json};

/// A clinic with an evaluation, needling after it, and a template of both.
struct Practice {
    clinic: Clinic,
    template: String,
    revision: String,
}

async fn practice(product: &Product) -> Result<Practice> {
    let evaluation = json!({"code": "initial-evaluation", "name": "Evaluation", "duration_minutes": 45,
        "room_type": "treatment-room"});
    let clinic = product.clinic("America/Edmonton", evaluation).await?;
    let needling = json!({"code": "dry-needling", "name": "Needling", "duration_minutes": 30, "needling": true,
        "requires_prior": clinic.service, "room_type": "treatment-room", "prep_minutes": 5, "cleanup_minutes": 5});
    let needling = product.post("/v1/services", needling).await?.text("/id");
    let phase = |service: &str, least: u32, most: u32, gap: (u32, u32, u32)| {
        json!({"service_id": service, "sessions": {"least": least, "most": most},
            "gap_days": {"least": gap.0, "ideal": gap.1, "most": gap.2}})
    };
    let template = json!({"code": "acute-needling", "name": "Acute", "course": "acute",
        "phases": [phase(&clinic.service, 1, 1, (0, 0, 0)), phase(&needling, 1, 3, (3, 5, 7))]});
    let made = product.post("/v1/plan_templates", template).await?;
    Ok(Practice { clinic, template: made.text("/id"), revision: made.revision() })
}

impl Practice {
    async fn plan(&self, product: &Product, phone: &str, preferences: Value) -> Result<Answer> {
        let patient = product.post("/v1/patients", patient("Example", phone)).await?.text("/id");
        let body = json!({"patient_id": patient, "plan_template_id": self.template, "condition_code": "neck-pain",
            "sessions": 4, "location_ids": [self.clinic.location], "preferences": preferences, "start_on": "2026-01-05"});
        product.post("/v1/plans", body).await
    }
}

/// The proposals of a plan, at least as fresh as the revision.
async fn proposals(product: &Product, plan: &str, revision: &str) -> Result<Answer> {
    let headers = [("meridian-revision", revision)];
    let path = format!("/v1/plans/{plan}/proposals");
    product.send(reqwest::Method::POST, &path, scenarios::ADMIN, &headers, Some(json!({}))).await
}

/// The dates of a proposal's sessions, in the clinic's own calendar.
fn dates(proposal: &Value) -> Result<Vec<jiff::civil::Date>> {
    let sessions = proposal["sessions"].as_array().context("sessions")?;
    let date = |session: &Value| Ok(session["starts_at"].as_str().context("a start")?[..10].parse()?);
    sessions.iter().map(date).collect()
}

/// The four visits of a plan say which session of it they are.
async fn each_visit_names_its_part(product: &Product, plan: &str) -> Result<()> {
    let visits = product.get(&format!("/v1/appointments?plan_id={plan}&include=plan")).await?;
    let parts: Vec<_> = visits.body["data"].as_array().into_iter().flatten().map(|visit| &visit["plan"]).collect();
    assert_eq!(parts.len(), 4, "{}", visits.body);
    for (at, part) in parts.iter().enumerate() {
        assert_eq!((&part["id"], &part["ordinal"], &part["of"]), (&json!(plan), &json!(at + 1), &json!(4)));
        assert_eq!(part["condition_code"], "neck-pain");
    }
    Ok(())
}

#[tokio::test]
async fn a_plan_is_proposed_booked_whole_and_follows_its_visits() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let practice = practice(&product).await?;
        let made =
            practice.plan(&product, "+17805550101", json!({"not_before": "09:00", "not_after": "12:00"})).await?;
        assert_eq!((made.status, made.text("/status").as_str()), (StatusCode::CREATED, "draft"), "{}", made.body);
        let path = format!("/v1/plans/{}", made.text("/id"));
        let answer = proposals(&product, &made.text("/id"), &practice.revision).await?;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let all = answer.body["data"].as_array().context("data")?;
        assert_eq!(all.len(), 3);
        for proposal in all {
            let dates = dates(proposal)?;
            let gaps: Vec<i32> = dates.windows(2).map(|pair| (pair[1] - pair[0]).get_days()).collect();
            assert!(gaps.iter().all(|days| (3..=7).contains(days)), "{gaps:?}");
            let inside = proposal["sessions"].as_array().into_iter().flatten().all(|session| {
                let (start, end) = (&session["starts_at"], &session["ends_at"]);
                let hour = |text: &Value| text.as_str().map(|text| text[11..16].to_owned()).unwrap_or_default();
                hour(start).as_str() >= "09:00" && hour(end).as_str() <= "12:00"
            });
            assert!(inside, "in the wished hours: {proposal}");
        }
        let costs: Vec<u64> = all.iter().filter_map(|proposal| proposal["cost"].as_u64()).collect();
        assert!(costs.is_sorted(), "best first: {costs:?}");

        let booking = json!({"proposal_id": all[0]["id"]});
        let booked = product.post(&format!("{path}/book"), booking.clone()).await?;
        assert_eq!((booked.status, booked.text("/status").as_str()), (StatusCode::OK, "active"), "{}", booked.body);
        assert_eq!(booked.body["adherence"], json!({"planned": 4, "booked": 4, "done": 0, "missed": 0}));
        let again = product.post(&format!("{path}/book"), booking).await?;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "each session once: {}", again.body);
        let visits = product.get(&format!("/v1/appointments?patient_id={}", made.text("/patient_id"))).await?;
        let visits = visits.body["data"].as_array().context("data")?.clone();
        assert_eq!(visits.len(), 4);
        assert!(visits.iter().all(|visit| visit["plan_session_id"].is_string() && visit["status"] == "booked"));
        each_visit_names_its_part(&product, &made.text("/id")).await?;

        // A review is recorded and changes the open sessions in the same transaction.
        let found = json!({"nprs": 2, "psfs": [{"activity": "look over the shoulder", "score": 7}]});
        let decide = async |more: Value| -> Result<Answer> {
            let mut body = found.clone();
            for (name, value) in more.as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
            product.post(&format!("{path}/reviews"), body).await
        };
        let longer = decide(json!({"decision": "extend", "sessions": 2})).await?;
        assert_eq!((longer.status, longer.body["sessions"].as_array().map(Vec::len)), (StatusCode::CREATED, Some(6)));
        let paused = decide(json!({"decision": "pause"})).await?;
        assert_eq!(paused.text("/status"), "on-hold", "{}", paused.body);
        let list = format!("/v1/appointments?patient_id={}", made.text("/patient_id"));
        let cancelled = product.get(&format!("{list}&status=cancelled")).await?;
        assert_eq!(cancelled.body["data"].as_array().map(Vec::len), Some(4), "future appointments are cancelled");
        assert_eq!(cancelled.text("/data/0/cancellation/reason_code"), "plan_review");
        let held_back = proposals(&product, &made.text("/id"), &paused.revision()).await?;
        assert_eq!(held_back.text("/code"), "invalid_transition");
        let on = decide(json!({"decision": "continue"})).await?;
        assert_eq!((on.text("/status").as_str(), on.body["reviews"].as_array().map(Vec::len)), ("draft", Some(3)));
        let wrong = decide(json!({"decision": "extend", "nprs": 11})).await?;
        assert_eq!(wrong.body["errors"].as_array().map(Vec::len), Some(1), "{}", wrong.body);

        // The whole plan is proposed and booked again. A cancelled appointment reopens its session.
        let again = proposals(&product, &made.text("/id"), &on.revision()).await?;
        let booked = product.post(&format!("{path}/book"), json!({"proposal_id": again.text("/data/0/id")})).await?;
        assert_eq!(booked.body["adherence"]["booked"], 6, "{}", booked.body);
        let visits = product.get(&format!("{list}&status=booked")).await?;
        let visits = visits.body["data"].as_array().context("data")?.clone();
        let last = visits[5]["id"].as_str().context("an id")?;
        product.post(&format!("/v1/appointments/{last}/cancel"), json!({"reason_code": "patient_ill"})).await?;
        let after = product.get(&path).await?;
        assert_eq!(after.text("/sessions/5/status"), "to_book");
        assert_eq!(after.body["sessions"][5]["appointment_id"], Value::Null);
        let rest = proposals(&product, &made.text("/id"), &booked.revision()).await?;
        assert_eq!(rest.body["data"][0]["sessions"].as_array().map(Vec::len), Some(1), "{}", rest.body);
    }
    Ok(())
}

#[tokio::test]
async fn the_weights_of_a_series_are_configuration() -> Result<()> {
    let names = ["gap_day", "practitioner", "location", "hour", "day", "late_day", "demand"];
    let free: Vec<String> = names.iter().map(|name| format!("availability.plan_weights.{name}=0")).collect();
    let free: Vec<&str> = free.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    for (product, costs_anything) in [(Product::embedded(&[]).await?, true), (Product::embedded(&free).await?, false)] {
        let practice = practice(&product).await?;
        // Sessions are a week apart where five days are ideal.
        let made = practice.plan(&product, "+17805550104", json!({"days": ["we"]})).await?;
        let answer = proposals(&product, &made.text("/id"), &practice.revision).await?;
        let costs = answer.body["data"].as_array().context("data")?.iter().map(|proposal| proposal["cost"].as_u64());
        let costs: Vec<u64> = costs.collect::<Option<_>>().context("each has a cost")?;
        assert_eq!((costs.len(), costs.iter().any(|cost| *cost > 0)), (3, costs_anything), "{costs:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_series_that_lost_a_slot_is_refused_with_a_fresh_proposal() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let practice = practice(&product).await?;
        let made = practice.plan(&product, "+17805550102", json!({})).await?;
        let path = format!("/v1/plans/{}", made.text("/id"));
        let answer = proposals(&product, &made.text("/id"), &practice.revision).await?;
        let lost = answer.text("/data/0/sessions/0/slot_id");
        let other = json!({"slot_id": lost, "patient": patient("Other", "+17805550103")});
        assert_eq!(product.post("/v1/appointments", other).await?.status, StatusCode::CREATED);

        let refused = product.post(&format!("{path}/book"), json!({"proposal_id": answer.text("/data/0/id")})).await?;
        assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "series_conflict"));
        assert_eq!(refused.body["slot_ids"], json!([lost]), "{}", refused.body);
        let list = product.get(&format!("/v1/appointments?patient_id={}", made.text("/patient_id"))).await?;
        assert_eq!(list.body["data"], json!([]), "all or none");
        assert_eq!(product.get(&path).await?.text("/status"), "draft");

        // A hold keeps a whole series while the patient decides.
        let fresh = refused.body["proposal"].clone();
        let slot = |it: &Value| it["slot_id"].clone();
        let slots: Vec<Value> = fresh["sessions"].as_array().into_iter().flatten().map(slot).collect();
        let hold = product.post("/v1/holds", json!({"slot_ids": slots})).await?;
        assert_eq!(hold.status, StatusCode::CREATED, "{}", hold.body);
        let meanwhile = json!({"slot_id": slots[0], "patient": patient("Other", "+17805550105")});
        assert_eq!(product.post("/v1/appointments", meanwhile).await?.status, StatusCode::CONFLICT);
        assert_eq!(fresh["sessions"].as_array().map(Vec::len), Some(4), "{}", refused.body);
        let sessions: Vec<Value> = fresh["sessions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| json!({"plan_session_id": it["plan_session_id"], "slot_id": it["slot_id"]}))
            .collect();
        let booked =
            product.post(&format!("{path}/book"), json!({"sessions": sessions, "hold_id": hold.text("/id")})).await?;
        assert_eq!(booked.status, StatusCode::OK, "{}", booked.body);
    }
    Ok(())
}

#[tokio::test]
async fn an_impossible_series_names_the_wish_to_relax() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let practice = practice(&product).await?;
    let made = practice.plan(&product, "+17805550104", json!({"not_before": "19:00", "not_after": "21:00"})).await?;
    let none = proposals(&product, &made.text("/id"), &practice.revision).await?;
    assert_eq!((none.status, none.text("/code").as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "no_series"));
    assert_eq!(
        (&none.body["session"], none.text("/relaxation").as_str()),
        (&json!(1), "take hours outside the wished ones")
    );

    let short = json!({"patient_id": made.text("/patient_id"), "plan_template_id": practice.template,
        "condition_code": "neck-pain", "sessions": 9, "location_ids": [practice.clinic.location], "start_on": "2026-01-05"});
    let refused = product.post("/v1/plans", short).await?;
    assert_eq!(refused.text("/errors/0/detail"), "the template allows 2 to 4 sessions");
    Ok(())
}

#[tokio::test]
async fn of_two_overlapping_series_exactly_one_is_booked() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let practice = practice(&product).await?;
        let mut revision = practice.revision.clone();
        for round in 0..4 {
            let (one, other) = (format!("+1780555020{round}"), format!("+1780555021{round}"));
            let (one, other) =
                (practice.plan(&product, &one, json!({})).await?, practice.plan(&product, &other, json!({})).await?);
            let best = async |plan: &Answer| -> Result<(String, Value)> {
                let answer = proposals(&product, &plan.text("/id"), &revision).await?;
                let booking = json!({"proposal_id": answer.text("/data/0/id")});
                Ok((format!("/v1/plans/{}/book", plan.text("/id")), booking))
            };
            let ((path, booking), (other_path, other_booking)) = (best(&one).await?, best(&other).await?);
            let (first, second) = tokio::join!(product.post(&path, booking), product.post(&other_path, other_booking));
            let (first, second) = (first?, second?);
            let mut statuses = [first.status.as_u16(), second.status.as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409], "{} {}", first.body, second.body);
            for (answer, plan) in [(&first, &one), (&second, &other)] {
                let list = product.get(&format!("/v1/appointments?patient_id={}", plan.text("/patient_id"))).await?;
                let visits = list.body["data"].as_array().map(Vec::len);
                assert_eq!(visits, Some(if answer.status == StatusCode::OK { 4 } else { 0 }), "all or none");
            }
            revision = if first.status == StatusCode::OK { first.revision() } else { second.revision() };
        }
    }
    Ok(())
}

/// The evaluation became longer after the proposal: no session is booked at another length than the proposal's.
#[tokio::test]
async fn a_proposal_of_a_changed_service_is_answered_with_a_fresh_one() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let practice = practice(&product).await?;
        let made = practice.plan(&product, "+17805550101", json!({})).await?;
        let found = proposals(&product, &made.text("/id"), &practice.revision).await?;
        let first = found.body["data"][0].clone();
        let service = format!("/v1/services/{}", practice.clinic.service);
        let longer = json!({"duration_minutes": 75});
        let longer = product.send(reqwest::Method::PATCH, &service, scenarios::ADMIN, &[], Some(longer)).await?;
        assert_eq!(longer.status, StatusCode::OK, "{}", longer.body);
        let path = format!("/v1/plans/{}/book", made.text("/id"));
        let refused = product.post(&path, json!({"proposal_id": first["id"]})).await?;
        assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "slot_changed"));
        assert_eq!(refused.body["slot_ids"], json!([first["sessions"][0]["slot_id"]]), "the evaluation alone");
        let fresh = product.post(&path, json!({"proposal_id": refused.body["proposal"]["id"]})).await?;
        assert_eq!(fresh.status, StatusCode::OK, "{}", fresh.body);
        let visits = product.get(&format!("/v1/appointments?patient_id={}", made.text("/patient_id"))).await?;
        let visits = visits.body["data"].as_array().context("data")?.clone();
        assert_eq!(visits.len(), 4);
        let [from, to] = ["starts_at", "ends_at"].map(|end| visits[0][end].as_str().unwrap_or_default().parse());
        let (from, to): (jiff::Timestamp, jiff::Timestamp) = (from?, to?);
        assert_eq!(to.duration_since(from), jiff::SignedDuration::from_mins(75));
    }
    Ok(())
}
