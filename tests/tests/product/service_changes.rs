//! A service changes while slots of it are offered, held and booked, in both arrangements: each keeps its times, and no
//! resource is booked twice.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Clinic, Product, from_now, patient};
use serde_json::{Value, json};

fn ok(answer: Answer) -> Answer {
    assert!(answer.status.is_success(), "{}", answer.body);
    answer
}

/// A service of 60 minutes on the hour, with so many places.
fn hourly(capacity: u32) -> Value {
    json!({"code": "hourly", "name": "Hourly", "duration_minutes": 60, "start_alignment_minutes": 60,
        "capacity": capacity, "room_type": "treatment-room"})
}

async fn send(product: &Product, method: Method, path: &str, body: Option<Value>, revision: &str) -> Result<Answer> {
    let headers = if revision.is_empty() { vec![] } else { vec![("meridian-revision", revision)] };
    product.send(method, path, ADMIN, &headers, body).await
}

/// Changes the service, at least as fresh as the revision.
async fn change_service(product: &Product, clinic: &Clinic, patch: Value, revision: &str) -> Result<Answer> {
    let path = format!("/v1/services/{}", clinic.service);
    Ok(ok(send(product, Method::PATCH, &path, Some(patch), revision).await?))
}

/// The open slots of the third day, each with its local start and end.
async fn open(product: &Product, clinic: &Clinic, revision: &str) -> Result<Vec<(String, String, Value)>> {
    let slots = product.slots(clinic, (3, 4), revision).await?;
    let wall = |slot: &Value, end: &str| slot[end].as_str().unwrap_or_default()[11..16].to_owned();
    Ok(slots.into_iter().map(|slot| (wall(&slot, "starts_at"), wall(&slot, "ends_at"), slot)).collect())
}

fn starting<'a>(open: &'a [(String, String, Value)], start: &str) -> Result<&'a Value> {
    let found = open.iter().find(|slot| slot.0 == start);
    Ok(&found.with_context(|| format!("nothing is open at {start}"))?.2)
}

async fn book(product: &Product, time: Value, number: u32) -> Result<Answer> {
    let mut body = time;
    body["patient"] = patient(&format!("Example {number}"), &format!("+4477009001{number:02}"));
    product.post("/v1/appointments", body).await
}

/// The times of a practitioner's appointments, once for each group session. Asserts that none overlaps another.
async fn times(product: &Product, practitioner: &str) -> Result<Vec<[String; 2]>> {
    let path = format!("/v1/appointments?practitioner_id={practitioner}&status=booked&limit=200");
    let list = ok(product.get(&path).await?);
    let visits = list.body["data"].as_array().context("visits")?;
    let time = |visit: &Value| ["starts_at", "ends_at"].map(|end| visit[end].as_str().unwrap_or_default().to_owned());
    let mut times: Vec<_> = visits.iter().map(time).collect();
    times.sort_unstable();
    times.dedup();
    assert!(times.windows(2).all(|pair| pair[0][1] <= pair[1][0]), "booked twice: {times:?}");
    Ok(times)
}

/// A class has one booking at nine, or one at ten, or a hold at nine. Then its duration grows by half an hour.
#[tokio::test]
async fn a_longer_class_is_not_double_booked() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        for (number, (first, held)) in [("09:00", false), ("10:00", false), ("09:00", true)].into_iter().enumerate() {
            let mut class = hourly(3);
            class["code"] = json!(format!("class-{number}"));
            let clinic = product.clinic("Europe/London", class).await?;
            let slot = starting(&open(&product, &clinic, &clinic.revision).await?, first)?["slot_id"].clone();
            let time = if held {
                json!({"hold_id": ok(product.post("/v1/holds", json!({"slot_id": slot})).await?).text("/id")})
            } else {
                json!({"slot_id": slot})
            };
            let one = 10 * u32::try_from(number)?;
            let booked = ok(book(&product, time, one).await?);
            let revision = booked.revision();
            let longer = change_service(&product, &clinic, json!({"duration_minutes": 90}), &revision).await?;
            assert_eq!((&longer.body["displaced"], &longer.body["over_capacity"]), (&json!([]), &json!([])));

            let found = open(&product, &clinic, &revision).await?;
            let session = starting(&found, first)?;
            let until = if first == "09:00" { "10:00" } else { "11:00" };
            assert_eq!(&session["ends_at"].as_str().context("an end")?[11..16], until, "it keeps its length");
            assert_eq!(session["places_left"], 2);
            let clash =
                |slot: &&(String, String, Value)| slot.0 != first && slot.0.as_str() < until && slot.1.as_str() > first;
            assert_eq!(found.iter().find(clash), None, "nothing begins or ends within it");

            // Patients book all offered slots, and the slot that was offered before the change.
            let joined = ok(book(&product, json!({"slot_id": session["slot_id"]}), one + 1).await?);
            assert_eq!(joined.body["ends_at"], booked.body["ends_at"]);
            for (at, (_, _, slot)) in (2..).zip(&found) {
                book(&product, json!({"slot_id": slot["slot_id"]}), one + at).await?;
            }
            let stale = book(&product, json!({"slot_id": slot}), one + 9).await?;
            assert!(stale.status == StatusCode::CREATED || stale.text("/code") == "slot_taken", "{}", stale.body);
            assert!(times(&product, &clinic.practitioner).await?.len() > 4, "most of the day is booked");
        }
    }
    Ok(())
}

