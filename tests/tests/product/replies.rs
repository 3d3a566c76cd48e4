//! Patients' replies, from the provider's webhook to the inbox, in both arrangements; PyPI's `twilio` signs them.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result};
use reqwest::StatusCode;
use runtime::Clock;
use scenarios::{Product, patient, service, sms};
use serde_json::{Value, json};
use testkit::{
    endpoint::{Answer, Endpoint},
    sms::{AUTH_TOKEN, FakeProvider},
};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(60);
const PHONE: &str = "+19105550123";
const PACKAGE: &str = "twilio==9.8.5";
/// Signs a request as Twilio does, and validates our own signature of it.
const SIGN: &str = r#"
import json, sys
from twilio.request_validator import RequestValidator
asked = json.load(sys.stdin)
validator = RequestValidator(asked["token"])
form = dict(asked["form"])
assert validator.validate(asked["url"], form, asked["ours"]), "our signature is not theirs"
assert not validator.validate(asked["url"] + "?x=1", form, asked["ours"])
print(validator.compute_signature(asked["url"], form))
"#;

async fn twilio(url: &str, form: &[(String, String)]) -> Result<String> {
    let ours = reminder::twilio_signature(AUTH_TOKEN, url, form);
    let asked = json!({"token": AUTH_TOKEN, "url": url, "form": form, "ours": ours}).to_string();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let printed =
        tokio::task::spawn_blocking(move || testkit::python::run(&folder, PACKAGE, SIGN, asked.as_bytes())).await??;
    Ok(printed.trim().to_owned())
}

#[tokio::test]
async fn a_patient_confirms_and_cancels_by_text_message() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    for product in [Product::embedded(&settings).await?, Product::apart(&settings).await?] {
        let clinic = product.clinic("America/New_York", service()).await?;
        let slots = product.slots(&clinic, (5, 6), &clinic.revision).await?;
        let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", PHONE)});
        let booked = product.post("/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        let visit = format!("/v1/appointments/{}", booked.text("/id"));
        let path = format!("/v1/messages?status=sent&appointment_id={}", booked.text("/id"));
        let sent = async |trigger: &'static str| {
            testkit::poll::until(trigger, WITHIN, || async {
                let list = product.get(&path).await.ok()?;
                let texts = |it: &&Value| it["trigger"] == trigger && it["channel"] == "sms";
                list.body["data"].as_array()?.iter().find(texts).cloned()
            })
            .await
        };
        sent("booked").await;

        let url = format!("{}/v1/providers/twilio/inbound", product.url);
        let form = sms::form(PHONE, "c", 1);
        let post = async |signature: &str| {
            testkit::http::client().post(&url).header("x-twilio-signature", signature).form(&form).send().await
        };
        assert_eq!(post("bm90IHRoZWlycw==").await?.status(), StatusCode::FORBIDDEN, "a forged message");
        let taken = post(&twilio(&url, &form).await?).await?;
        assert_eq!(taken.headers()["content-type"], "text/xml");
        assert_eq!((taken.status(), taken.text().await?), (StatusCode::OK, "<Response></Response>".to_owned()));
        assert!(product.get(&visit).await?.body["confirmed_at"].is_string());
        let answer = sent("reply").await;
        assert!(answer["text"].as_str().context("a text")?.contains("thank you"), "{answer}");

        sms::write(&product, PHONE, "x", 2).await?;
        let off = product.get(&visit).await?.body;
        assert_eq!((&off["status"], &off["cancellation"]["by"]), (&json!("cancelled"), &json!("patient")), "{off}");
        sent("cancelled").await;

        sms::write(&product, PHONE, "my knee hurts", 3).await?;
        let inbox = product.get("/v1/inbox?unread=true").await?;
        assert_eq!(
            (&inbox.body["unread_count"], inbox.text("/data/0/attention").as_str()),
            (&json!(1), "not_understood")
        );
        let read = product.post(&format!("/v1/inbox/{}/read", inbox.text("/data/0/id")), json!({})).await?;
        assert_eq!((read.status, read.text("/read_by").as_str()), (StatusCode::OK, "admin"));
        assert_eq!(product.get("/v1/inbox").await?.body["unread_count"], json!(0));

        // STOP withdraws the consent of each patient with this number, and the history records it.
        sms::write(&product, PHONE, "STOP", 4).await?;
        let consents = format!("/v1/patients/{}/consents", off["patient_id"].as_str().context("a patient")?);
        let now = product.get(&consents).await?;
        assert_eq!(now.body["consents"], json!([{"channel": "email", "kind": "service"}]));
        let last = &now.body["data"][0];
        assert_eq!((&last["given"], &last["by"], &last["how"]), (&json!(false), &json!("patient"), &json!("reply")));
        let consent = json!({"channel": "sms", "kind": "service", "given": true, "how": "phone"});
        let back = product.post(&consents, consent).await?;
        assert_eq!(back.status, StatusCode::CREATED, "{}", back.body);
        assert_eq!(back.body["consents"].as_array().map(Vec::len), Some(2));
        let printed = product.printed();
        assert!(!printed.contains("my knee") && !printed.contains(PHONE), "patients' texts are not logged");
    }
    Ok(())
}

