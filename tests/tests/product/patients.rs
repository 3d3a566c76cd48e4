//! Patient records, on both engines: changes that a booking proposes, national phone numbers, search, and characters that
//! no database can store.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Product, service};
use serde_json::{Value, json};

async fn both() -> Result<[Product; 2]> {
    Ok([Product::embedded(&[]).await?, Product::apart(&[]).await?])
}

/// A front end's key.
async fn front_end(product: &Product) -> Result<String> {
    let scopes = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
    Ok(product.post("/v1/keys", scopes).await?.text("/key"))
}

/// Open slots of a new clinic in this zone.
async fn slots(product: &Product, zone: &str) -> Result<Vec<Value>> {
    let mut service = service();
    service["code"] = json!(zone.to_lowercase().replace(['/', '_'], "-"));
    let clinic = product.clinic(zone, service).await?;
    let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
    let here = slots.into_iter().filter(|slot| slot["location_id"] == json!(clinic.location));
    // Far enough apart that any two can be booked.
    Ok(here.step_by(10).map(|slot| slot["slot_id"].clone()).collect())
}

fn codes(answer: &Answer) -> Vec<(String, String)> {
    let errors = answer.body["errors"].as_array().into_iter().flatten();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    errors.map(|error| (text(error, "pointer"), text(error, "code"))).collect()
}

#[tokio::test]
async fn a_front_end_adds_to_a_record_and_neither_reads_nor_overwrites_it() -> Result<()> {
    for product in both().await? {
        let (key, slots) = (front_end(&product).await?, slots(&product, "America/Edmonton").await?);
        let known = json!({"given_name": "Zoë", "family_name": "Example", "phone": "+17805550123",
            "email": "zoe@example.org", "date_of_birth": "1980-02-03"});
        let known = product.post("/v1/patients", known).await?;
        assert_eq!(known.body["proposed_changes"], json!([]), "{}", known.body);
        let details = json!({"given_name": "zoe", "family_name": "example", "phone": "780-555-0123",
            "email": "mallory@example.org", "language": "fr", "consents": [{"channel": "sms", "kind": "service"}]});
        let booking = json!({"slot_id": slots[0], "patient": details});
        let booked = product.send(Method::POST, "/v1/appointments", &key, &[], Some(booking)).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        let appointment = product.get(&format!("/v1/appointments/{}", booked.text("/id"))).await?;
        assert_eq!(appointment.text("/patient_id"), known.text("/id"));
        let path = format!("/v1/patients/{}", known.text("/id"));
        let record = product.get(&path).await?;
        assert_eq!(record.text("/email"), "zoe@example.org");
        assert_eq!(record.text("/language"), "fr");
        assert_eq!(record.body["consents"], json!([{"channel": "sms", "kind": "service"}]));
        let change = &record.body["proposed_changes"][0];
        assert_eq!(
            (&change["field"], &change["value"], &change["channel"]),
            (&json!("email"), &json!("mallory@example.org"), &json!("online"))
        );

        // No answer to the front end contains the record.
        let link = product.send(Method::GET, &booked.text("/links/manage"), "", &[], None).await?;
        for secret in ["zoe@example.org", "1980-02-03", "proposed", "mallory", known.text("/id").as_str()] {
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
            let refused = product.send(method, path, &key, &[], None).await?;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.body);
        }

        let open = product.get("/v1/patients?proposed_changes=true").await?;
        assert_eq!(open.body["data"].as_array().map(Vec::len), Some(1), "{}", open.body);
        let taken = product.send(Method::POST, &accept, ADMIN, &[], None).await?;
        assert_eq!((taken.status, taken.text("/email").as_str()), (StatusCode::OK, "mallory@example.org"));
        assert_eq!(taken.body["proposed_changes"], json!([]));
        assert_eq!(product.get("/v1/patients?proposed_changes=true").await?.body["data"], json!([]));
        assert_eq!(product.send(Method::POST, &accept, ADMIN, &[], None).await?.status, StatusCode::NOT_FOUND);
    }
    Ok(())
}

