//! One appointment through the public interface as time passes: the patient's link, staff, and the plan.

use anyhow::{Context, Result};
use booking::Config;
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use scenarios::{Answer, patient};
use serde_json::{Value, json};
use testkit::{database::Database, poll};

use super::fixture::{Fixture, appointment_of};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

testkit::engines!(
    a_link_is_read_only_once_the_appointment_has_started,
    rescheduling_first_does_not_evade_the_late_window,
    notes_and_reasons_are_for_staff_alone,
    reason_codes_are_an_organisations_own,
    a_change_of_practitioner_is_announced,
);

async fn a_link_is_read_only_once_the_appointment_has_started(database: Database) {
    begun(database).await.unwrap();
}

async fn rescheduling_first_does_not_evade_the_late_window(database: Database) {
    dodged(database).await.unwrap();
}

async fn notes_and_reasons_are_for_staff_alone(database: Database) {
    notes(database).await.unwrap();
}

async fn reason_codes_are_an_organisations_own(database: Database) {
    reasons(database).await.unwrap();
}

async fn a_change_of_practitioner_is_announced(database: Database) {
    another(database).await.unwrap();
}

/// The open slots of a service with one practitioner between two instants.
async fn slots(fixture: &Fixture, service: &str, practitioner: usize, (from, to): (&str, &str)) -> Result<Vec<Value>> {
    let practitioner = &fixture.practitioners[practitioner];
    let path = format!("/v1/slots?service_id={service}&practitioner_id={practitioner}&from={from}&to={to}&limit=200");
    Ok(fixture.product.get(&path).await?.body["data"].as_array().context("slots")?.clone())
}

/// Books an evaluation with the first practitioner at an hour of 10 March.
async fn booked(fixture: &Fixture, start: &str, note: &str) -> Result<Answer> {
    let day = ("2026-03-10T00:00:00-06:00", "2026-03-11T00:00:00-06:00");
    let open = slots(fixture, &fixture.evaluation, 0, day).await?;
    let slot = open.iter().find(|slot| slot["starts_at"] == start).context("the slot")?;
    let body = json!({"slot_id": slot["slot_id"], "patient": patient("Example", "+17805550188"), "note": note});
    let made = fixture.product.post("/v1/appointments", body).await?;
    anyhow::ensure!(made.status == StatusCode::CREATED, "{}", made.body);
    Ok(made)
}

/// The path of an appointment's own link.
fn link(appointment: &Answer) -> String {
    appointment.text("/links/manage").trim_start_matches("https://scenarios.example").to_owned()
}

/// A patient's request through their link, without a key.
async fn by_link(fixture: &Fixture, link: &str, verb: &str, body: Value) -> Result<Answer> {
    fixture.product.rest.send(Method::POST, &format!("{link}/{verb}"), "", &[], Some(body)).await
}

fn refused(answer: &Answer) -> (u16, String, Value) {
    (answer.status.as_u16(), answer.text("/code"), answer.body["allowed"].clone())
}

async fn begun(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 1).await?;
    let start = "2026-03-10T09:00:00-06:00";
    let visit = booked(&fixture, start, "").await?;
    let (id, link) = (visit.text("/id"), link(&visit));
    let after = ("2026-03-12T00:00:00-06:00", "2026-03-13T00:00:00-06:00");
    let later = json!({"slot_id": slots(&fixture, &fixture.evaluation, 0, after).await?[0]["slot_id"]});

    // The evening before, no transition of the visit itself is allowed.
    fixture.product.advance_to("2026-03-10T05:59:59Z")?;
    for step in ["arrive", "start", "complete", "no_show"] {
        let early = fixture.transition(&id, step, json!({})).await?;
        let may = json!(["confirm", "cancel", "reschedule"]);
        assert_eq!(refused(&early), (409, "invalid_transition".into(), may), "{step}: {}", early.body);
    }
    fixture.product.advance_to(start)?;
    let why = json!({"reason_code": "patient_ill"});
    for (verb, body) in [("confirm", json!({})), ("cancel", why), ("reschedule", later)] {
        let late = by_link(&fixture, &link, verb, body).await?;
        assert_eq!(refused(&late), (409, "invalid_transition".into(), json!([])), "{verb}: {}", late.body);
    }
    let seen = fixture.product.rest.send(Method::GET, &link, "", &[], None).await?;
    assert_eq!((seen.status, seen.text("/status")), (StatusCode::OK, "booked".into()));
    let missed = fixture.transition(&id, "no_show", json!({})).await?;
    assert_eq!((missed.status, missed.text("/status")), (StatusCode::OK, "noshow".into()), "{}", missed.body);
    Ok(())
}

