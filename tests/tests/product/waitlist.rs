//! The waitlist, in both arrangements: a full day, a cancellation, an offer, its acceptance.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Clinic, Product, from_now, patient, service, sms};
use serde_json::{Value, json};
use testkit::sms::FakeProvider;

const WITHIN: std::time::Duration = std::time::Duration::from_secs(60);
/// Offers at any hour, since the scenario runs at any hour. Their links need a public address, which a separate reminder
/// process does not know by itself.
const SETTINGS: [&str; 8] = [
    "--set",
    "booking.waitlist.ask_from=00:00",
    "--set",
    "booking.waitlist.ask_until=24:00",
    "--set",
    "public_url=https://clinic.invalid",
    // The text of an offer then has its link, not the letters of an answer.
    "--set",
    "reminder.replies=false",
];

async fn offered(product: &Product, entry: &str) -> Value {
    testkit::poll::until("an offer", WITHIN, || async {
        let answer = product.get(entry).await.ok()?;
        answer.body["offers"].as_array()?.iter().find(|offer| offer["status"] == "open").cloned()
    })
    .await
}

/// The newest text of an offer, once so many of them have been sent.
async fn newest_offer_text(provider: &FakeProvider, count: usize) -> String {
    testkit::poll::until("the message", WITHIN, || async {
        let texts = provider.messages().into_iter().map(|message| message.body);
        let offers: Vec<String> = texts.filter(|text| text.contains("/o/")).collect();
        offers.last().filter(|_| offers.len() == count).cloned()
    })
    .await
}

async fn create_patient(product: &Product, number: u32) -> Result<String> {
    let details = patient(&format!("Example {number}"), &format!("+1780555{number:04}"));
    Ok(product.post("/v1/patients", details).await?.text("/id"))
}

fn ok(answer: Answer) -> Answer {
    assert!(answer.status.is_success(), "{}", answer.body);
    answer
}

/// Books all slots of a day.
async fn full_day(product: &Product, clinic: &Clinic) -> Result<(Vec<Answer>, String)> {
    let mut visits = Vec::new();
    let mut revision = clinic.revision.clone();
    loop {
        let free = product.slots(clinic, (3, 4), &revision).await?;
        let Some(slot) = free.first() else { return Ok((visits, revision)) };
        let body = json!({"slot_id": slot["slot_id"], "patient": patient("Taken", "+447700900123")});
        let booked = ok(product.post("/v1/appointments", body).await?);
        revision = booked.revision();
        visits.push(booked);
    }
}

/// Accepts an offer twice with one key: the second answer repeats the first.
async fn accept_twice(product: &Product, path: &str) -> Result<Answer> {
    let keyed = [("idempotency-key", "accepted-once")];
    let moved = ok(product.send(Method::POST, path, ADMIN, &keyed, Some(json!({}))).await?);
    let again = ok(product.send(Method::POST, path, ADMIN, &keyed, Some(json!({}))).await?);
    assert!(!moved.headers.contains_key("idempotency-replayed"));
    assert_eq!(again.headers.get("idempotency-replayed").context("a replay")?, "true");
    assert_eq!(again.body, moved.body);
    Ok(moved)
}

/// Repeated criteria return the same entry, and a patient has at most five entries.
async fn check_duplicates_and_limit(product: &Product, clinic: &Clinic) -> Result<()> {
    let body =
        json!({"patient_id": create_patient(product, 3).await?, "service_id": clinic.service, "to": from_now(60)?});
    let first = product.post("/v1/waitlist", body.clone()).await?;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    // A missing `from` means now, so the repeated request has the same criteria.
    let again = product.post("/v1/waitlist", body.clone()).await?;
    assert_eq!((again.status, again.text("/id")), (StatusCode::OK, first.text("/id")), "{}", again.body);
    for days in 61..65 {
        let mut other = body.clone();
        other["to"] = json!(from_now(days)?);
        assert_eq!(product.post("/v1/waitlist", other).await?.status, StatusCode::CREATED);
    }
    let mut other = body.clone();
    other["to"] = json!(from_now(65)?);
    let refused = product.post("/v1/waitlist", other).await?;
    assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "waitlist_limit"));
    assert!(refused.text("/detail").contains(&first.text("/id")), "{}", refused.body);
    Ok(())
}

