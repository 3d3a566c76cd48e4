//! Patients as a front end and a reception meet them: what a booking says of them, how telephones are written, how they are
//! found, and texts that no database can keep; in both arrangements, so on both engines.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, House, service};
use serde_json::{Value, json};

async fn both() -> Result<[House; 2]> {
    Ok([House::embedded(&[]).await?, House::apart(&[]).await?])
}

/// A front end's key.
async fn front_end(house: &House) -> Result<String> {
    let scopes = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
    Ok(house.post("/v1/keys", scopes).await?.text("/key"))
}

/// Open slots of a new clinic in this zone.
async fn slots(house: &House, zone: &str) -> Result<Vec<Value>> {
    let mut service = service();
    service["code"] = json!(zone.to_lowercase().replace(['/', '_'], "-"));
    let clinic = house.clinic(zone, service).await?;
    let slots = house.slots(&clinic, (2, 4), &clinic.revision).await?;
    let here = slots.into_iter().filter(|slot| slot["location_id"] == json!(clinic.location));
    // Far enough from each other for any two of them.
    Ok(here.step_by(10).map(|slot| slot["slot_id"].clone()).collect())
}

fn codes(answer: &Answer) -> Vec<(String, String)> {
    let errors = answer.body["errors"].as_array().into_iter().flatten();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    errors.map(|error| (text(error, "pointer"), text(error, "code"))).collect()
}

#[tokio::test]
async fn a_front_end_adds_to_a_record_and_neither_reads_nor_overwrites_it() -> Result<()> {
    for house in both().await? {
        let (key, slots) = (front_end(&house).await?, slots(&house, "America/Edmonton").await?);
        let known = json!({"given_name": "Zoë", "family_name": "Example", "phone": "+17805550123",
            "email": "zoe@example.org", "date_of_birth": "1980-02-03"});
        let known = house.post("/v1/patients", known).await?;
        assert_eq!(known.body["proposed_changes"], json!([]), "{}", known.body);
        let said = json!({"given_name": "zoe", "family_name": "example", "phone": "780-555-0123",
            "email": "mallory@example.org", "language": "fr", "consents": [{"channel": "sms", "kind": "service"}]});
        let booking = json!({"slot_id": slots[0], "patient": said});
        let booked = house.send(Method::POST, "/v1/appointments", &key, &[], Some(booking)).await?;
        assert_eq!((booked.status, booked.text("/patient_id")), (StatusCode::CREATED, known.text("/id")));
        let path = format!("/v1/patients/{}", known.text("/id"));
        let record = house.get(&path).await?;
        assert_eq!(record.text("/email"), "zoe@example.org");
        assert_eq!(record.text("/language"), "fr");
        assert_eq!(record.body["consents"], json!([{"channel": "sms", "kind": "service"}]));
        let change = &record.body["proposed_changes"][0];
        assert_eq!(
            (&change["field"], &change["value"], &change["channel"]),
            (&json!("email"), &json!("mallory@example.org"), &json!("online"))
        );

        // Nothing of it is said to the front end, by whichever door.
        let link = house.send(Method::GET, &booked.text("/links/manage"), "", &[], None).await?;
        for secret in ["zoe@example.org", "1980-02-03", "proposed", "mallory"] {
            assert!(!booked.body.to_string().contains(secret), "{secret}: {}", booked.body);
            assert!(!link.body.to_string().contains(secret), "{secret}: {}", link.body);
        }
        let accept = format!("{path}/proposed_changes/{}/accept", record.text("/proposed_changes/0/id"));
        for (method, path) in [
            (Method::GET, path.as_str()),
            (Method::GET, "/v1/patients?proposed_changes=true"),
            (Method::POST, accept.as_str()),
            (Method::POST, &accept.replace("/accept", "/dismiss")),
        ] {
            let refused = house.send(method, path, &key, &[], None).await?;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.body);
        }

        let open = house.get("/v1/patients?proposed_changes=true").await?;
        assert_eq!(open.body["data"].as_array().map(Vec::len), Some(1), "{}", open.body);
        let taken = house.send(Method::POST, &accept, ADMIN, &[], None).await?;
        assert_eq!((taken.status, taken.text("/email").as_str()), (StatusCode::OK, "mallory@example.org"));
        assert_eq!(taken.body["proposed_changes"], json!([]));
        assert_eq!(house.get("/v1/patients?proposed_changes=true").await?.body["data"], json!([]));
        assert_eq!(house.send(Method::POST, &accept, ADMIN, &[], None).await?.status, StatusCode::NOT_FOUND);
    }
    Ok(())
}

