//! The attacks of a front end on patients, in both arrangements: it pumps no texts, and it does not find out who is a patient.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{Answer, Product, patient, service, sms};
use serde_json::{Value, json};
use testkit::sms::FakeProvider;

async fn front_end(product: &Product) -> Result<String> {
    let scopes = json!({"name": "web", "scopes": ["slots:read", "bookings:write"]});
    Ok(product.post("/v1/keys", scopes).await?.text("/key"))
}

async fn post(product: &Product, key: &str, visitor: &str, path: &str, body: Value) -> Result<Answer> {
    product.send(Method::POST, path, key, &[("meridian-visitor", visitor)], Some(body)).await
}

/// A product whose texts go to a provider, in each arrangement.
async fn products(provider: &FakeProvider, more: &[&str]) -> Result<[Product; 2]> {
    let settings = sms::settings(provider);
    let extra: Vec<&str> = settings.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Ok([Product::embedded(&extra).await?, Product::apart(&extra).await?])
}

/// The six digits of the last text to a number.
async fn code_for(provider: &FakeProvider, number: &str) -> String {
    testkit::poll::until("the code", std::time::Duration::from_secs(30), || async {
        let mut texts = provider.received().into_iter().filter(|one| one.form["To"] == number);
        let body = texts.next_back()?.form["Body"].clone();
        Some(body.split(|c: char| !c.is_ascii_digit()).find(|part| part.len() == 6)?.to_owned())
    })
    .await
}

#[tokio::test]
async fn sixty_bookings_with_one_number_send_no_more_texts_than_the_cap() -> Result<()> {
    let provider = FakeProvider::start().await?;
    for (product, number) in products(&provider, &[]).await?.into_iter().zip(["+17805550123", "+17805550124"]) {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let slots = product.slots(&clinic, (9, 16), &clinic.revision).await?;
        let key = front_end(&product).await?;
        let (mut booked, mut refused) = (vec![], 0);
        for at in 0..60 {
            let body =
                json!({"slot_id": slots[at * 3]["slot_id"], "patient": patient(&format!("Example {at}"), number)});
            let answer = post(&product, &key, &format!("visitor-{at}"), "/v1/appointments", body).await?;
            match answer.status {
                StatusCode::CREATED => booked.push(answer.text("/id")),
                StatusCode::TOO_MANY_REQUESTS => {
                    assert_eq!(answer.text("/code"), "message_limit");
                    assert!(answer.headers.contains_key("retry-after"));
                    refused += 1;
                }
                other => anyhow::bail!("{other}: {}", answer.body),
            }
        }
        assert_eq!(booked.len(), 10, "{refused} refused");
        for appointment in &booked {
            let path = format!("/v1/messages?appointment_id={appointment}&status=sent");
            testkit::poll::until("the confirmation", std::time::Duration::from_secs(60), || async {
                let list = product.get(&path).await.ok()?;
                list.body["data"].as_array()?.iter().any(|one| one["channel"] == "sms").then_some(())
            })
            .await;
        }
        assert_eq!(provider.received().iter().filter(|one| one.form["To"] == number).count(), 10);
        let metrics = product.text("/metrics").await.unwrap_or_default();
        assert!(!metrics.contains(&number[1..]), "no number in the metrics");
    }
    Ok(())
}

#[tokio::test]
async fn no_text_goes_to_a_number_of_another_country() -> Result<()> {
    let provider = FakeProvider::start().await?;
    for product in products(&provider, &[]).await? {
        let clinic = product.clinic("Europe/London", service()).await?;
        let slots = product.slots(&clinic, (9, 12), &clinic.revision).await?;
        let key = front_end(&product).await?;
        for (at, number) in ["+8816315551234", "+979123456789", "+5352345678"].into_iter().enumerate() {
            let body = json!({"slot_id": slots[at * 8]["slot_id"], "patient": patient("Example", number)});
            let booked = post(&product, &key, "one", "/v1/appointments", body).await?;
            assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
            let path = format!("/v1/messages?appointment_id={}&status=suppressed", booked.text("/id"));
            let text = testkit::poll::until("the message", std::time::Duration::from_secs(60), || async {
                let list = product.get(&path).await.ok()?;
                list.body["data"].as_array()?.iter().find(|one| one["channel"] == "sms").cloned()
            });
            assert_eq!(text.await["reason"], "country_not_allowed");
            let refused = post(&product, &key, "one", "/v1/verifications", json!({"phone": number})).await?;
            assert_eq!(refused.text("/errors/0/code"), "country_not_allowed", "{}", refused.body);
        }
    }
    assert!(provider.received().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_number_is_proved_by_the_code_that_goes_there() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let number = "+447700900123";
    for product in products(&provider, &["--set", "booking.verify=always"]).await? {
        let clinic = product.clinic("Europe/London", service()).await?;
        let slots = product.slots(&clinic, (9, 12), &clinic.revision).await?;
        let key = front_end(&product).await?;
        let mut body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", number)});
        let refused = post(&product, &key, "one", "/v1/appointments", body.clone()).await?;
        assert_eq!((refused.status.as_u16(), refused.text("/code").as_str()), (422, "verification_required"));

        let keyed = [("meridian-visitor", "one"), ("idempotency-key", "start")];
        let begin = || product.send(Method::POST, "/v1/verifications", &key, &keyed, Some(json!({"phone": number})));
        let started = begin().await?;
        assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.body);
        let sent = provider.received().len();
        assert_eq!(begin().await?.body, started.body, "the repeated request sends nothing");
        assert_eq!(provider.received().len(), sent);
        let path = format!("/v1/verifications/{}/check", started.text("/id"));
        let code = code_for(&provider, number).await;
        let wrong = format!("{:06}", (code.parse::<u32>()? + 1) % 1_000_000);
        let failed = post(&product, &key, "one", &path, json!({"code": wrong})).await?;
        assert_eq!((failed.text("/code").as_str(), &failed.body["tries_left"]), ("verification_failed", &json!(4)));
        let proved = post(&product, &key, "one", &path, json!({"code": code})).await?;
        assert_eq!(proved.status, StatusCode::OK, "{}", proved.body);
        body["verification"] = json!(proved.text("/verification"));
        let booked = post(&product, &key, "one", "/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        // Staff prove nothing.
        let body = json!({"slot_id": slots[20]["slot_id"], "patient": patient("Other", number)});
        assert_eq!(product.post("/v1/appointments", body).await?.status, StatusCode::CREATED);
        for secret in [code.as_str(), &proved.text("/verification")] {
            assert!(!product.printed().contains(secret), "{secret} leaked");
        }
    }
    Ok(())
}

/// A text with every id, instant and link replaced by as many dots.
fn without_ids(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), masked(name, value))).collect(),
        Value::Array(items) => items.iter().map(without_ids).collect(),
        other => other.clone(),
    }
}