#[tokio::test]
async fn a_cancelled_visit_is_offered_accepted_and_offered_again() -> Result<()> {
    for apart in [false, true] {
        let provider = FakeProvider::start().await?;
        let settings = sms::settings(&provider);
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(SETTINGS).collect();
        let product = if apart { Product::apart(&settings).await? } else { Product::embedded(&settings).await? };
        let clinic = product.clinic("Europe/London", service()).await?;
        let slots = product.slots(&clinic, (3, 4), &clinic.revision).await?;
        let (visits, revision) = full_day(&product, &clinic).await?;
        assert!(visits.len() > 10 && slots.len() > 10);
        let later_body = json!({"slot_id": product.slots(&clinic, (5, 6), &revision).await?[0]["slot_id"],
            "patient_id": create_patient(&product, 1).await?});
        let later = ok(product.post("/v1/appointments", later_body).await?);
        let (from, to) = (from_now(3)?, from_now(6)?);
        let wait = async |patient: &str, appointment: Option<String>| -> Result<String> {
            let mut body = json!({"patient_id": patient, "service_id": clinic.service, "from": from, "to": to,
                "location_ids": [clinic.location], "hours": {"not_before": "00:00"}});
            match appointment {
                Some(id) => body["appointment_id"] = json!(id),
                None => body["to"] = json!(from_now(4)?),
            }
            let made = ok(product.post("/v1/waitlist", body).await?);
            assert_eq!((made.status, made.text("/status").as_str()), (StatusCode::CREATED, "waiting"));
            Ok(format!("/v1/waitlist/{}", made.text("/id")))
        };
        let first = wait(&later.text("/patient_id"), Some(later.text("/id"))).await?;
        let second = wait(&create_patient(&product, 2).await?, None).await?;

        let off = &visits[4];
        let path = format!("/v1/appointments/{}", off.text("/id"));
        ok(product.post(&format!("{path}/cancel"), json!({"reason_code": "pat"})).await?);
        let offer = offered(&product, &first).await;
        assert_eq!(offer["slot"]["starts_at"], off.body["starts_at"], "the time that came free");
        // An offer that is accepted before its text has left sends none.
        newest_offer_text(&provider, 1).await;
        // The offered slot is reserved.
        let held = product.post("/v1/holds", json!({"slot_id": offer["slot"]["slot_id"]})).await?;
        assert_eq!(held.text("/code"), "slot_taken");
        let taken = format!("/v1/offers/{}/accept", offer["id"].as_str().context("an id")?);
        let moved = accept_twice(&product, &taken).await?;
        assert_eq!((moved.text("/id"), &moved.body["starts_at"]), (later.text("/id"), &off.body["starts_at"]));
        assert_eq!(product.get(&first).await?.text("/status"), "booked");

        // A second cancellation is offered to the next patient, who accepts it by the link in the message.
        let off = &visits[7];
        let path = format!("/v1/appointments/{}", off.text("/id"));
        ok(product.post(&format!("{path}/cancel"), json!({"reason_code": "pat"})).await?);
        offered(&product, &second).await;
        let text = newest_offer_text(&provider, 2).await;
        let (_, token) = text.split_once("/o/").context("a link")?;
        let link = format!("/v1/offer_links/{}", token.trim());
        let seen = product.send(Method::GET, &link, "", &[], None).await?;
        assert_eq!((seen.status, seen.text("/status").as_str()), (StatusCode::OK, "open"), "{}", seen.body);
        let booked = ok(product.send(Method::POST, &format!("{link}/accept"), "", &[], None).await?);
        assert_eq!(booked.body["starts_at"], off.body["starts_at"]);
        let late = product.send(Method::POST, &format!("{link}/decline"), "", &[], None).await?;
        assert_eq!((late.status, late.text("/code").as_str()), (StatusCode::CONFLICT, "offer_gone"));
        let nobody = product.send(Method::GET, "/v1/offer_links/AAAAAAAAAAAAAAAAAAAAAA", "", &[], None).await?;
        assert_eq!(nobody.status, StatusCode::NOT_FOUND);

        check_duplicates_and_limit(&product, &clinic).await?;
        let list = product.get("/v1/waitlist?status=booked").await?;
        assert_eq!(list.body["data"].as_array().map(Vec::len), Some(2), "{}", list.body);
        let bare = product.post("/v1/waitlist", json!({"patient_id": create_patient(&product, 4).await?})).await?;
        assert_eq!((bare.status, bare.text("/errors/0/pointer").as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "/to"));
    }
    Ok(())
}