/// A slot, a hold, and an appointment that moves, by staff and by the patient's link, from before the service became
/// longer.
#[tokio::test]
async fn a_slot_a_hold_and_an_appointment_keep_their_times() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("Europe/London", hourly(1)).await?;
        let before = open(&product, &clinic, &clinic.revision).await?;
        let slot_at = |start: &str| -> Result<Value> { Ok(json!({"slot_id": starting(&before, start)?["slot_id"]})) };
        let hold = ok(product.post("/v1/holds", slot_at("09:00")?).await?);
        let booked = ok(book(&product, slot_at("11:00")?, 1).await?);
        let changed = json!({"duration_minutes": 90, "start_alignment_minutes": 15, "cleanup_minutes": 15});
        change_service(&product, &clinic, changed, &booked.revision()).await?;

        let kept = ok(book(&product, json!({"hold_id": hold.text("/id")}), 2).await?);
        assert_eq!(kept.body["starts_at"], hold.body["slots"][0]["starts_at"]);
        assert_eq!(kept.body["ends_at"], hold.body["slots"][0]["ends_at"], "exactly the held time");
        let refused = book(&product, slot_at("14:00")?, 3).await?;
        assert_eq!((refused.status, refused.text("/code").as_str()), (StatusCode::CONFLICT, "slot_changed"));
        assert_eq!(refused.body["slot_ids"], json!([slot_at("14:00")?["slot_id"]]));
        let others = refused.body["alternatives"].as_array().context("alternatives")?.clone();
        assert!(others.iter().any(|slot| slot["starts_at"] == starting(&before, "14:00").unwrap_or(slot)["starts_at"]));
        let other = ok(book(&product, json!({"slot_id": others[2]["slot_id"]}), 3).await?);
        assert_eq!(other.body["ends_at"], others[2]["ends_at"]);

        // A quarter of an hour later, which overlaps its own old time.
        let id = booked.text("/id");
        let quarter = booked.text("/starts_at").replace("11:00:00", "11:15:00");
        let question = format!("service_id={}&from={}&to={}", clinic.service, from_now(3)?, from_now(4)?);
        let answer = |path: String, key: &'static str| {
            let (product, revision) = (&product, other.revision());
            async move { product.send(Method::GET, &path, key, &[("meridian-revision", &revision)], None).await }
        };
        let there = |page: &Answer| -> Option<Value> {
            page.body["data"].as_array()?.iter().find(|slot| slot["starts_at"] == quarter.as_str()).cloned()
        };
        let found = ok(answer(format!("/v1/slots?{question}&limit=200"), ADMIN).await?);
        assert_eq!(there(&found), None, "taken by the appointment itself");
        let found = ok(answer(format!("/v1/slots?{question}&limit=200&moving={id}"), ADMIN).await?);
        let slot = there(&found).context("the quarter of an hour")?;
        assert_eq!(&slot["ends_at"].as_str().context("an end")?[11..16], "12:15", "the visit keeps its length");
        let days = ok(answer(format!("/v1/slots/days?{question}&moving={id}"), ADMIN).await?);
        assert_eq!(days.body["data"][0]["open_slots"], found.body["data"].as_array().map_or(0, Vec::len));
        let next = ok(answer(format!("/v1/slots/next?{question}&moving={id}"), ADMIN).await?);
        assert_eq!(next.body.pointer("/data/0/slots/0"), found.body.pointer("/data/0"));
        let start = format!("practitioner_id={}&starts_at={}", clinic.practitioner, quarter.replace('+', "%2B"));
        let explain = format!("/v1/slots/explain?service_id={}&{start}", clinic.service);
        assert_eq!(ok(answer(explain.clone(), ADMIN).await?).body["bookable"], false);
        assert_eq!(ok(answer(format!("{explain}&moving={id}"), ADMIN).await?).body["bookable"], true);

        // The patient's own link finds the same slots without a key.
        let link = booked.text("/links/manage");
        let window = format!("from={}&to={}", from_now(3)?, from_now(4)?);
        let own = ok(answer(format!("{link}/slots?{window}&limit=200"), "").await?);
        assert_eq!(own.body["data"], found.body["data"]);
        assert_eq!(ok(answer(format!("{link}/slots/days?{window}"), "").await?).body["data"], days.body["data"]);
        assert_eq!(ok(answer(format!("{link}/slots/next?{window}"), "").await?).body["data"], next.body["data"]);
        assert_eq!(ok(answer(format!("{link}/slots/explain?{start}"), "").await?).body["bookable"], true);
        let moved = json!({"slot_id": slot["slot_id"]});
        let moved = ok(product.send(Method::POST, &format!("{link}/reschedule"), "", &[], Some(moved)).await?);
        assert_eq!((moved.text("/id"), &moved.body["ends_at"]), (id.clone(), &slot["ends_at"]));
        // A slot of the new length moves the appointment without making it longer.
        let late = open(&product, &clinic, &moved.revision()).await?.pop().context("a slot")?;
        let path = format!("/v1/appointments/{id}/reschedule");
        let moved = ok(product.post(&path, json!({"slot_id": late.2["slot_id"]})).await?);
        let [from, to] = ["/starts_at", "/ends_at"].map(|end| moved.text(end).parse::<jiff::Timestamp>());
        assert_eq!(to?.duration_since(from?), jiff::SignedDuration::from_mins(60));
        assert_eq!(times(&product, &clinic.practitioner).await?.len(), 3);

        let unknown = format!("/v1/slots?{question}&moving={}", id.replace("appt_0", "appt_1"));
        let unknown = answer(unknown, ADMIN).await?;
        assert_eq!(
            (unknown.status, unknown.text("/errors/0/pointer").as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "moving")
        );
    }
    Ok(())
}

