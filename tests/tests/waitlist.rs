//! The waitlist, from a full day to a visit that came free, in both arrangements.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Clinic, House, from_now, patient, service};
use serde_json::{Value, json};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(60);
/// Offers are made at any hour, since the scenario runs at any. Their links have an address: apart, the reminder service
/// knows none by itself.
const AWAKE: [&str; 6] = [
    "--set",
    "booking.waitlist.ask_from=00:00",
    "--set",
    "booking.waitlist.ask_until=24:00",
    "--set",
    "public_url=https://clinic.invalid",
];

async fn offered(house: &House, entry: &str) -> Value {
    testkit::poll::until("an offer", WITHIN, || async {
        let shown = house.get(entry).await.ok()?;
        shown.body["offers"].as_array()?.iter().find(|offer| offer["status"] == "open").cloned()
    })
    .await
}

/// The newest text of an offer, once so many of them have been delivered.
async fn newest_offer_text(house: &House, count: usize) -> String {
    testkit::poll::until("the message", WITHIN, || async {
        let list = house.get("/v1/messages?status=delivered").await.ok()?;
        let is_text = |it: &&Value| it["trigger"] == "waitlist_offer" && it["channel"] == "sms";
        let texts: Vec<&Value> = list.body["data"].as_array()?.iter().filter(is_text).collect();
        Some(texts.first().filter(|_| texts.len() == count)?["text"].as_str()?.to_owned())
    })
    .await
}

async fn known(house: &House, number: u32) -> Result<String> {
    let person = patient(&format!("Example {number}"), &format!("+1780555{number:04}"));
    Ok(house.post("/v1/patients", person).await?.text("/id"))
}

fn ok(answer: Answer) -> Answer {
    assert!(answer.status.is_success(), "{}", answer.body);
    answer
}

/// Books all of a day.
async fn full_day(house: &House, clinic: &Clinic) -> Result<(Vec<Answer>, String)> {
    let mut visits = Vec::new();
    let mut revision = clinic.revision.clone();
    loop {
        let free = house.slots(clinic, (3, 4), &revision).await?;
        let Some(slot) = free.first() else { return Ok((visits, revision)) };
        let body = json!({"slot_id": slot["slot_id"], "patient": patient("Taken", "+447700900123")});
        let booked = ok(house.post("/v1/appointments", body).await?);
        revision = booked.revision();
        visits.push(booked);
    }
}

/// Takes an offer twice with one key: the second answer is the first one's.
async fn taken_twice(house: &House, path: &str) -> Result<Answer> {
    let keyed = [("idempotency-key", "taken-once")];
    let moved = ok(house.send(Method::POST, path, ADMIN, &keyed, Some(json!({}))).await?);
    let again = ok(house.send(Method::POST, path, ADMIN, &keyed, Some(json!({}))).await?);
    assert!(!moved.headers.contains_key("idempotency-replayed"));
    assert_eq!(again.headers.get("idempotency-replayed").context("a replay")?, "true");
    assert_eq!(again.body, moved.body);
    Ok(moved)
}

/// The same wish is the same entry, and one patient waits with five.
async fn waits_once_and_with_five(house: &House, clinic: &Clinic) -> Result<()> {
    let body = json!({"patient_id": known(house, 3).await?, "service_id": clinic.service, "to": from_now(60)?});
    let first = house.post("/v1/waitlist", body.clone()).await?;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    // Without `from` it is meant from now on, whenever it is sent.
    let again = house.post("/v1/waitlist", body.clone()).await?;
    assert_eq!((again.status, again.text("/id")), (StatusCode::OK, first.text("/id")), "{}", again.body);
    for days in 61..65 {
        let mut other = body.clone();
        other["to"] = json!(from_now(days)?);
        assert_eq!(house.post("/v1/waitlist", other).await?.status, StatusCode::CREATED);
    }
    let mut other = body.clone();
    other["to"] = json!(from_now(65)?);
    let refused = house.post("/v1/waitlist", other).await?;
    assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "waitlist_limit"));
    assert!(refused.text("/detail").contains(&first.text("/id")), "{}", refused.body);
    Ok(())
}

