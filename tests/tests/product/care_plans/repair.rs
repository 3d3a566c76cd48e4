//! Events in the life of one plan, and its repair.

use anyhow::{Context, Result};
use booking::Config;
use reqwest::{Method, StatusCode};
use scenarios::Answer;
use serde_json::{Value, json};
use testkit::{database::Database, poll};

use super::fixture::{Fixture, appointment_of, attention, date_of};

testkit::engines!(
    appointments_of_one_plan_can_change_concurrently,
    a_review_proposes_its_open_sessions_and_replays_its_answer,
    a_lost_session_is_repaired_with_the_fewest_moves,
    a_missed_session_is_given_back_in_the_ledger,
    a_missed_session_is_forfeited_under_that_policy,
    a_plan_at_risk_is_announced_until_it_is_booked,
    a_plan_goes_from_evaluation_to_discharge,
);

async fn appointments_of_one_plan_can_change_concurrently(database: Database) {
    at_once(database).await.unwrap();
}

async fn at_once(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 3).await?;
    for number in 0..4 {
        let plan = fixture.booked_plan(number, 4).await?;
        let booked = fixture.plan(&plan).await?;
        let cancel = async |session: usize| {
            fixture.transition(&appointment_of(&booked, session), "cancel", json!({"reason_code": "prov"})).await
        };
        let (one, two, three) = tokio::join!(cancel(1), cancel(2), cancel(3));
        for answer in [one?, two?, three?] {
            assert_eq!(answer.status, StatusCode::OK, "nobody named a version: {}", answer.body);
        }
        let after = fixture.plan(&plan).await?;
        let open = after.body["sessions"].as_array().unwrap().iter().filter(|it| it["status"] == "to_book").count();
        assert_eq!(open, 3, "no change is lost: {}", after.body);
    }
    Ok(())
}

async fn a_review_proposes_its_open_sessions_and_replays_its_answer(database: Database) {
    reviewed(database).await.unwrap();
}

async fn reviewed(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 2).await?;
    let plan = fixture.booked_plan(0, 3).await?;
    let review = |decision: Value| {
        let mut body = json!({"nprs": 4, "psfs": [{"activity": "lift a child", "score": 6}]});
        body.as_object_mut().unwrap().extend(decision.as_object().unwrap().clone());
        body
    };
    let decide = async |key: &str, decision: Value| {
        let path = format!("/v1/plans/{plan}/reviews");
        fixture.product.send(Method::POST, &path, &[("idempotency-key", key)], Some(review(decision))).await
    };
    let longer = decide("longer", json!({"decision": "extend", "sessions": 2})).await?;
    assert_eq!(longer.status, StatusCode::CREATED, "{}", longer.body);
    let sessions = |proposal: &Value| proposal["sessions"].as_array().map(Vec::len);
    let proposals = longer.body["proposals"].as_array().context("proposals")?.clone();
    assert_eq!(proposals.iter().map(sessions).collect::<Vec<_>>(), [Some(2); 3], "{}", longer.body);
    let again = decide("longer", json!({"decision": "extend", "sessions": 2})).await?;
    assert_eq!((again.status, &again.body), (longer.status, &longer.body), "the same answer");
    let booked = fixture.book(&plan, json!({"proposal_id": proposals[0]["id"]})).await?;
    assert_eq!(booked.status, StatusCode::OK, "{}", booked.body);

    // The times of removed sessions are free for their replacements.
    let visits = |plan: &Answer| (0..6).map(|session| appointment_of(plan, session)).collect::<Vec<_>>();
    let mut before = Vec::new();
    for id in visits(&booked) {
        before.push(fixture.appointment(&id).await?.text("/starts_at"));
    }
    let other = decide("other", json!({"decision": "change_service", "service_id": fixture.evaluation})).await?;
    let best = &other.body["proposals"][0]["sessions"];
    let starts = best.as_array().context("a series")?.iter().map(|it| it["starts_at"].clone());
    assert!(
        starts.clone().count() > 3 && starts.into_iter().any(|it| before.contains(&it.as_str().unwrap().to_owned()))
    );

    let paused = decide("pause", json!({"decision": "pause"})).await?;
    assert_eq!((paused.status, &paused.body["proposals"]), (StatusCode::CREATED, &json!([])));
    Ok(())
}

async fn a_lost_session_is_repaired_with_the_fewest_moves(database: Database) {
    lost(database).await.unwrap();
}