async fn dodged(database: Database) -> Result<()> {
    let config = Config { late_cancellation_forfeits: true, ..Config::default() };
    let fixture = Fixture::of(database, config, 2).await?;
    let plan = fixture.booked_plan(1, 3).await?;
    let sessions = fixture.plan(&plan).await?;
    let first = appointment_of(&sessions, 0);
    fixture.product.advance_to(&fixture.appointment(&first).await?.text("/starts_at"))?;
    fixture.complete(&first).await?;

    // Four hours before its start, each appointment is moved to a later slot and then cancelled.
    for (session, by_patient) in [(1, true), (2, false)] {
        let visit = fixture.appointment(&appointment_of(&sessions, session)).await?;
        let start: jiff::Timestamp = visit.text("/starts_at").parse()?;
        fixture
            .product
            .clock
            .advance(start.duration_since(fixture.product.clock.now()) - SignedDuration::from_hours(4));
        let days = |days: i64| (start + SignedDuration::from_hours(24 * days)).to_string();
        let service = visit.text("/service_id");
        let open = slots(&fixture, &service, session % 2, (&days(30), &days(44))).await?;
        let body = json!({"slot_id": open.get(10).context("an open slot")?["slot_id"]});
        let moved = match by_patient {
            true => by_link(&fixture, &link(&visit), "reschedule", body).await?,
            false => fixture.transition(&visit.text("/id"), "reschedule", body).await?,
        };
        assert_eq!(moved.status, StatusCode::OK, "{}", moved.body);
        assert_eq!(moved.body["rescheduled_late"], json!(by_patient), "{}", moved.body);
        let off = by_link(&fixture, &link(&visit), "cancel", json!({"reason_code": "practitioner_ill"})).await?;
        let expected = json!({"reason_code": "practitioner_ill", "by": "patient", "late": by_patient});
        assert_eq!((off.status, &off.body["cancellation"]), (StatusCode::OK, &expected), "{}", off.body);
    }
    let after = fixture.plan(&plan).await?;
    let stands = |session: usize| {
        (after.body["sessions"][session]["status"].clone(), after.body["sessions"][session]["forfeited"].clone())
    };
    assert_eq!(stands(1), (json!("missed"), json!(true)), "{}", after.body);
    assert_eq!(stands(2).0, json!("to_book"));
    let ledger = fixture.product.get(&format!("/v1/plans/{plan}/ledger")).await?;
    assert_eq!((&ledger.body["balance"]["forfeited"], &ledger.body["balance"]["to_book"]), (&json!(1), &json!(1)));
    Ok(())
}

async fn notes(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 1).await?;
    let scopes = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
    let front = fixture.product.post("/v1/keys", scopes).await?.text("/key");
    let day = ("2026-03-10T00:00:00-06:00", "2026-03-11T00:00:00-06:00");
    let slot = slots(&fixture, &fixture.evaluation, 0, day).await?[0]["slot_id"].clone();
    let body = json!({"slot_id": slot, "patient": patient("Example", "+17805550188"), "note": "Canary note"});
    let by_front = fixture.product.rest.send(Method::POST, "/v1/appointments", &front, &[], Some(body)).await?;
    assert_eq!((by_front.status, by_front.body.get("note")), (StatusCode::CREATED, None), "{}", by_front.body);
    let path = format!("/v1/appointments/{}", by_front.text("/id"));
    assert_eq!(fixture.product.get(&path).await?.text("/note"), "Canary note");
    let list = fixture.product.get("/v1/appointments").await?;
    assert_eq!(list.text("/data/0/note"), "Canary note");

    let patch = async |if_match: &str, body: Value| {
        fixture.product.send(Method::PATCH, &path, &[("if-match", if_match)], Some(body)).await
    };
    let changed = patch("\"1\"", json!({"note": "Canary left knee"})).await?;
    assert_eq!((changed.status, changed.text("/note")), (StatusCode::OK, "Canary left knee".into()));
    assert_eq!((&changed.body["version"], changed.headers["etag"].to_str()?), (&json!(2), "\"2\""));
    let stale = patch("\"1\"", json!({"note": "x"})).await?;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.body);
    for wrong in [json!({"status": "arrived"}), json!({"note": 5}), json!({"note": "x".repeat(2001)})] {
        let refused = patch("*", wrong).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    }
    assert_eq!(patch("*", json!({})).await?.text("/note"), "Canary left knee", "absent fields stay");

    let cancel = json!({"reason_code": "patient_ill", "reason": "Canary fever"});
    let off = fixture.transition(&by_front.text("/id"), "cancel", cancel).await?;
    assert_eq!(off.text("/cancellation/reason"), "Canary fever");
    // Neither the link, with whichever key, nor the feed contains them.
    let own = fixture.product.send(Method::GET, &link(&by_front), &[], None).await?;
    assert_eq!((own.status, own.text("/cancellation/reason_code")), (StatusCode::OK, "patient_ill".into()));
    assert!(!own.body.to_string().contains("Canary"), "{}", own.body);
    let changes = fixture.product.snapshot().await?;
    assert!(!format!("{changes:?}").contains("Canary"));
    let none = patch("*", json!({"note": null})).await?;
    assert_eq!((none.status, none.body.get("note")), (StatusCode::OK, None), "{}", none.body);
    Ok(())
}

