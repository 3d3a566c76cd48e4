//! The undo of the desk: the last transition of a visit is taken back, with its plan, its messages, the feed and the log.

use anyhow::{Context, Result};
use booking::Config;
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, patient};
use serde_json::{Value, json};
use testkit::{database::Database, poll};
use wire::booking::{RevertAppointmentRequest, booking_client::BookingClient};

use super::fixture::{Fixture, appointment_of};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

testkit::engines!(
    each_transition_is_as_if_it_had_not_been,
    only_staff_revert_and_after_a_day_only_an_administrator,
    a_plan_that_has_changed_since_is_not_contradicted,
    a_time_that_is_taken_is_refused_with_alternatives,
    the_log_the_events_and_the_messages_say_it,
);

async fn each_transition_is_as_if_it_had_not_been(database: Database) {
    each(database).await.unwrap();
}

async fn only_staff_revert_and_after_a_day_only_an_administrator(database: Database) {
    callers(database).await.unwrap();
}

async fn a_plan_that_has_changed_since_is_not_contradicted(database: Database) {
    contradictions(database).await.unwrap();
}

async fn a_time_that_is_taken_is_refused_with_alternatives(database: Database) {
    taken(database).await.unwrap();
}

async fn the_log_the_events_and_the_messages_say_it(database: Database) {
    said(database).await.unwrap();
}

impl Fixture {
    async fn revert(&self, id: &str) -> Result<Answer> {
        self.transition(id, "revert", json!({})).await
    }

    /// A plan with its ledger's balance and an appointment, without what rises with each write.
    async fn state(&self, plan: &str, visit: &str) -> Result<Value> {
        let (mut plan, ledger) =
            (self.plan(plan).await?.body, self.product.get(&format!("/v1/plans/{plan}/ledger")).await?.body);
        let mut visit = self.appointment(visit).await?.body;
        for value in [&mut plan, &mut visit] {
            let fields = value.as_object_mut().context("an object")?;
            ["version", "updated_at"].iter().for_each(|name| drop(fields.remove(*name)));
        }
        Ok(json!({"plan": plan, "balance": ledger["balance"], "visit": visit}))
    }

    /// Moves the clock to so many hours before an appointment's start.
    async fn before(&self, id: &str, hours: i64) -> Result<()> {
        let starts_at: jiff::Timestamp = self.appointment(id).await?.text("/starts_at").parse()?;
        let clock = &self.product.clock;
        clock.advance(starts_at.duration_since(clock.now()) - SignedDuration::from_hours(hours));
        Ok(())
    }
}

async fn each(database: Database) -> Result<()> {
    let config = Config { late_cancellation_forfeits: true, ..Config::default() };
    let fixture = Fixture::of(database, config, 1).await?;
    let plan = fixture.booked_plan(1, 3).await?;
    let first = appointment_of(&fixture.plan(&plan).await?, 1);
    let ill = json!({"reason_code": "patient_ill", "reason": "fever"});
    // In time, then too late, then on the spot.
    for (hours, history) in [
        (30, &["cancel"][..]),
        (4, &["confirm", "cancel"]),
        (0, &["no_show"]),
        (0, &["arrive", "cancel"]),
        (0, &["start", "complete"]),
        (0, &["arrive", "start", "complete"]),
    ] {
        fixture.before(&first, hours).await?;
        let mut past = vec![];
        for step in history {
            past.push((*step, fixture.state(&plan, &first).await?));
            let body = if *step == "cancel" { ill.clone() } else { json!({}) };
            let done = fixture.transition(&first, step, body).await?;
            assert_eq!(done.status, StatusCode::OK, "{step}: {}", done.body);
        }
        while let Some((step, before)) = past.pop() {
            assert_ne!(fixture.state(&plan, &first).await?, before, "{step}");
            let back = fixture.revert(&first).await?;
            assert_eq!((back.status, back.text("/reverted").as_str()), (StatusCode::OK, step), "{}", back.body);
            assert_eq!(fixture.state(&plan, &first).await?, before, "{step} of {history:?}");
        }
    }
    let nothing = fixture.revert(&first).await?;
    assert_eq!((nothing.status, nothing.text("/code").as_str()), (StatusCode::CONFLICT, "invalid_transition"));
    assert_eq!(nothing.body["allowed"][0], "confirm", "{}", nothing.body);
    // The ledger keeps what was done and undone.
    let ledger = fixture.product.get(&format!("/v1/plans/{plan}/ledger")).await?;
    let kinds: Vec<_> = ledger.body["data"].as_array().into_iter().flatten().map(|it| it["entry"].clone()).collect();
    for kind in ["given_back", "withdrawn", "released", "forfeited", "done"] {
        assert!(kinds.contains(&json!(kind)), "{kind}: {kinds:?}");
    }
    Ok(())
}