#[tokio::test]
async fn a_telephone_is_written_as_people_write_it() -> Result<()> {
    let house = House::embedded(&[]).await?;
    let (edmonton, london) = (slots(&house, "America/Edmonton").await?, slots(&house, "Europe/London").await?);
    let person = |phone: &str| json!({"given_name": "Ada", "family_name": "Example", "phone": phone});
    let phone_of = async |booked: Answer| -> Result<String> {
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        Ok(house.get(&format!("/v1/patients/{}", booked.text("/patient_id"))).await?.text("/phone"))
    };
    // Where the visit is, by a slot and by a hold.
    let booked = house.post("/v1/appointments", json!({"slot_id": edmonton[0], "patient": person("(780) 555-0123")}));
    assert_eq!(phone_of(booked.await?).await?, "+17805550123");
    let held = house.post("/v1/holds", json!({"slot_id": london[0]})).await?.text("/id");
    let booked = house.post("/v1/appointments", json!({"hold_id": held, "patient": person("0161 496 0000")}));
    assert_eq!(phone_of(booked.await?).await?, "+441614960000");
    let again = house.post("/v1/appointments", json!({"slot_id": london[1], "patient": person("+44 0161 496 0000")}));
    assert_eq!(phone_of(again.await?).await?, "+441614960000");
    let all = house.get("/v1/patients?query=Example").await?;
    assert_eq!(all.body["data"].as_array().map(Vec::len), Some(2), "one number, one patient: {}", all.body);
    // Digits that are a number in both countries are one of the country where the visit is.
    for (slot, expected) in [(&london[2], "+442079460000"), (&edmonton[2], "+12079460000")] {
        let booked = house.post("/v1/appointments", json!({"slot_id": slot, "patient": person("207 946 0000")}));
        assert_eq!(phone_of(booked.await?).await?, expected);
    }

    // Without a visit: the organisation's country, and that of its locations where only one of them has such a number.
    for (phone, expected) in
        [("780.555.0199", "+17805550199"), ("07700 900123", "+447700900123"), ("+44 (0)7700 900123", "+447700900123")]
    {
        let made = house.post("/v1/patients", person(phone)).await?;
        assert_eq!((made.status, made.text("/phone").as_str()), (StatusCode::CREATED, expected), "{}", made.body);
        let path = format!("/v1/patients/{}", made.text("/id"));
        let patch = json!({"phone": "(780) 555-0188"});
        let patched = house.send(Method::PATCH, &path, ADMIN, &[], Some(patch)).await?;
        assert_eq!(patched.text("/phone"), "+17805550188", "{}", patched.body);
    }
    let place = json!({"name": "Leeds", "time_zone": "Europe/London", "phone": "0113 496 0000"});
    assert_eq!(house.post("/v1/locations", place).await?.text("/phone"), "+441134960000");

    for phone in ["496 0000", "none", "780 555 0123 x4"] {
        let refused = house.post("/v1/patients", person(phone)).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
        assert_eq!(codes(&refused), [("/phone".to_owned(), "invalid_phone".to_owned())]);
        let detail = refused.text("/errors/0/detail");
        assert!(!detail.contains(phone) && !detail.contains("openapi"), "{detail}");
    }
    let refused = house.post("/v1/patients", person("496 0000")).await?.text("/errors/0/detail");
    assert!(refused.contains("CA") && refused.contains("+17805550123"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn reception_finds_patients_by_whatever_they_say() -> Result<()> {
    for house in both().await? {
        let slots = slots(&house, "Europe/London").await?;
        for (given, family, phone, born) in [
            ("José", "Müller", "+447700900999", json!("1980-02-03")),
            ("Siobhán", "O’Brien", "+447700900111", Value::Null),
        ] {
            let mut person = json!({"given_name": given, "family_name": family, "phone": phone});
            if !born.is_null() {
                person["date_of_birth"] = born;
            }
            let made = house.post("/v1/patients", person).await?;
            assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        }
        let jose = house.get("/v1/patients?query=jose").await?.text("/data/0/id");
        let booked = house.post("/v1/appointments", json!({"slot_id": slots[0], "patient_id": jose})).await?;
        for query in [
            "jose",
            "MULLER",
            "mueller%20jos%C3%A9",
            "07700%20900999",
            "+44%207700%20900999",
            "%2B447700900999",
            "(07700)%20900-999",
            "1980-02-03",
            "900999",
        ] {
            let found = house.get(&format!("/v1/patients?query={query}")).await?;
            let hits = found.body["data"].as_array().context("a list")?;
            assert_eq!(hits.len(), 1, "{query}: {}", found.body);
            let next = &hits[0]["next_visit"];
            assert_eq!((&hits[0]["id"], &next["appointment_id"]), (&json!(jose), &booked.body["id"]), "{query}");
            assert_eq!((&next["starts_at"], &next["time_zone"]), (&booked.body["starts_at"], &json!("Europe/London")));
            assert_eq!(hits[0].get("last_visit"), None);
        }
        for query in ["o'brien", "O%E2%80%99Brien", "obrien%20siobhan"] {
            let found = house.get(&format!("/v1/patients?query={query}")).await?;
            assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{query}: {}", found.body);
            assert_eq!(found.text("/data/0/given_name"), "Siobhán");
        }
        assert_eq!(house.get("/v1/patients?query=nobody").await?.body["data"], json!([]));
    }
    Ok(())
}

#[tokio::test]
async fn a_character_that_no_database_keeps_is_refused_on_both() -> Result<()> {
    for house in both().await? {
        let slots = slots(&house, "Europe/London").await?;
        let person = |name: &str| json!({"given_name": name, "family_name": "Example", "phone": "+447700900123"});
        let known = house.post("/v1/patients", person("Ada")).await?.text("/id");
        let book = |note: &str| json!({"slot_id": slots[0], "patient": person("Ada"), "note": note});
        let patient = format!("/v1/patients/{known}");
        for (method, path, body, pointer) in [
            (Method::POST, "/v1/patients", Some(person("A\0da")), "/given_name"),
            (Method::POST, "/v1/appointments", Some(book("a\0")), "/note"),
            (Method::PATCH, patient.as_str(), Some(json!({"family_name": "\0"})), "/family_name"),
            (Method::POST, "/v1/locations", Some(json!({"name": "\0", "time_zone": "Europe/London"})), "/name"),
            (Method::POST, "/v1/keys", Some(json!({"name": "\0", "scopes": ["slots:read"]})), "/name"),
            (
                Method::POST,
                "/v1/reminder_rules",
                Some(json!({"trigger": "booked", "channels": ["sms"], "template": {"sms": "\0"}})),
                "/template/sms",
            ),
            (
                Method::POST,
                "/v1/webhook_endpoints",
                Some(json!({"url": "https://example.org/", "events": ["plan.at_risk"], "description": "\0"})),
                "/description",
            ),
            (Method::GET, "/v1/patients?query=a%00", None, "query"),
            (Method::GET, "/v1/appointments?cursor=%00", None, "cursor"),
            (Method::GET, "/v1/patients/pat_%00", None, "id"),
            (Method::GET, "/v1/manage/%00", None, "token"),
        ] {
            let answer = house.send(method, path, ADMIN, &[], body).await?;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", answer.body);
            let expected = (pointer.to_owned(), "control_character".to_owned());
            assert!(codes(&answer).contains(&expected), "{path}: {}", answer.body);
        }

        let raw = |path: &str, media: &'static str, body: &'static str| {
            let client = testkit::http::client();
            let request = client.post(format!("{}{path}", house.url)).bearer_auth(ADMIN);
            request.header("content-type", media).body(body).send()
        };
        let half = r#"{"given_name": "A\ud83d", "family_name": "Example", "phone": "+447700900123"}"#;
        let answer = raw("/v1/patients", "application/json", half).await?;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let body: Value = answer.json().await?;
        assert_eq!(body.pointer("/errors/0/pointer"), Some(&json!("/given_name")), "{body}");
        let inbound = "/v1/providers/twilio/inbound";
        for (media, body) in [
            ("application/x-www-form-urlencoded", "From=%2B447700900123&Body=%00"),
            ("application/json", r#"{"from": "+447700900123", "text": "\u0000"}"#),
            ("application/json", r#"{"from": "+447700900123", "text": "\udc00"}"#),
        ] {
            assert_eq!(raw(inbound, media, body).await?.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        }

        // A line takes no control and nothing that turns its direction; a note takes line breaks.
        for name in ["Ada\n", "\u{202e}adA", "A\u{85}"] {
            let answer = house.post("/v1/patients", person(name)).await?;
            assert_eq!(codes(&answer), [("/given_name".to_owned(), "control_character".to_owned())], "{name:?}");
        }
        let booked = house.post("/v1/appointments", book("one\r\n\ttwo 😀")).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    }
    Ok(())
}