fn masked(name: &str, value: &Value) -> Value {
    let is_own =
        name == "id" || name == "patient_id" || name == "manage" || name == "trace_id" || name.ends_with("_at");
    match value.as_str().filter(|_| is_own) {
        Some(text) => ".".repeat(text.len()).into(),
        None => without_ids(value),
    }
}

#[tokio::test]
async fn a_known_patient_and_an_unknown_one_get_the_same_answer() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let class = json!({"code": "class", "name": "Class", "duration_minutes": 60, "capacity": 4,
            "room_type": "treatment-room"});
        let clinic = product.clinic("Europe/London", class).await?;
        let slots = product.slots(&clinic, (4, 6), &clinic.revision).await?;
        let slot = slots[0]["slot_id"].clone();
        let known =
            product.post("/v1/appointments", json!({"slot_id": slot, "patient": patient("Known", "+447700900123")}));
        let known = known.await?;
        let record = known.text("/patient_id");
        let key = front_end(&product).await?;
        let book = async |slot: &Value, family_name: &str, phone: &str| {
            let body = json!({"slot_id": slot, "patient": patient(family_name, phone)});
            post(&product, &key, "one", "/v1/appointments", body).await
        };
        // The known patient is busy at this very time.
        let as_known = book(&slot, "Known", "+447700900123").await?;
        let as_unknown = book(&slot, "Unknown", "+447700900124").await?;
        assert_eq!(as_known.status, StatusCode::CREATED, "{}", as_known.body);
        let bytes = |answer: &Answer| serde_json::to_string(&without_ids(&answer.body));
        assert_eq!((as_known.status, bytes(&as_known)?), (as_unknown.status, bytes(&as_unknown)?));
        // An id does not tell when the record was made, and is the same in each answer to this key.
        assert_ne!(as_known.text("/patient_id"), record);
        let again = book(&slots.last().context("a slot")?["slot_id"], "Known", "+447700900123").await?;
        assert_eq!(again.text("/patient_id"), as_known.text("/patient_id"));
        let by_link = product.send(Method::GET, &as_known.text("/links/manage"), "", &[], None).await?;
        assert_ne!(by_link.text("/patient_id"), record);
        let staff = product.get(&format!("/v1/appointments/{}", as_known.text("/id"))).await?;
        assert_eq!(staff.text("/patient_id"), record, "staff see the record");

        let needling = json!({"code": "dry-needling", "name": "Needling", "duration_minutes": 30, "needling": true,
            "requires_prior": clinic.service, "room_type": "treatment-room"});
        let made = product.post("/v1/services", needling).await?;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let path = format!(
            "/v1/slots?service_id={}&from={}&to={}",
            made.text("/id"),
            scenarios::from_now(8)?,
            scenarios::from_now(10)?
        );
        let headers = [("meridian-revision", made.revision())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let open = product.send(Method::GET, &path, &key, &headers, None).await?;
        let slot = open.body["data"][0]["slot_id"].clone();
        let as_known = book(&slot, "Known", "+447700900123").await?;
        let as_unknown = book(&slot, "Stranger", "+447700900125").await?;
        assert_eq!(as_known.text("/code"), "verification_required", "{}", as_known.body);
        assert_eq!((as_known.status, bytes(&as_known)?), (as_unknown.status, bytes(&as_unknown)?));
    }
    Ok(())
}