async fn callers(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 1).await?;
    let plan = fixture.booked_plan(1, 3).await?;
    let first = appointment_of(&fixture.plan(&plan).await?, 0);
    fixture.transition(&first, "cancel", json!({"reason_code": "patient_ill"})).await?;
    let key = async |body: Value| -> Result<String> { Ok(fixture.product.post("/v1/keys", body).await?.text("/key")) };
    let front = key(json!({"name": "web", "scopes": ["slots:read", "bookings:write"]})).await?;
    let desk = key(json!({"name": "desk", "role": "reception"})).await?;
    let path = format!("/v1/appointments/{first}/revert");
    let send = async |path: &str, key: &str, headers: &[(&str, &str)]| {
        fixture.product.rest.send(Method::POST, path, key, headers, Some(json!({}))).await
    };
    assert_eq!(send(&path, &front, &[]).await?.status, StatusCode::FORBIDDEN);
    let shown = fixture.appointment(&first).await?;
    let link = shown.text("/links/manage").trim_start_matches("https://scenarios.example").to_owned();
    let by_link = send(&format!("{link}/revert"), "", &[]).await?;
    assert_eq!(by_link.status, StatusCode::NOT_FOUND, "a link has no such path: {}", by_link.body);
    let odd = fixture.product.rest.send(Method::POST, &path, &desk, &[], Some(json!({"to": "booked"}))).await?;
    assert_eq!((odd.status, odd.text("/errors/0/pointer").as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "/to"));

    let stale = send(&path, &desk, &[("if-match", "\"1\"")]).await?;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.body);
    let etag = shown.headers["etag"].to_str()?.to_owned();
    let headers = [("if-match", etag.as_str()), ("idempotency-key", "undo-1")];
    let (back, again) = (send(&path, &desk, &headers).await?, send(&path, &desk, &headers).await?);
    assert_eq!((back.status, back.text("/status").as_str()), (StatusCode::OK, "booked"), "{}", back.body);
    assert_eq!((&again.body, again.headers["idempotency-replayed"].to_str()?), (&back.body, "true"));

    fixture.transition(&first, "cancel", json!({"reason_code": "patient_ill"})).await?;
    fixture.product.clock.advance(SignedDuration::from_hours(24) + SignedDuration::from_secs(1));
    let old = send(&path, &desk, &[]).await?;
    assert_eq!((old.status, old.text("/code").as_str()), (StatusCode::FORBIDDEN, "forbidden"));
    assert!(old.text("/detail").contains("admin"), "{}", old.body);
    // Nor does a client of gRPC say of itself that any age will do.
    let channel = tonic::transport::Endpoint::new(fixture.product.rest.url.clone())?.connect().await?;
    let mut request = tonic::Request::new(RevertAppointmentRequest { id: first.clone(), if_version: 0, any_age: true });
    request.metadata_mut().insert("authorization", format!("Bearer {desk}").parse()?);
    let refused = BookingClient::new(channel).revert_appointment(request).await;
    assert_eq!(refused.map(drop).map_err(|status| status.code()), Err(tonic::Code::PermissionDenied));
    let back = send(&path, ADMIN, &[]).await?;
    assert_eq!((back.status, back.text("/status").as_str()), (StatusCode::OK, "booked"), "{}", back.body);
    Ok(())
}

/// Cancels an appointment and answers a slot id at which its session can be booked again.
async fn freed(fixture: &Fixture, id: &str) -> Result<String> {
    let visit = fixture.appointment(id).await?;
    let done = fixture.transition(id, "cancel", json!({"reason_code": "provider_unavailable"})).await?;
    anyhow::ensure!(done.status == StatusCode::OK, "{}", done.body);
    Ok(visit.text("/slot_id"))
}

