//! Reminders to patients, on a simulated clock and through a fake provider with Twilio's interface.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use runtime::Clock;
use scenarios::{ADMIN, Product, patient, service, sms};
use serde_json::{Value, json};
use testkit::{
    endpoint::{Answer, Endpoint},
    sms::{AUTH_TOKEN, Behaviour, FakeProvider},
};

const WITHIN: Duration = Duration::from_secs(60);

/// The messages of an appointment, as trigger, channel and status.
async fn messages(product: &Product, appointment: &str) -> Option<Vec<(String, String, String)>> {
    let list = product.get(&format!("/v1/messages?appointment_id={appointment}")).await.ok()?;
    let text = |it: &Value, field: &str| it[field].as_str().unwrap_or_default().to_owned();
    let all = list.body["data"].as_array()?;
    Some(all.iter().map(|it| (text(it, "trigger"), text(it, "channel"), text(it, "status"))).collect())
}

/// Waits until every message of the appointment has one of these statuses and there are so many.
async fn settled(
    product: &Product,
    appointment: &str,
    count: usize,
    statuses: &[&str],
) -> Vec<(String, String, String)> {
    testkit::poll::until("the messages to settle", WITHIN, || async {
        let all = messages(product, appointment).await?;
        let done = all.iter().all(|(_, _, status)| statuses.contains(&status.as_str()));
        (done && all.len() >= count).then_some(all)
    })
    .await
}