async fn lost(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 2).await?;
    let plan = fixture.booked_plan(1, 5).await?;
    let before = fixture.plan(&plan).await?;
    assert_eq!(attention(&before), []);
    assert_eq!(fixture.repairs(&plan).await?.body["data"], json!([]), "there is nothing to do");

    // The practitioner of the fourth session is away for its whole week; a second practitioner is there.
    let fourth = fixture.appointment(&appointment_of(&before, 3)).await?;
    let start = fourth.text("/starts_at");
    let practitioner = fixture.practitioners.iter().position(|id| *id == fourth.text("/practitioner_id")).unwrap();
    let (monday, friday) = (date_of(&start) - jiff::Span::new().days(1), date_of(&start) + jiff::Span::new().days(1));
    let displaced =
        fixture.away(practitioner, &format!("{monday}T00:00:00-06:00"), &format!("{friday}T23:00:00-06:00")).await?;
    assert_eq!(displaced, [fourth.text("/id")]);
    let lost = fixture.plan(&plan).await?;
    assert_eq!(attention(&lost), [(4, "displaced".to_owned())]);

    let repairs = fixture.repairs(&plan).await?;
    let best = &repairs.body["data"][0];
    assert_eq!(best["sessions"].as_array().map(Vec::len), Some(1), "one session moves: {}", repairs.body);
    let moved = &best["sessions"][0];
    assert_eq!(moved["moves"]["appointment_id"], fourth.body["id"]);
    assert_eq!(moved["moves"]["reason"], "displaced");
    assert_eq!(moved["moves"]["from_starts_at"], start);
    assert_ne!(moved["practitioner_id"], fourth.body["practitioner_id"]);
    assert!(best["explanation"].as_str().unwrap().starts_with("6 sessions from"), "{best}");

    let booked = fixture.book(&plan, json!({"proposal_id": best["id"]})).await?;
    assert_eq!((booked.status, attention(&booked)), (StatusCode::OK, vec![]), "{repairs:?}");
    let after = fixture.appointment(&fourth.text("/id")).await?;
    assert_eq!((&after.body["starts_at"], &after.body["displaced"]), (&moved["starts_at"], &json!(false)));
    for session in [0, 1, 2, 4, 5] {
        assert_eq!(before.body["sessions"][session], booked.body["sessions"][session], "the others stay");
    }
    // Booking the same repair again is refused.
    let again = fixture.book(&plan, json!({"proposal_id": best["id"]})).await?;
    assert_eq!(again.text("/errors/0/code"), "not_to_book", "{}", again.body);
    Ok(())
}

async fn a_missed_session_is_given_back_in_the_ledger(database: Database) {
    missed(database).await.unwrap();
}

async fn missed(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 2).await?;
    let plan = fixture.booked_plan(1, 4).await?;
    let booked = fixture.plan(&plan).await?;
    for session in 0..2 {
        let appointment = appointment_of(&booked, session);
        fixture.product.advance_to(&fixture.appointment(&appointment).await?.text("/starts_at"))?;
        fixture.complete(&appointment).await?;
    }
    let third = appointment_of(&booked, 2);
    fixture.product.advance_to(&fixture.appointment(&third).await?.text("/starts_at"))?;
    let gone = fixture.transition(&third, "no_show", json!({})).await?;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.body);
    let plan_now = fixture.plan(&plan).await?;
    let sessions = plan_now.body["sessions"].as_array().unwrap();
    let statuses: Vec<&str> = sessions.iter().filter_map(|it| it["status"].as_str()).collect();
    assert_eq!(statuses, ["done", "done", "missed", "to_book", "booked", "booked"]);
    assert_eq!(sessions[3]["instead_of"], sessions[2]["id"]);
    assert_eq!(plan_now.body["adherence"], json!({"planned": 5, "booked": 2, "done": 2, "missed": 1}));

    // The repair books the session again and restores the gaps.
    let repairs = fixture.repairs(&plan).await?;
    assert_eq!(repairs.status, StatusCode::OK, "{}", repairs.body);
    let mended = fixture.book(&plan, json!({"proposal_id": repairs.text("/data/0/id")})).await?;
    assert_eq!((mended.status, attention(&mended)), (StatusCode::OK, vec![]), "{}", mended.body);
    assert!(mended.body["sessions"].as_array().unwrap().iter().all(|it| it["status"] != "to_book"));

    let ledger = fixture.product.get(&format!("/v1/plans/{plan}/ledger")).await?;
    let entries: Vec<&str> =
        ledger.body["data"].as_array().unwrap().iter().filter_map(|it| it["entry"].as_str()).collect();
    let count = |word: &str| entries.iter().filter(|entry| **entry == word).count();
    assert_eq!((count("planned"), count("booked"), count("done")), (5, 6, 2), "{entries:?}");
    assert_eq!((count("missed"), count("given_back"), count("forfeited")), (1, 1, 0));
    let expected = json!({"planned": 5, "given_back": 1, "to_book": 0, "booked": 3, "done": 2, "missed": 1,
        "forfeited": 0, "skipped": 0});
    assert_eq!(ledger.body["balance"], expected);
    Ok(())
}

