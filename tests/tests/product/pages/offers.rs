//! The page of an offer: taken, declined, and gone.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use scenarios::{Product, patient, sms};
use serde_json::{Value, json};
use testkit::{poll, sms::FakeProvider};

use super::{Browser, browser::Page, clinic};

const WITHIN: Duration = Duration::from_secs(60);
/// Offers at any hour, with their links in the texts.
const SETTINGS: [&str; 8] = [
    "--set",
    "booking.waitlist.ask_from=00:00",
    "--set",
    "booking.waitlist.ask_until=24:00",
    "--set",
    "public_url=https://clinic.invalid",
    "--set",
    "reminder.replies=false",
];

/// A slot comes free for a patient who waits for it; the path of the offer's page, and that of the waitlist's entry.
async fn offered(product: &Product, provider: &FakeProvider, slot: &Value, phone: &str) -> Result<[String; 2]> {
    let taken = json!({"slot_id": slot["slot_id"], "patient": patient("First", "+17805550150")});
    let taken = product.post("/v1/appointments", taken).await?;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.body);
    let waiting = product.post("/v1/patients", patient("Waiting", phone)).await?.text("/id");
    let entry = product.post("/v1/waitlist", json!({"patient_id": waiting, "slot_id": slot["slot_id"]})).await?;
    assert_eq!(entry.status, StatusCode::CREATED, "{}", entry.body);
    let cancel = format!("/v1/appointments/{}/cancel", taken.text("/id"));
    assert_eq!(product.post(&cancel, json!({"reason_code": "pat"})).await?.status, StatusCode::OK);
    let link = poll::until("the text of the offer", WITHIN, || async {
        let texts = provider.messages().into_iter().filter(|message| message.to == phone);
        texts.map(|message| message.body).find_map(|text| Some(text.split_once("/o/")?.1.trim().to_owned()))
    });
    Ok([format!("/o/{}", link.await), format!("/v1/waitlist/{}", entry.text("/id"))])
}

fn shows(page: &Page, title: &str) -> bool {
    page.text.contains(&format!("<h1>{title}</h1>"))
}

#[tokio::test]
async fn an_offer_is_taken_or_declined_by_its_page() -> Result<()> {
    for apart in [false, true] {
        let provider = FakeProvider::start().await?;
        let settings = sms::settings(&provider);
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(SETTINGS).collect();
        let product = if apart { Product::apart(&settings).await? } else { Product::embedded(&settings).await? };
        let (_, slots) = clinic(&product).await?;
        let browser = Browser::new(&product)?;

        let [page, entry] = offered(&product, &provider, &slots[0], "+17805550151").await?;
        for _ in 0..2 {
            let shown = browser.open(&page).await?.checked();
            assert!(shows(&shown, "A time is free for you") && shown.text.contains("Kept for you until"));
        }
        assert_eq!(product.get(&entry).await?.text("/status"), "offered", "GET takes nothing");
        for _ in 0..2 {
            let taken = browser.post(&format!("{page}/accept"), &[]).await?.checked();
            assert_eq!(taken.location(), page, "once, and again");
        }
        assert_eq!(product.get(&entry).await?.text("/status"), "booked");
        let shown = browser.open(&page).await?.checked();
        assert!(shows(&shown, "You have taken this time") && !shown.text.contains("<form"), "{}", shown.text);
        let late = browser.post(&format!("{page}/decline"), &[]).await?.checked();
        assert!(late.status == StatusCode::CONFLICT && shows(&late, "You have taken this time"), "{}", late.text);

        let [page, entry] = offered(&product, &provider, &slots[8], "+17805550152").await?;
        let declined = browser.post(&format!("{page}/decline"), &[]).await?.checked();
        assert_eq!(declined.location(), page);
        assert!(shows(&browser.open(&page).await?.checked(), "You have declined this time"));
        let late = browser.post(&format!("{page}/accept"), &[]).await?.checked();
        assert!(late.status == StatusCode::CONFLICT && shows(&late, "You have declined this time"), "{}", late.text);
        assert_ne!(product.get(&entry).await?.text("/status"), "booked");
        for path in ["/o/AAAAAAAAAAAAAAAAAAAAAA", "/o/AAAAAAAAAAAAAAAAAAAAAA/accept"] {
            let unknown = browser.post(path, &[]).await?.checked();
            let expected =
                if path.ends_with("accept") { StatusCode::NOT_FOUND } else { StatusCode::METHOD_NOT_ALLOWED };
            assert_eq!(unknown.status, expected, "{path}");
        }
        let printed = product.printed();
        let token = page.strip_prefix("/o/").context("a token")?;
        assert!(!printed.contains(token), "no link is logged");
    }
    Ok(())
}
