//! Records of real life, on both engines: no telephone, guardians, numbers of other systems, and patients whom staff keep from
//! booking online.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Product, patient, service, sms};
use serde_json::{Value, json};
use testkit::sms::FakeProvider;

const WITHIN: Duration = Duration::from_secs(60);
const GUARDIAN: &str = "+19105550177";

fn codes(answer: &Answer) -> Vec<(String, String)> {
    let errors = answer.body["errors"].as_array().into_iter().flatten();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    errors.map(|error| (text(error, "pointer"), text(error, "code"))).collect()
}

/// Open slots far enough apart that any two can be booked.
async fn slots(product: &Product) -> Result<Vec<Value>> {
    let clinic = product.clinic("America/New_York", service()).await?;
    let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
    Ok(slots.into_iter().step_by(10).map(|slot| slot["slot_id"].clone()).collect())
}

async fn front_end(product: &Product) -> Result<String> {
    let scopes = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
    Ok(product.post("/v1/keys", scopes).await?.text("/key"))
}

#[tokio::test]
async fn a_guardian_gets_a_childs_messages_and_answers_for_the_child() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    for product in [Product::embedded(&settings).await?, Product::apart(&settings).await?] {
        let slots = slots(&product).await?;
        let mut child = json!({"given_name": "Tim", "family_name": "Example",
            "consents": [{"channel": "sms", "kind": "service"}],
            "contacts": [{"name": "Mary Example", "relation": "mother", "phone": "none", "receives_messages": true},
                {"name": "Bob Example", "relation": "uncle", "email": "bob@example.org"}]});
        let made = product.post("/v1/patients", child.clone()).await?;
        assert_eq!(codes(&made), [("/contacts/0/phone".to_owned(), "invalid_phone".to_owned())], "{}", made.body);
        child["contacts"][0]["phone"] = json!("(910) 555-0177");
        let made = product.post("/v1/patients", child).await?;
        assert_eq!((made.status, &made.body["phone"]), (StatusCode::CREATED, &Value::Null), "{}", made.body);
        let booking = json!({"slot_id": slots[0], "patient_id": made.text("/id")});
        let booked = product.post("/v1/appointments", booking).await?;
        let path = format!("/v1/messages?status=sent&appointment_id={}", booked.text("/id"));
        let to = testkit::poll::until("the text", WITHIN, || async {
            let sent = product.get(&path).await.ok()?.body["data"].as_array()?.len();
            provider.received().last().filter(|_| sent > 0).and_then(|text| text.form.get("To").cloned())
        });
        assert_eq!(to.await, GUARDIAN);

        // The guardian's answer counts, the guardian's stop word ends the child's texts, and the guardian's number and the
        // child's name are the child.
        sms::write(&product, GUARDIAN, "c", 1).await?;
        assert!(
            product.get(&format!("/v1/appointments/{}", booked.text("/id"))).await?.body["confirmed_at"].is_string()
        );
        for query in ["9105550177", "bob@example.org"] {
            assert_eq!(product.get(&format!("/v1/patients?q={query}")).await?.text("/data/0/id"), made.text("/id"));
        }
        let again =
            json!({"slot_id": slots[1], "patient": {"given_name": "Tim", "family_name": "Example", "phone": GUARDIAN}});
        assert_eq!(product.post("/v1/appointments", again).await?.text("/patient_id"), made.text("/id"));
        sms::write(&product, GUARDIAN, "STOP", 2).await?;
        let path = format!("/v1/patients/{}", made.text("/id"));
        assert_eq!(product.get(&path).await?.body["consents"], json!([]));

        // Two contacts do not both get the messages.
        let both = json!({"contacts": [{"name": "A", "relation": "aunt", "phone": GUARDIAN, "receives_messages": true},
            {"name": "B", "relation": "aunt", "receives_messages": true}]});
        let refused = product.send(Method::PATCH, &path, ADMIN, &[], Some(both)).await?;
        let expected = [("/contacts/1/phone", "missing"), ("/contacts/1/receives_messages", "too_many")];
        assert_eq!(codes(&refused), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
        let emptied = product.send(Method::PATCH, &path, ADMIN, &[], Some(json!({"contacts": null}))).await?;
        assert_eq!((emptied.status, emptied.body.get("contacts")), (StatusCode::OK, None), "{}", emptied.body);
    }
    Ok(())
}

#[tokio::test]
async fn staff_need_no_telephone_number_and_a_front_end_does() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let (key, slots) = (front_end(&product).await?, slots(&product).await?);
        let nameless =
            json!({"slot_id": slots[0], "patient": {"given_name": "Ada", "family_name": " ", "email": "a@b@c"}});
        let refused = product.send(Method::POST, "/v1/appointments", &key, &[], Some(nameless.clone())).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        let ada = json!({"given_name": "Ada", "family_name": "Example"});
        let booking = |at: usize| json!({"slot_id": slots[at], "patient": ada});
        let refused = product.send(Method::POST, "/v1/appointments", &key, &[], Some(booking(0))).await?;
        assert_eq!(codes(&refused), [("/patient/phone".to_owned(), "missing".to_owned())], "{}", refused.body);
        // Two of one name and without a number are two people.
        let (one, other) =
            (product.post("/v1/appointments", booking(0)).await?, product.post("/v1/appointments", booking(1)).await?);
        assert_eq!((one.status, other.status), (StatusCode::CREATED, StatusCode::CREATED), "{}", one.body);
        assert_ne!(one.text("/patient_id"), other.text("/patient_id"));
        // What only staff set is no part of a booking.
        let mut sneaky = booking(2);
        sneaky["patient"]["external_id"] = json!("7");
        assert_eq!(codes(&product.post("/v1/appointments", sneaky).await?)[0].1, "unknown_field");
    }
    Ok(())
}