async fn a_missed_session_is_forfeited_under_that_policy(database: Database) {
    used_up(database).await.unwrap();
}

async fn used_up(database: Database) -> Result<()> {
    let config = Config { no_show_forfeits: true, late_cancellation_forfeits: true, ..Config::default() };
    let fixture = Fixture::of(database, config, 2).await?;
    let plan = fixture.booked_plan(1, 4).await?;
    let booked = fixture.plan(&plan).await?;
    let first = appointment_of(&booked, 0);
    fixture.product.advance_to(&fixture.appointment(&first).await?.text("/starts_at"))?;
    fixture.complete(&first).await?;

    // A session that the clinic cancels, or the patient early enough, is to be booked again.
    let second = fixture.appointment(&appointment_of(&booked, 1)).await?;
    fixture.transition(&second.text("/id"), "cancel", json!({"reason_code": "patient_ill"})).await?;
    assert_eq!(fixture.plan(&plan).await?.text("/sessions/1/status"), "to_book");
    let third = appointment_of(&booked, 2);
    fixture.product.advance_to(&fixture.appointment(&third).await?.text("/starts_at"))?;
    fixture.transition(&third, "cancel", json!({"reason_code": "prov"})).await?;
    assert_eq!(fixture.plan(&plan).await?.text("/sessions/2/status"), "to_book");
    // A session that the patient cancels late, or misses, is forfeited.
    let fourth = appointment_of(&booked, 3);
    fixture.product.advance_to(&fixture.appointment(&fourth).await?.text("/starts_at"))?;
    fixture.transition(&fourth, "cancel", json!({"reason_code": "patient_ill"})).await?;
    let fifth = appointment_of(&booked, 4);
    fixture.product.advance_to(&fixture.appointment(&fifth).await?.text("/starts_at"))?;
    fixture.transition(&fifth, "no_show", json!({})).await?;
    let plan_now = fixture.plan(&plan).await?;
    for session in [3, 4] {
        let session = &plan_now.body["sessions"][session];
        assert_eq!((&session["status"], &session["forfeited"]), (&json!("missed"), &json!(true)));
    }
    let ledger = fixture.product.get(&format!("/v1/plans/{plan}/ledger")).await?;
    let expected = json!({"planned": 5, "given_back": 0, "to_book": 2, "booked": 0, "done": 1, "missed": 0,
        "forfeited": 2, "skipped": 0});
    assert_eq!(ledger.body["balance"], expected);
    Ok(())
}

async fn a_plan_at_risk_is_announced_until_it_is_booked(database: Database) {
    at_risk(database).await.unwrap();
}