/// The public address of the product.
const PUBLIC: &str = "https://book.example.org";

#[tokio::test]
async fn the_public_address_is_in_links_and_signatures_under_either_key() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let sent = async |index: usize| {
        testkit::poll::until("the text", WITHIN, || async { text_of_booking(&provider, index) }).await
    };
    let (by_one, by_other) = (format!("reminder.public_url={PUBLIC}"), format!("public_url={PUBLIC}"));
    for (index, (name, apart)) in [(&by_one, false), (&by_one, true), (&by_other, true)].into_iter().enumerate() {
        let mut extra: Vec<&str> = settings.iter().map(String::as_str).collect();
        extra.extend(["--set", name]);
        let product = if apart { Product::apart(&extra).await? } else { Product::embedded(&extra).await? };
        let clinic = product.clinic("America/New_York", service()).await?;
        let slots = product.slots(&clinic, (5, 6), &clinic.revision).await?;
        let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", PHONE)});
        let booked = product.post("/v1/appointments", body).await?;
        assert!(booked.text("/links/manage").starts_with(&format!("{PUBLIC}/v1/manage/")), "{}", booked.body);
        let form = sent(index).await;
        assert!(form["Body"].contains(&format!("{PUBLIC}/m/")), "{}", form["Body"]);
        let callback = &form["StatusCallback"];
        assert!(callback.starts_with(&format!("{PUBLIC}/v1/providers/twilio/status?")), "{callback}");
        // The provider signs the public URL; a proxy passes the request on to the address where the product listens.
        let post = async |url: &str, form: &[(String, String)]| -> Result<StatusCode> {
            let signature = reminder::twilio_signature(AUTH_TOKEN, url, form);
            let local = format!("{}{}", product.url, &url[url.find("/v1/").context("a path")?..]);
            let request = testkit::http::client().post(local).header("x-twilio-signature", signature).form(form);
            Ok(request.send().await?.status())
        };
        let report = [("MessageSid", "SM1"), ("MessageStatus", "delivered")];
        let report = report.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(post(callback, &report).await?, StatusCode::OK, "{name}, apart: {apart}");
        let inbound = format!("{PUBLIC}/v1/providers/twilio/inbound");
        assert_eq!(post(&inbound, &sms::form(PHONE, "hello", 1)).await?, StatusCode::OK, "{name}, apart: {apart}");
        assert_eq!(product.get("/v1/inbox").await?.body["unread_count"], json!(1));
        let evil = inbound.replace("book", "evil");
        assert_eq!(post(&evil, &sms::form(PHONE, "x", 2)).await?, StatusCode::FORBIDDEN, "signed for another address");

        let (succeeded, printed) = product.command(&["doctor", "--set", name]).await?;
        assert!(succeeded && printed.contains(&format!("links lead to {PUBLIC}")), "{printed}");
    }
    Ok(())
}

/// The form of the n-th text about a booking that the provider received.
fn text_of_booking(provider: &FakeProvider, index: usize) -> Option<HashMap<String, String>> {
    let texts = provider.received().into_iter().map(|one| one.form);
    texts.filter(|form| form["Body"].contains("you are booked")).nth(index)
}