async fn reasons(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 1).await?;
    let all = "/v1/reason_codes";
    let list = fixture.product.get(&format!("{all}?limit=200")).await?;
    let shipped = list.body["data"].as_array().context("data")?.clone();
    let ill = shipped.iter().find(|it| it["code"] == "practitioner_ill").context("a shipped code")?;
    assert_eq!((&ill["caused_by"], &ill["forfeits"]), (&json!("clinic"), &json!(false)));
    assert_eq!(ill["names"]["fr"], json!("Praticien malade"));
    assert!(shipped.iter().any(|it| it["code"] == "patient_ill" && it["caused_by"] == "patient"));

    let body = json!({"code": "snow", "names": {"en": "Snow"}, "caused_by": "patient", "forfeits": true});
    let made = fixture.product.post(all, body.clone()).await?;
    assert_eq!((made.status, made.headers["etag"].to_str()?), (StatusCode::CREATED, "\"1\""), "{}", made.body);
    assert_eq!(fixture.product.post(all, body).await?.text("/code"), "duplicate");
    let bad = json!({"code": "much snow", "names": {}, "caused_by": "sky"});
    let bad = fixture.product.post(all, bad).await?;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", bad.body);

    // The clinic changes snow to a cause of its own.
    let one = format!("{all}/snow");
    let patch = async |if_match: &str, body: Value| {
        fixture.product.send(Method::PATCH, &one, &[("if-match", if_match)], Some(body)).await
    };
    let as_clinic = json!({"caused_by": "clinic", "forfeits": false, "names": {"de": "Schnee"}});
    let changed = patch("\"1\"", as_clinic.clone()).await?;
    assert_eq!((changed.status, &changed.body["version"]), (StatusCode::OK, &json!(2)), "{}", changed.body);
    assert_eq!(changed.body["names"], json!({"en": "Snow", "de": "Schnee"}));
    assert_eq!(patch("\"1\"", as_clinic).await?.status, StatusCode::PRECONDITION_FAILED);
    fixture.product.advance_to("2026-03-10T08:00:00-06:00")?;
    for (start, code, late) in [("10:00", "snow", false), ("11:00", "patient_ill", true), ("13:00", "patience", false)]
    {
        let visit = booked(&fixture, &format!("2026-03-10T{start}:00-06:00"), "").await?;
        let off = fixture.transition(&visit.text("/id"), "cancel", json!({"reason_code": code})).await?;
        let expected = json!({"reason_code": code, "by": "staff", "late": late});
        assert_eq!(off.body["cancellation"], expected, "{}", off.body);
    }
    let gone = fixture.product.send(Method::DELETE, &one, &[], None).await?;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.product.get(&one).await?.status, StatusCode::NOT_FOUND);
    let key = fixture.product.post("/v1/keys", json!({"name": "web", "scopes": ["slots:read"]})).await?.text("/key");
    assert_eq!(fixture.product.rest.send(Method::GET, all, &key, &[], None).await?.status, StatusCode::OK);
    let refused = fixture.product.rest.send(Method::POST, all, &key, &[], Some(json!({}))).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    Ok(())
}

async fn another(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 2).await?;
    let start = "2026-03-10T14:00:00-06:00";
    let visit = booked(&fixture, start, "").await?;
    let id = visit.text("/id");
    let day = ("2026-03-10T00:00:00-06:00", "2026-03-11T00:00:00-06:00");
    let theirs = slots(&fixture, &fixture.evaluation, 1, day).await?;
    let slot = theirs.iter().find(|slot| slot["starts_at"] == start).context("the same hour")?;
    let moves = json!({"moves": [{"appointment_id": id, "slot_id": slot["slot_id"]}]});
    let moved = fixture.product.post("/v1/displaced/book", moves).await?;
    assert_eq!((moved.status, &moved.body["moved"]), (StatusCode::OK, &json!(1)), "{}", moved.body);
    let now = fixture.appointment(&id).await?;
    assert_eq!(
        (now.text("/starts_at"), now.text("/practitioner_id")),
        (start.to_owned(), fixture.practitioners[1].clone())
    );

    fixture.product.clock.advance(SignedDuration::from_mins(5));
    let list = format!("/v1/messages?appointment_id={id}");
    let delivered = async |channel: &'static str| {
        poll::until("the message about the practitioner", WITHIN, || async {
            let all = fixture.product.get(&list).await.ok()?.body["data"].as_array()?.clone();
            let is_change =
                |it: &Value| it["trigger"] == "rescheduled" && it["channel"] == channel && it["status"] == "delivered";
            all.into_iter().find(is_change)
        })
        .await
    };
    let text = delivered("sms").await["text"].as_str().context("a text")?.to_owned();
    assert!(text.starts_with("Whyte: your visit on Tue, Mar 10 at 2:00 PM is now with Grace Sample 1."), "{text}");
    let email = delivered("email").await["text"].as_str().context("a text")?.to_owned();
    assert!(email.contains("It is now with Grace Sample 1.") && !email.contains("new time"), "{email}");
    Ok(())
}