#[tokio::test]
async fn a_visit_that_is_called_off_is_offered_taken_and_offered_on() -> Result<()> {
    for house in [House::embedded(&AWAKE).await?, House::apart(&AWAKE).await?] {
        let clinic = house.clinic("Europe/London", service()).await?;
        let slots = house.slots(&clinic, (3, 4), &clinic.revision).await?;
        let (visits, revision) = full_day(&house, &clinic).await?;
        assert!(visits.len() > 10 && slots.len() > 10);
        let later_body = json!({"slot_id": house.slots(&clinic, (5, 6), &revision).await?[0]["slot_id"],
            "patient_id": known(&house, 1).await?});
        let later = ok(house.post("/v1/appointments", later_body).await?);
        let (from, to) = (from_now(3)?, from_now(6)?);
        let wait = async |patient: &str, appointment: Option<String>| -> Result<String> {
            let mut body = json!({"patient_id": patient, "service_id": clinic.service, "from": from, "to": to,
                "location_ids": [clinic.location], "hours": {"not_before": "00:00"}});
            match appointment {
                Some(id) => body["appointment_id"] = json!(id),
                None => body["to"] = json!(from_now(4)?),
            }
            let made = ok(house.post("/v1/waitlist", body).await?);
            assert_eq!((made.status, made.text("/status").as_str()), (StatusCode::CREATED, "waiting"));
            Ok(format!("/v1/waitlist/{}", made.text("/id")))
        };
        let first = wait(&later.text("/patient_id"), Some(later.text("/id"))).await?;
        let second = wait(&known(&house, 2).await?, None).await?;

        let off = &visits[4];
        let path = format!("/v1/appointments/{}", off.text("/id"));
        ok(house.post(&format!("{path}/cancel"), json!({"reason_code": "pat"})).await?);
        let offer = offered(&house, &first).await;
        assert_eq!(offer["slot"]["starts_at"], off.body["starts_at"], "the time that came free");
        // An offer that is accepted before its text has left sends none.
        newest_offer_text(&house, 1).await;
        // Nobody else gets it meanwhile.
        let held = house.post("/v1/holds", json!({"slot_id": offer["slot"]["slot_id"]})).await?;
        assert_eq!(held.text("/code"), "slot_taken");
        let taken = format!("/v1/offers/{}/accept", offer["id"].as_str().context("an id")?);
        let moved = taken_twice(&house, &taken).await?;
        assert_eq!((moved.text("/id"), &moved.body["starts_at"]), (later.text("/id"), &off.body["starts_at"]));
        assert_eq!(house.get(&first).await?.text("/status"), "booked");

        // Another one is called off, for who waits next; they read it in the message and take it by its link.
        let off = &visits[7];
        let path = format!("/v1/appointments/{}", off.text("/id"));
        ok(house.post(&format!("{path}/cancel"), json!({"reason_code": "pat"})).await?);
        offered(&house, &second).await;
        let text = newest_offer_text(&house, 2).await;
        let (_, token) = text.split_once("/v1/offer_links/").context("a link")?;
        let link = format!("/v1/offer_links/{}", token.trim());
        let seen = house.send(Method::GET, &link, "", &[], None).await?;
        assert_eq!((seen.status, seen.text("/status").as_str()), (StatusCode::OK, "open"), "{}", seen.body);
        let booked = ok(house.send(Method::POST, &format!("{link}/accept"), "", &[], None).await?);
        assert_eq!(booked.body["starts_at"], off.body["starts_at"]);
        let late = house.send(Method::POST, &format!("{link}/decline"), "", &[], None).await?;
        assert_eq!((late.status, late.text("/code").as_str()), (StatusCode::CONFLICT, "offer_gone"));
        let nobody = house.send(Method::GET, "/v1/offer_links/AAAAAAAAAAAAAAAAAAAAAA", "", &[], None).await?;
        assert_eq!(nobody.status, StatusCode::NOT_FOUND);

        waits_once_and_with_five(&house, &clinic).await?;
        let list = house.get("/v1/waitlist?status=booked").await?;
        assert_eq!(list.body["data"].as_array().map(Vec::len), Some(2), "{}", list.body);
        let bare = house.post("/v1/waitlist", json!({"patient_id": known(&house, 4).await?})).await?;
        assert_eq!((bare.status, bare.text("/errors/0/pointer").as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "/to"));
    }
    Ok(())
}