async fn contradictions(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 1).await?;
    let plan = fixture.booked_plan(1, 3).await?;
    let sessions = fixture.plan(&plan).await?;
    let [first, second, last] = [0, 1, 3].map(|at| appointment_of(&sessions, at));
    let conflict = async |id: &str, says: &str| -> Result<()> {
        let before = fixture.plan(&plan).await?.body;
        let refused = fixture.revert(id).await?;
        assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "plan_conflict"));
        assert!(refused.text("/detail").contains(says), "{says}: {}", refused.body);
        assert_eq!(fixture.plan(&plan).await?.body, before);
        Ok(())
    };
    // The session has another appointment by now, at another time.
    let slot = freed(&fixture, &last).await?;
    let visit = fixture.appointment(&last).await?;
    let from = visit.text("/starts_at").parse::<jiff::Timestamp>()? + SignedDuration::from_hours(1);
    let path = format!(
        "/v1/slots?service_id={}&from={from}&limit=1&to={}",
        visit.text("/service_id"),
        from + SignedDuration::from_hours(24)
    );
    let other = fixture.product.get(&path).await?.text("/data/0/slot_id");
    assert_ne!(other, slot);
    let body = json!({"sessions": [{"plan_session_id": visit.text("/plan_session_id"), "slot_id": other}]});
    let booked = fixture.book(&plan, body).await?;
    assert_eq!(booked.status, StatusCode::OK, "{}", booked.body);
    conflict(&last, "another appointment").await?;

    // The session that was given back for a missed one is booked.
    fixture.before(&first, 0).await?;
    fixture.complete(&first).await?;
    fixture.before(&second, 0).await?;
    fixture.transition(&second, "no_show", json!({})).await?;
    let repairs = fixture.repairs(&plan).await?;
    let booked = fixture.book(&plan, json!({"proposal_id": repairs.text("/data/0/id")})).await?;
    assert_eq!(booked.status, StatusCode::OK, "{}", booked.body);
    conflict(&second, "given back").await?;

    // A review has dropped it.
    let third = appointment_of(&sessions, 2);
    freed(&fixture, &third).await?;
    let review = json!({"nprs": 0, "psfs": [{"activity": "walk", "score": 10}], "decision": "discharge"});
    assert_eq!(fixture.product.post(&format!("/v1/plans/{plan}/reviews"), review).await?.status, StatusCode::CREATED);
    conflict(&third, "dropped").await?;
    // What stands beside the plan is taken back all the same: the evaluation was completed more than a day ago.
    let back = fixture.revert(&first).await?;
    assert_eq!((back.status, back.text("/status").as_str()), (StatusCode::OK, "checked-in"), "{}", back.body);
    Ok(())
}

async fn taken(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 1).await?;
    let plan = fixture.booked_plan(1, 3).await?;
    let first = appointment_of(&fixture.plan(&plan).await?, 0);
    let slot = freed(&fixture, &first).await?;
    let body = json!({"slot_id": slot, "patient": patient("Other", "+17805550777")});
    let other = fixture.product.post("/v1/appointments", body).await?;
    assert_eq!(other.status, StatusCode::CREATED, "{}", other.body);
    let before = fixture.state(&plan, &first).await?;
    let refused = fixture.revert(&first).await?;
    assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "slot_taken"));
    assert_eq!(refused.body["alternatives"].as_array().map(Vec::len), Some(3), "{}", refused.body);
    assert_eq!(fixture.state(&plan, &first).await?, before);
    freed(&fixture, &other.text("/id")).await?;
    assert_eq!(fixture.revert(&first).await?.status, StatusCode::OK);
    // Its time is no longer offered.
    let visit = fixture.appointment(&first).await?;
    let (from, to) = (visit.text("/starts_at"), visit.text("/ends_at"));
    let path = format!("/v1/slots?service_id={}&from={}&to={}", fixture.evaluation, zulu(&from)?, zulu(&to)?);
    assert_eq!(fixture.product.get(&path).await?.body["data"], json!([]));
    Ok(())
}

fn zulu(text: &str) -> Result<String> {
    Ok(text.parse::<jiff::Timestamp>()?.to_string())
}

async fn said(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 1).await?;
    let plan = fixture.booked_plan(1, 3).await?;
    let first = appointment_of(&fixture.plan(&plan).await?, 0);
    let messages = async |trigger: &str, status: &str, count: usize| {
        poll::until(&format!("{count} {trigger} to be {status}"), WITHIN, || async {
            let list = fixture.product.get(&format!("/v1/messages?appointment_id={first}&limit=200")).await.ok()?;
            let all = list.body["data"].as_array()?.iter();
            let found = all.filter(|it| it["trigger"] == trigger && it["status"] == status).count();
            (found == count).then_some(())
        })
        .await;
    };
    messages("booked", "delivered", 2).await;
    let mut events = fixture.product.rest.events("/v1/events").await?;
    fixture.transition(&first, "cancel", json!({"reason_code": "patient_ill"})).await?;
    messages("cancelled", "delivered", 2).await;
    let back = fixture.revert(&first).await?;
    assert_eq!(back.status, StatusCode::OK, "{}", back.body);
    let event = loop {
        let (name, data) = events.next().await?;
        if name == "appointment.reverted" {
            break data;
        }
    };
    assert_eq!(event["data"]["status"], "booked", "{event}");
    assert!(event["data"].get("cancellation").is_none());
    // The patient was told of the cancellation, so a message says that the visit stands.
    messages("booked", "scheduled", 2).await;
    fixture.product.clock.advance(SignedDuration::from_mins(3));
    messages("booked", "delivered", 4).await;

    let line = poll::until("the line of the log", WITHIN, || async {
        let log = fixture.product.get("/v1/audit?action=revert_appointment").await.ok()?;
        log.body["data"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(
        (&line["caller"], &line["target"], &line["filter"]),
        (&json!("admin"), &json!(first), &json!("transition=cancel")),
        "{line}"
    );
    Ok(())
}