#[tokio::test]
async fn the_doctor_reports_two_different_public_addresses() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let (succeeded, printed) = product.command(&["doctor"]).await?;
    assert!(succeeded && printed.contains("ok      public address: public_url is not set"), "{printed}");
    let differ = ["doctor", "--set", "public_url=https://a.example", "--set", "reminder.public_url=https://b.example"];
    let (succeeded, printed) = product.command(&differ).await?;
    assert!(
        !succeeded && printed.contains("WRONG   public address: public_url is https://a.example and reminder."),
        "{printed}"
    );
    let slash = ["doctor", "--set", "public_url=https://a.example/"];
    let (succeeded, printed) = product.command(&slash).await?;
    assert!(
        !succeeded && printed.contains("public_url: write a URL such as https://book.example.org, without a slash"),
        "{printed}"
    );
    Ok(())
}

#[tokio::test]
async fn an_own_sms_gateway_posts_texts_in_the_documented_form() -> Result<()> {
    let provider = Endpoint::start(Answer::Say(202, String::new())).await?;
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let url = format!("reminder.providers.http.url={}", provider.url());
    let key = format!("reminder.providers.http.secret={secret}");
    let product = Product::embedded(&["--set", "reminder.sms_provider=http", "--set", &url, "--set", &key]).await?;
    let pass_on = async |media: &str, body: &str| -> Result<(StatusCode, String, Value)> {
        let seconds = Clock::system().now().as_second();
        let signature = secret.parse::<signing::Secret>()?.sign("evt_1", seconds, body.as_bytes());
        let request = testkit::http::client()
            .post(format!("{}/v1/providers/http/inbound", product.url))
            .header("content-type", media)
            .header("webhook-id", "evt_1")
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature);
        let answer = request.body(body.to_owned()).send().await?;
        let media = answer.headers()["content-type"].to_str()?.to_owned();
        Ok((answer.status(), media, answer.json().await?))
    };
    let json_body = "application/json";
    // A text without an id is always new; one with an id counts once. A JSON request has a JSON answer.
    for (body, repeated) in [
        (r#"{"from":"+19105550123","text":"hello"}"#, false),
        (r#"{"from":"+19105550124","text":"hello"}"#, false),
        (r#"{"from":"+19105550123","text":"hello"}"#, false),
        (r#"{"id":"in-1","from":"+19105550123","text":"hello"}"#, false),
        (r#"{"id":"in-1","from":"+19105550123","text":"hello"}"#, true),
    ] {
        let (status, media, answer) = pass_on(json_body, body).await?;
        assert_eq!((status, media.as_str()), (StatusCode::OK, "application/json"), "{answer}");
        assert_eq!((&answer["repeated"], answer["id"].is_null()), (&json!(repeated), repeated), "{answer}");
    }
    assert_eq!(product.get("/v1/inbox").await?.body["unread_count"], json!(4));
    for (media, body, expected, pointers) in [
        (json_body, r#"{"from":"+19105550123","body":"C"}"#, StatusCode::UNPROCESSABLE_ENTITY, vec!["/body", "/text"]),
        (json_body, r#"{"from":"+19105550123","text":""}"#, StatusCode::UNPROCESSABLE_ENTITY, vec!["/text"]),
        (json_body, r#"{"from":"+19105550123","#, StatusCode::BAD_REQUEST, vec![]),
        ("application/x-www-form-urlencoded", "from=%2B19105550123&text=C", StatusCode::BAD_REQUEST, vec![]),
    ] {
        let (status, media, answer) = pass_on(media, body).await?;
        assert_eq!((status, media.as_str()), (expected, "application/problem+json"), "{answer}");
        let found = answer["errors"].as_array().into_iter().flatten().map(|one| one["pointer"].clone());
        assert_eq!(found.collect::<Vec<_>>(), pointers, "{answer}");
    }
    assert_eq!(product.get("/v1/inbox").await?.body["unread_count"], json!(4), "refused texts are not stored");

    let document = product.get("/openapi.json").await?.body;
    let body = &document["paths"]["/v1/providers/{provider}/inbound"]["post"]["requestBody"]["content"][json_body];
    assert_eq!(body["schema"]["anyOf"][0]["required"], json!(["from", "text"]));
    // The documented example is accepted.
    let example = body["examples"]["http"]["value"].to_string();
    assert_eq!(pass_on(json_body, &example).await?.0, StatusCode::OK);
    Ok(())
}