/// A capacity below the bookings drops none and names those over it. Then the room type changes.
#[tokio::test]
async fn a_smaller_class_names_the_appointments_over_capacity() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("Europe/London", hourly(3)).await?;
        let slot = starting(&open(&product, &clinic, &clinic.revision).await?, "09:00")?["slot_id"].clone();
        let (mut members, mut revision) = (Vec::new(), String::new());
        for number in 1..=2 {
            let booked = ok(book(&product, json!({"slot_id": slot}), number).await?);
            members.push(booked.text("/id"));
            revision = booked.revision();
        }
        let held = ok(product.post("/v1/holds", json!({"slot_id": slot})).await?);
        let smaller = change_service(&product, &clinic, json!({"capacity": 1}), &held.revision()).await?;
        assert_eq!(smaller.body["over_capacity"], json!([members[1]]), "the last booking: {}", smaller.body);
        let found = open(&product, &clinic, &revision).await?;
        assert!(starting(&found, "09:00").is_err() && starting(&found, "10:00").is_ok());
        let refused = book(&product, json!({"slot_id": slot}), 3).await?;
        assert_eq!(refused.text("/code"), "slot_changed", "the slot was one of a class");
        let kept = ok(book(&product, json!({"hold_id": held.text("/id")}), 4).await?);
        for id in &members {
            let visit = ok(product.get(&format!("/v1/appointments/{id}")).await?);
            assert_eq!((visit.text("/status").as_str(), &visit.body["starts_at"]), ("booked", &kept.body["starts_at"]));
        }
        let larger =
            change_service(&product, &clinic, json!({"capacity": 4, "prep_minutes": 10}), &kept.revision()).await?;
        assert_eq!(larger.body["over_capacity"], json!([]));
        let last = ok(book(&product, json!({"slot_id": slot}), 5).await?);
        assert_eq!((&last.body["room_id"], &last.body["ends_at"]), (&kept.body["room_id"], &kept.body["ends_at"]));
        assert_eq!(book(&product, json!({"slot_id": slot}), 6).await?.text("/code"), "slot_taken");
        assert_eq!(times(&product, &clinic.practitioner).await?.len(), 1, "one session");
        // The room no longer has the right type: all appointments are displaced and none is dropped.
        let moved = change_service(&product, &clinic, json!({"room_type": "gym"}), &last.revision()).await?;
        assert_eq!(moved.body["displaced"].as_array().map(Vec::len), Some(4), "{}", moved.body);
        assert_eq!(times(&product, &clinic.practitioner).await?.len(), 1);
    }
    Ok(())
}