#[tokio::test]
async fn phone_numbers_are_read_in_national_form() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let (edmonton, london) = (slots(&product, "America/Edmonton").await?, slots(&product, "Europe/London").await?);
    let details = |phone: &str| json!({"given_name": "Ada", "family_name": "Example", "phone": phone});
    let phone_of = async |booked: Answer| -> Result<String> {
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        Ok(product.get(&format!("/v1/patients/{}", booked.text("/patient_id"))).await?.text("/phone"))
    };
    // The clinic's country decides, for a slot and for a hold.
    let booked =
        product.post("/v1/appointments", json!({"slot_id": edmonton[0], "patient": details("(780) 555-0123")}));
    assert_eq!(phone_of(booked.await?).await?, "+17805550123");
    let held = product.post("/v1/holds", json!({"slot_id": london[0]})).await?.text("/id");
    let booked = product.post("/v1/appointments", json!({"hold_id": held, "patient": details("0161 496 0000")}));
    assert_eq!(phone_of(booked.await?).await?, "+441614960000");
    let again =
        product.post("/v1/appointments", json!({"slot_id": london[1], "patient": details("+44 0161 496 0000")}));
    assert_eq!(phone_of(again.await?).await?, "+441614960000");
    let all = product.get("/v1/patients?query=Example").await?;
    assert_eq!(all.body["data"].as_array().map(Vec::len), Some(2), "one number, one patient: {}", all.body);
    // Digits that are valid in both countries are read as a number of the clinic's country.
    for (slot, expected) in [(&london[2], "+442079460000"), (&edmonton[2], "+12079460000")] {
        let booked = product.post("/v1/appointments", json!({"slot_id": slot, "patient": details("207 946 0000")}));
        assert_eq!(phone_of(booked.await?).await?, expected);
    }

    // Without an appointment, the organisation's country decides, or the one country of its locations in which it is valid.
    for (phone, expected) in
        [("780.555.0199", "+17805550199"), ("07700 900123", "+447700900123"), ("+44 (0)7700 900123", "+447700900123")]
    {
        let made = product.post("/v1/patients", details(phone)).await?;
        assert_eq!((made.status, made.text("/phone").as_str()), (StatusCode::CREATED, expected), "{}", made.body);
        let path = format!("/v1/patients/{}", made.text("/id"));
        let patch = json!({"phone": "(780) 555-0188"});
        let patched = product.send(Method::PATCH, &path, ADMIN, &[], Some(patch)).await?;
        assert_eq!(patched.text("/phone"), "+17805550188", "{}", patched.body);
    }
    let leeds = json!({"name": "Leeds", "time_zone": "Europe/London", "phone": "0113 496 0000"});
    assert_eq!(product.post("/v1/locations", leeds).await?.text("/phone"), "+441134960000");

    for phone in ["496 0000", "none", "780 555 0123 x4"] {
        let refused = product.post("/v1/patients", details(phone)).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
        assert_eq!(codes(&refused), [("/phone".to_owned(), "invalid_phone".to_owned())]);
        let detail = refused.text("/errors/0/detail");
        assert!(!detail.contains(phone) && !detail.contains("openapi"), "{detail}");
    }
    let refused = product.post("/v1/patients", details("496 0000")).await?.text("/errors/0/detail");
    assert!(refused.contains("CA") && refused.contains("+17805550123"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn reception_finds_patients_by_name_phone_or_birth_date() -> Result<()> {
    for product in both().await? {
        let slots = slots(&product, "Europe/London").await?;
        for (given, family, phone, born) in [
            ("José", "Müller", "+447700900999", json!("1980-02-03")),
            ("Siobhán", "O’Brien", "+447700900111", Value::Null),
        ] {
            let mut details = json!({"given_name": given, "family_name": family, "phone": phone});
            if !born.is_null() {
                details["date_of_birth"] = born;
            }
            let made = product.post("/v1/patients", details).await?;
            assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        }
        let jose = product.get("/v1/patients?query=jose").await?.text("/data/0/id");
        let booked = product.post("/v1/appointments", json!({"slot_id": slots[0], "patient_id": jose})).await?;
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
            let found = product.get(&format!("/v1/patients?q={query}")).await?;
            assert_eq!(product.get(&format!("/v1/patients?query={query}")).await?.body, found.body, "{query}");
            let hits = found.body["data"].as_array().context("a list")?;
            assert_eq!(hits.len(), 1, "{query}: {}", found.body);
            let next = &hits[0]["next_visit"];
            assert_eq!((&hits[0]["id"], &next["appointment_id"]), (&json!(jose), &booked.body["id"]), "{query}");
            assert_eq!((&next["starts_at"], &next["time_zone"]), (&booked.body["starts_at"], &json!("Europe/London")));
            assert_eq!(hits[0].get("last_visit"), None);
        }
        for query in ["o'brien", "O%E2%80%99Brien", "obrien%20siobhan"] {
            let found = product.get(&format!("/v1/patients?query={query}")).await?;
            assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{query}: {}", found.body);
            assert_eq!(found.text("/data/0/given_name"), "Siobhán");
        }
        assert_eq!(product.get("/v1/patients?q=nobody").await?.body["data"], json!([]));
        let both = product.get("/v1/patients?q=jose&query=jose").await?;
        assert_eq!((both.status, both.text("/errors/0/pointer")), (StatusCode::BAD_REQUEST, "query".to_owned()));

        // What was asked stays out of the log, the metrics and the audit log.
        let audit = product.get("/v1/audit?limit=200").await?.body.to_string();
        let metrics = product.text("/metrics").await?;
        assert!(audit.contains("q=*"), "{audit}");
        for kept in [audit, metrics, product.printed()] {
            for word in ["mueller", "900999", "1980-02-03", "jose", "nobody"] {
                assert!(!kept.to_lowercase().contains(word), "{word}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn control_characters_are_refused_on_both_engines() -> Result<()> {
    for product in both().await? {
        let slots = slots(&product, "Europe/London").await?;
        let details = |name: &str| json!({"given_name": name, "family_name": "Example", "phone": "+447700900123"});
        let known = product.post("/v1/patients", details("Ada")).await?.text("/id");
        let book = |note: &str| json!({"slot_id": slots[0], "patient": details("Ada"), "note": note});
        let patient = format!("/v1/patients/{known}");
        for (method, path, body, pointer) in [
            (Method::POST, "/v1/patients", Some(details("A\0da")), "/given_name"),
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
            let answer = product.send(method, path, ADMIN, &[], body).await?;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", answer.body);
            let expected = (pointer.to_owned(), "control_character".to_owned());
            assert!(codes(&answer).contains(&expected), "{path}: {}", answer.body);
        }

        let raw = |path: &str, media: &'static str, body: &'static str| {
            let client = testkit::http::client();
            let request = client.post(format!("{}{path}", product.url)).bearer_auth(ADMIN);
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

        // A one-line text has no control characters and no direction overrides; a note may have line breaks.
        for name in ["Ada\n", "\u{202e}adA", "A\u{85}"] {
            let answer = product.post("/v1/patients", details(name)).await?;
            assert_eq!(codes(&answer), [("/given_name".to_owned(), "control_character".to_owned())], "{name:?}");
        }
        let booked = product.post("/v1/appointments", book("one\r\n\ttwo 😀")).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    }
    Ok(())
}