#[tokio::test]
async fn a_patient_has_numbers_of_other_systems_and_values_of_the_clinic() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let mut body = patient("Example", "+17805550123");
        body["identifiers"] = json!([{"system": "ab-health-card", "value": "AB-9912"}]);
        body["external_id"] = json!("crm-1");
        body["custom"] = json!({"referred_by": "Dr Example"});
        let made = product.post("/v1/patients", body.clone()).await?;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        for field in ["identifiers", "external_id", "custom"] {
            assert_eq!(made.body[field], body[field], "{field}");
        }
        product
            .post("/v1/patients", json!({"given_name": "Bob", "family_name": "Example", "external_id": "crm-10"}))
            .await?;
        let found = async |query: &str| -> Result<Vec<String>> {
            let list = product.get(&format!("/v1/patients?{query}")).await?.body;
            let ids = list["data"].as_array().context("a list")?.iter().filter_map(|it| it["id"].as_str());
            Ok(ids.map(str::to_owned).collect())
        };
        for query in ["external_id=crm-1", "external_id=crm-1&q=exam", "external_id=crm-1&query=example", "q=crm-1x"] {
            let expected = if query.ends_with('x') { vec![] } else { vec![made.text("/id")] };
            assert_eq!(found(query).await?, expected, "{query}");
        }
        // Every fault of the staff's fields at once.
        let faulty = json!({"given_name": "Ada", "family_name": "\t", "phone": "none", "external_id": " ",
            "identifiers": [{"system": "a", "value": "1"}, {"system": "a", "value": "1"}], "custom": {"a b": "c"},
            "blocked": {"reason": " "}});
        let pointers: Vec<String> =
            codes(&product.post("/v1/patients", faulty).await?).into_iter().map(|it| it.0).collect();
        let expected = ["/family_name", "/phone", "/identifiers/1", "/external_id", "/custom", "/blocked/reason"];
        for pointer in expected {
            assert!(pointers.iter().any(|it| it == pointer), "{pointer}: {pointers:?}");
        }
        let path = format!("/v1/patients/{}", made.text("/id"));
        let patched = product.send(Method::PATCH, &path, ADMIN, &[], Some(json!({"external_id": null}))).await?;
        assert_eq!((patched.body.get("external_id"), &patched.body["custom"]), (None, &body["custom"]));
        assert_eq!(found("external_id=crm-1").await?, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test]
async fn a_blocked_patient_books_through_staff_alone() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let (key, slots) = (front_end(&product).await?, slots(&product).await?);
        let mut body = patient("Example", "+17805550123");
        body["blocked"] = json!({"reason": "three no-shows"});
        let made = product.post("/v1/patients", body).await?;
        let path = format!("/v1/patients/{}", made.text("/id"));
        let online = |at: usize| json!({"slot_id": slots[at], "patient": patient("Example", "+17805550123")});
        let book = async |at: usize| product.send(Method::POST, "/v1/appointments", &key, &[], Some(online(at))).await;
        let refused = book(0).await?;
        assert_eq!(
            (refused.status, refused.text("/code").as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "patient_blocked")
        );
        let by_id = json!({"slot_id": slots[0], "patient_id": made.text("/id")});
        let booked = product.post("/v1/appointments", by_id).await?;
        assert_eq!((booked.status, booked.text("/warnings/0/code").as_str()), (StatusCode::CREATED, "patient_blocked"));
        assert_eq!(product.get(&path).await?.text("/blocked/reason"), "three no-shows");
        for answer in [refused, booked] {
            assert!(!answer.body.to_string().contains("no-show"), "{}", answer.body);
        }
        assert!(!product.printed().contains("no-shows"));

        // The block ends by itself after its last day, or when staff take it away.
        for (block, expected) in [
            (json!({"blocked": {"until": "2999-12-31"}}), StatusCode::UNPROCESSABLE_ENTITY),
            (json!({"blocked": {"until": "2020-01-01"}}), StatusCode::CREATED),
        ] {
            product.send(Method::PATCH, &path, ADMIN, &[], Some(block)).await?;
            assert_eq!(book(1).await?.status, expected);
        }
        let unblocked = product.send(Method::PATCH, &path, ADMIN, &[], Some(json!({"blocked": null}))).await?;
        assert_eq!(unblocked.body.get("blocked"), None);
        let booked = book(2).await?;
        assert_eq!((booked.status, booked.body.get("warnings")), (StatusCode::CREATED, None), "{}", booked.body);
    }
    Ok(())
}