#[tokio::test]
async fn on_a_simulated_clock_two_days_of_reminders_pass_in_seconds() -> Result<()> {
    // Two days before the clock change of 2026-03-08 in Edmonton; a real second is four simulated hours.
    let clock = ["--dev", "--clock", "2026-03-05T15:00:00Z@14400"];
    let product = Product::embedded(&clock).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let path =
        format!("/v1/slots?service_id={}&from=2026-03-09T00:00:00Z&to=2026-03-12T00:00:00Z&limit=200", clinic.service);
    let headers = [("meridian-revision", clinic.revision.as_str())];
    let slots = product.send(Method::GET, &path, ADMIN, &headers, None).await?;
    let starts = |at: usize| slots.text(&format!("/data/{at}/starts_at"));
    assert!(
        starts(0).starts_with("2026-03-09T08:00:00-06:00"),
        "the shift is at 08:00 after the clock change: {}",
        starts(0)
    );
    let book = async |at: usize, phone: &str| -> Result<String> {
        let body = json!({"slot_id": slots.text(&format!("/data/{at}/slot_id")), "patient": patient("Example", phone)});
        let booked = product.post("/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        Ok(booked.text("/id"))
    };
    let (kept, dropped) = (book(0, "+17805550123").await?, book(8, "+17805550124").await?);
    let cancelled =
        product.post(&format!("/v1/appointments/{dropped}/cancel"), json!({"reason_code": "patient_ill"})).await?;
    assert_eq!(cancelled.status, StatusCode::OK, "{}", cancelled.body);

    let all = settled(&product, &kept, 4, &["delivered", "suppressed"]).await;
    let count = |trigger: &str, channel: &str| {
        all.iter().filter(|it| it.0 == trigger && it.1 == channel && it.2 == "delivered").count()
    };
    assert_eq!(count("before_start", "sms"), 2, "a day and two hours before: {all:?}");
    assert_eq!(count("before_start", "email"), 1, "three days before: {all:?}");
    let all = settled(&product, &dropped, 4, &["delivered", "suppressed"]).await;
    assert!(
        !all.iter().any(|it| it.0 == "before_start" && it.2 == "delivered"),
        "no reminder of a cancelled appointment: {all:?}"
    );

    let list = product.get(&format!("/v1/messages?appointment_id={kept}")).await?;
    let texts: Vec<&str> =
        list.body["data"].as_array().context("data")?.iter().filter_map(|it| it["text"].as_str()).collect();
    assert!(
        texts.iter().any(|text| text.contains("08:00") || text.contains("8:00")),
        "in the clinic's own time: {texts:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_provider_that_speaks_twilio_gets_each_message_once() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let (taken, broken, wrong) = ("+19105550123", "+19105550124", "+19105550125");
    provider.script([Behaviour::Busy(1), Behaviour::Busy(1), Behaviour::Accept]);
    provider.for_number(broken, Behaviour::Broken);
    provider.for_number(wrong, Behaviour::Refuse(400, 21211));
    let settings = sms::settings(&provider);
    let extra: Vec<&str> = settings.iter().map(String::as_str).collect();
    let product = Product::apart(&extra).await?;
    let clinic = product.clinic("America/New_York", service()).await?;
    let slots = product.slots(&clinic, (5, 6), &clinic.revision).await?;
    for (at, phone, status, attempts) in [(0, taken, "sent", 3), (5, broken, "unknown", 1), (10, wrong, "failed", 1)] {
        let body = json!({"slot_id": slots[at]["slot_id"], "patient": patient("Example", phone)});
        let booked = product.post("/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
        let path = format!("/v1/messages?appointment_id={}", booked.text("/id"));
        let sent = testkit::poll::until("the confirmation to be settled", WITHIN, || async {
            let list = product.get(&path).await.ok()?;
            let all = list.body["data"].as_array()?;
            let texts = |it: &&Value| it["trigger"] == "booked" && it["channel"] == "sms" && it["status"] == status;
            all.iter().find(texts).cloned()
        })
        .await;
        assert_eq!(sent["attempts"].as_array().map(Vec::len), Some(attempts), "{sent}");
        let requests = provider.received().into_iter().filter(|it| it.form["To"] == phone).count();
        assert_eq!(requests, attempts, "one request an attempt, and none more where the outcome is unknown or final");
    }
    let received = provider.received();
    assert!(received.iter().all(|it| it.authorized && it.form["From"] == "+15005550006"));
    assert_eq!(provider.messages().len(), 1, "one message was accepted");
    Ok(())
}

#[tokio::test]
async fn a_repeating_rule_resends_a_message_of_unknown_outcome() -> Result<()> {
    let provider = FakeProvider::start().await?;
    provider.script([Behaviour::Broken, Behaviour::Accept]);
    let mut settings = sms::settings(&provider);
    // The ten minutes of a repeat pass in a second.
    settings.extend(["--dev", "--clock", "2026-03-05T15:00:00Z@600"].map(str::to_owned));
    let extra: Vec<&str> = settings.iter().map(String::as_str).collect();
    let product = Product::embedded(&extra).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let rules = product.get("/v1/reminder_rules").await?;
    let mut booked = rules.body["data"].as_array().context("rules")?.iter().filter(|it| it["trigger"] == "booked");
    let rule = booked.next().context("a rule")?;
    assert_eq!(rule["repeat_unknown"], false, "none of the rules that one begins with repeats");
    let path = format!("/v1/reminder_rules/{}", rule["id"].as_str().context("an id")?);
    let version = format!("\"{}\"", rule["version"]);
    let patch = json!({"repeat_unknown": true});
    let changed = product.send(Method::PATCH, &path, ADMIN, &[("if-match", &version)], Some(patch)).await?;
    assert_eq!((changed.status, &changed.body["repeat_unknown"]), (StatusCode::OK, &json!(true)), "{}", changed.body);
    let path =
        format!("/v1/slots?service_id={}&from=2026-03-09T00:00:00Z&to=2026-03-12T00:00:00Z&limit=1", clinic.service);
    let headers = [("meridian-revision", clinic.revision.as_str())];
    let slots = product.send(Method::GET, &path, ADMIN, &headers, None).await?;
    let body = json!({"slot_id": slots.text("/data/0/slot_id"), "patient": patient("Example", "+17805550123")});
    let visit = product.post("/v1/appointments", body).await?;
    assert_eq!(visit.status, StatusCode::CREATED, "{}", visit.body);
    let path = format!("/v1/messages?appointment_id={}&status=sent", visit.text("/id"));
    let sent = testkit::poll::until("the text to be sent once more", WITHIN, || async {
        let list = product.get(&path).await.ok()?;
        let texts = |it: &&Value| it["trigger"] == "booked" && it["channel"] == "sms";
        list.body["data"].as_array()?.iter().find(texts).cloned()
    })
    .await;
    let outcomes = sent["attempts"].as_array().context("attempts")?.iter().map(|one| one["outcome"].clone());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["unknown", "sent"], "{sent}");
    assert_eq!(sent["instead_of"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn a_delivery_report_updates_its_message_and_a_forged_one_does_not() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let extra: Vec<&str> = settings.iter().map(String::as_str).collect();
    let product = Product::embedded(&extra).await?;
    let clinic = product.clinic("America/New_York", service()).await?;
    let slots = product.slots(&clinic, (5, 6), &clinic.revision).await?;
    let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", "+19105550123")});
    let booked = product.post("/v1/appointments", body).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let status = async |wanted: &'static str| {
        let path = format!("/v1/messages?appointment_id={}&status={wanted}", booked.text("/id"));
        testkit::poll::until(wanted, WITHIN, || async {
            let list = product.get(&path).await.ok()?;
            let texts = |it: &&Value| it["trigger"] == "booked" && it["channel"] == "sms";
            list.body["data"].as_array()?.iter().find(texts).cloned()
        })
        .await
    };
    status("sent").await;

    // The address that the product gave the provider, as it stands.
    let asked = provider.received().into_iter().find(|it| it.form["To"] == "+19105550123").context("a request")?;
    let url = asked.form.get("StatusCallback").context("a call-back")?.clone();
    let form = |status: &str| {
        let sid = format!("SM{:032x}", 1);
        [("MessageSid", sid.as_str()), ("MessageStatus", status), ("SmsSid", sid.as_str())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    };
    let report = async |status: &str, token: &str| -> Result<StatusCode> {
        let form = form(status);
        let signature = reminder::twilio_signature(token, &url, &form);
        let request = testkit::http::client().post(&url).header("x-twilio-signature", signature).form(&form);
        Ok(request.send().await?.status())
    };
    assert_eq!(report("failed", "not the token").await?, StatusCode::FORBIDDEN, "a forged report");
    assert!(report("delivered", AUTH_TOKEN).await?.is_success(), "the provider's own report");
    status("delivered").await;
    // Late and repeated ones are taken, and change nothing.
    for late in ["sent", "delivered", "queued"] {
        assert!(report(late, AUTH_TOKEN).await?.is_success());
    }
    status("delivered").await;
    Ok(())
}

#[tokio::test]
async fn a_provider_that_takes_json_reports_as_json() -> Result<()> {
    let provider = Endpoint::start(Answer::Say(202, String::new())).await?;
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let url = format!("reminder.providers.http.url={}", provider.url());
    let key = format!("reminder.providers.http.secret={secret}");
    let product = Product::embedded(&["--set", "reminder.sms_provider=http", "--set", &url, "--set", &key]).await?;
    let clinic = product.clinic("America/New_York", service()).await?;
    let slots = product.slots(&clinic, (5, 6), &clinic.revision).await?;
    let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", "+19105550123")});
    let booked = product.post("/v1/appointments", body).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let asked: Value = serde_json::from_str(&provider.wait_for(1).await[0].body)?;
    let (id, url) = (asked["id"].as_str().context("an id")?, asked["status_url"].as_str().context("a call-back")?);

    let report = async |body: String, secret: &str| -> Result<StatusCode> {
        let seconds = Clock::system().now().as_second();
        let signature = secret.parse::<signing::Secret>()?.sign("evt_1", seconds, body.as_bytes());
        let request = testkit::http::client()
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", "evt_1")
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature);
        Ok(request.body(body).send().await?.status())
    };
    // Spaces and order as nobody's JSON writer has them: the signature is of the bytes.
    let delivered = format!(r#"{{ "status" :"delivered",   "id":"{id}" }}"#);
    let forged = report(delivered.clone(), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await?;
    assert_eq!(forged, StatusCode::FORBIDDEN, "a forged report");
    assert!(report(delivered, secret).await?.is_success(), "the provider's own report");
    let texts = |all: &[(String, String, String)]| {
        all.iter().any(|(trigger, channel, status)| trigger == "booked" && channel == "sms" && status == "delivered")
    };
    testkit::poll::until("the text to be delivered", WITHIN, || async {
        messages(&product, &booked.text("/id")).await.filter(|all| texts(all))
    })
    .await;
    Ok(())
}