async fn at_risk(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 1).await?;
    let invitation = json!({"trigger": "plan_session_unbooked", "channels": ["sms"]});
    let rule = fixture.product.post("/v1/reminder_rules", invitation).await?;
    assert_eq!(rule.status, StatusCode::CREATED, "{}", rule.body);
    let plan = fixture.booked_plan(1, 3).await?;
    let booked = fixture.plan(&plan).await?;
    let first = appointment_of(&booked, 0);
    fixture.product.advance_to(&fixture.appointment(&first).await?.text("/starts_at"))?;
    fixture.complete(&first).await?;
    for session in 1..4 {
        let cancelled = json!({"reason_code": "patient_away"});
        fixture.transition(&appointment_of(&booked, session), "cancel", cancelled).await?;
    }
    let open = fixture.plan(&plan).await?;
    let last = date_of(&fixture.appointment(&first).await?.text("/starts_at")) + jiff::Span::new().days(8);
    assert_eq!((open.text("/book_by"), &open.body["at_risk"]), (last.to_string(), &json!(false)));
    let announced = async || {
        let changes = fixture.product.snapshot().await.unwrap();
        changes.into_iter().find_map(|change| match change.owner {
            Some(wire::booking::change::Owner::Plan(state)) if state.id == plan => Some(state),
            _ => None,
        })
    };
    assert!(announced().await.is_none());
    fixture.product.advance(5);
    let state =
        poll::until("the announcement of the plan at risk", std::time::Duration::from_secs(30), announced).await;
    assert_eq!((state.at_risk, state.book_by), (true, last.to_string()));
    assert_eq!(state.next_plan_session_id, open.text("/sessions/1/id"));
    assert_eq!(fixture.plan(&plan).await?.body["at_risk"], json!(true));
    let report = "/v1/reports/plans?from=2026-03-01&to=2026-03-31&group_by=service";
    assert_eq!(fixture.product.get(report).await?.body["at_risk_plan_ids"], json!([plan]));
    // The patient is invited to book, by that day.
    let list = format!("/v1/messages?appointment_id={first}");
    let sent = poll::until("the invitation", std::time::Duration::from_secs(30), || async {
        let all = fixture.product.get(&list).await.ok()?.body["data"].as_array()?.clone();
        all.into_iter().find(|it| it["trigger"] == "plan_session_unbooked" && it["status"] == "delivered")
    });
    let sent = sent.await;
    let text = sent["text"].as_str().context("a text")?.to_owned();
    let day = format!("{} {}", last.strftime("%b"), last.day());
    assert!(text.contains("Whyte") && text.contains(&day), "{text}");

    let proposals = fixture.product.post(&format!("/v1/plans/{plan}/proposals"), json!({})).await?;
    let booked = fixture.book(&plan, json!({"proposal_id": proposals.text("/data/0/id")})).await?;
    assert_eq!((booked.status, &booked.body["at_risk"]), (StatusCode::OK, &json!(false)), "{}", booked.body);
    assert!(announced().await.is_none());

    // After its last day the session is still proposed, and named as overdue.
    for session in 1..4 {
        fixture.transition(&appointment_of(&booked, session), "cancel", json!({"reason_code": "patient_away"})).await?;
    }
    fixture.product.advance(14);
    assert_eq!(attention(&fixture.plan(&plan).await?), [(2, "overdue".to_owned())]);
    let report = fixture.product.get(report).await?;
    assert_eq!(report.body["drop_off"], json!([{"after_session": 1, "plans": 1}]));
    let late = fixture.product.post(&format!("/v1/plans/{plan}/proposals"), json!({})).await?;
    assert_eq!(late.body["data"][0]["sessions"].as_array().map(Vec::len), Some(3), "{}", late.body);
    Ok(())
}

async fn a_plan_goes_from_evaluation_to_discharge(database: Database) {
    whole(database).await.unwrap();
}

async fn whole(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 2).await?;
    let plan = fixture.booked_plan(1, 4).await?;
    let booked = fixture.plan(&plan).await?;
    for session in 0..3 {
        let appointment = appointment_of(&booked, session);
        fixture.product.advance_to(&fixture.appointment(&appointment).await?.text("/starts_at"))?;
        fixture.complete(&appointment).await?;
    }
    let found = json!({"nprs": 1, "psfs": [{"activity": "lift a child", "score": 9}], "decision": "discharge"});
    let over = fixture.product.post(&format!("/v1/plans/{plan}/reviews"), found).await?;
    assert_eq!((over.status, over.text("/status").as_str()), (StatusCode::CREATED, "completed"), "{}", over.body);
    for session in 3..5 {
        let appointment = fixture.appointment(&appointment_of(&booked, session)).await?;
        assert_eq!(appointment.text("/status"), "cancelled", "its time is free");
    }
    let report = fixture.product.get("/v1/reports/plans?from=2026-03-01&to=2026-03-31&group_by=week").await?;
    let row: &Value = &report.body["data"][0];
    assert_eq!(
        (&row["key"], &row["plans"], &row["planned"], &row["done"]),
        (&json!("2026-03-02"), &json!(1), &json!(3), &json!(3))
    );
    let csv = [("accept", "text/csv")];
    let path = "/v1/reports/plans?from=2026-03-01&to=2026-03-31&group_by=week";
    let table = fixture.product.send(reqwest::Method::GET, path, &csv, None).await?;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    Ok(())
}
