//! What patients answer, from the provider's call to the clinic's screen, in both arrangements; signed by PyPI's `twilio`.

use std::path::Path;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use scenarios::{House, patient, service, sms};
use serde_json::{Value, json};
use testkit::sms::{AUTH_TOKEN, FakeProvider};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(60);
const PHONE: &str = "+19105550123";
const PACKAGE: &str = "twilio==9.8.5";
/// Signs a call as Twilio does, and judges our own signature of it.
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
    let said =
        tokio::task::spawn_blocking(move || testkit::python::run(&folder, PACKAGE, SIGN, asked.as_bytes())).await??;
    Ok(said.trim().to_owned())
}

#[tokio::test]
async fn a_patient_confirms_and_calls_off_by_text_message() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    for house in [House::embedded(&settings).await?, House::apart(&settings).await?] {
        let clinic = house.clinic("America/New_York", service()).await?;
        let slots = house.slots(&clinic, (5, 6), &clinic.revision).await?;
        let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", PHONE)});
        let booked = house.post("/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        let visit = format!("/v1/appointments/{}", booked.text("/id"));
        let path = format!("/v1/messages?status=sent&appointment_id={}", booked.text("/id"));
        let sent = async |trigger: &'static str| {
            testkit::poll::until(trigger, WITHIN, || async {
                let list = house.get(&path).await.ok()?;
                let texts = |it: &&Value| it["trigger"] == trigger && it["channel"] == "sms";
                list.body["data"].as_array()?.iter().find(texts).cloned()
            })
            .await
        };
        sent("booked").await;

        let url = format!("{}/v1/providers/twilio/inbound", house.url);
        let form = sms::form(PHONE, "c", 1);
        let post = async |signature: &str| {
            reqwest::Client::new().post(&url).header("x-twilio-signature", signature).form(&form).send().await
        };
        assert_eq!(post("bm90IHRoZWlycw==").await?.status(), StatusCode::FORBIDDEN, "a forged message");
        let taken = post(&twilio(&url, &form).await?).await?;
        assert_eq!(taken.headers()["content-type"], "text/xml");
        assert_eq!((taken.status(), taken.text().await?), (StatusCode::OK, "<Response></Response>".to_owned()));
        assert!(house.get(&visit).await?.body["confirmed_at"].is_string());
        let answer = sent("reply").await;
        assert!(answer["text"].as_str().context("a text")?.contains("thank you"), "{answer}");

        sms::write(&house, PHONE, "x", 2).await?;
        let off = house.get(&visit).await?.body;
        assert_eq!((&off["status"], &off["cancellation"]["by"]), (&json!("cancelled"), &json!("patient")), "{off}");
        sent("cancelled").await;

        sms::write(&house, PHONE, "my knee hurts", 3).await?;
        let inbox = house.get("/v1/inbox?unread=true").await?;
        assert_eq!(
            (&inbox.body["unread_count"], inbox.text("/data/0/attention").as_str()),
            (&json!(1), "not_understood")
        );
        let read = house.post(&format!("/v1/inbox/{}/read", inbox.text("/data/0/id")), json!({})).await?;
        assert_eq!((read.status, read.text("/read_by").as_str()), (StatusCode::OK, "admin"));
        assert_eq!(house.get("/v1/inbox").await?.body["unread_count"], json!(0));

        // Off the list: everybody at the number, and the history says so.
        sms::write(&house, PHONE, "STOP", 4).await?;
        let consents = format!("/v1/patients/{}/consents", off["patient_id"].as_str().context("a patient")?);
        let now = house.get(&consents).await?;
        assert_eq!(now.body["consents"], json!([{"channel": "email", "kind": "service"}]));
        let last = &now.body["data"][0];
        assert_eq!((&last["given"], &last["by"], &last["how"]), (&json!(false), &json!("patient"), &json!("reply")));
        let consent = json!({"channel": "sms", "kind": "service", "given": true, "how": "phone"});
        let back = house.post(&consents, consent).await?;
        assert_eq!(back.status, StatusCode::CREATED, "{}", back.body);
        assert_eq!(back.body["consents"].as_array().map(Vec::len), Some(2));
        let printed = house.printed();
        assert!(!printed.contains("my knee") && !printed.contains(PHONE), "what patients write is not logged");
    }
    Ok(())
}
