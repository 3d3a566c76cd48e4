//! The page of an unsubscribe link, which ends e-mails with one button. In one process and in four.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, service};
use serde_json::json;
use testkit::{poll, smtp::FakeMail};

use super::{Browser, book};

/// 10:00 in Edmonton; a real second is a minute.
const CLOCK: [&str; 3] = ["--dev", "--clock", "2026-03-05T17:00:00Z@60"];
const LINK: &str = "https://clinic.invalid/v1/unsubscribe/";

/// The token in the e-mail that follows a completed visit.
async fn token(product: &Product, mail: &FakeMail) -> Result<String> {
    let rule = json!({"trigger": "after_completed", "offset_minutes": 0, "channels": ["email"]});
    let made = product.post("/v1/reminder_rules", rule).await?;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let day = "from=2026-03-05T20:00:00Z&to=2026-03-06T00:00:00Z";
    let search = format!("/v1/slots?service_id={}&{day}", clinic.service);
    let headers = [("meridian-revision", clinic.revision.as_str())];
    let found = product.send(Method::GET, &search, ADMIN, &headers, None).await?;
    let booked = book(product, &found.body["data"][0], "").await?;
    for verb in ["start", "complete"] {
        let done = product.post(&format!("/v1/appointments/{}/{verb}", booked.text("/id")), json!({})).await?;
        assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    }
    let link = poll::until("the e-mail after the visit", Duration::from_secs(60), || async {
        mail.mails().into_iter().find_map(|mail| mail.header("List-Unsubscribe"))
    });
    let link = link.await;
    Ok(link.trim_matches(['<', '>']).strip_prefix(LINK).context("the link of mail programs")?.to_owned())
}

#[tokio::test]
async fn one_button_ends_the_emails_and_reading_ends_none() -> Result<()> {
    for apart in [false, true] {
        let mail = FakeMail::start().await?;
        let settings = [
            format!("reminder.smtp.url=smtp://{}", mail.address()),
            "reminder.smtp.from=clinic@example.org".to_owned(),
            "public_url=https://clinic.invalid".to_owned(),
        ];
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let extra: Vec<&str> = CLOCK.into_iter().chain(settings).collect();
        let product = if apart { Product::apart(&extra).await? } else { Product::embedded(&extra).await? };
        let token = token(&product, &mail).await?;
        let browser = Browser::new(&product)?;
        for path in [format!("/u/{token}"), format!("/v1/unsubscribe/{token}")] {
            for _ in 0..2 {
                let asked = browser.open(&path).await?.checked();
                assert!(asked.text.contains("Stop these e-mails</button>"), "{path}: {}", asked.text);
                assert!(asked.text.contains("name=\"List-Unsubscribe\" value=\"One-Click\""), "{path}");
                assert!(asked.text.contains("Messages about your appointments still come."), "{path}");
            }
        }
        let field = [("List-Unsubscribe", "One-Click")];
        let done = browser.post(&format!("/u/{token}?lang=fr"), &field).await?.checked();
        assert_eq!(done.location(), format!("/u/{token}?lang=fr"));
        let ended = browser.open(done.location()).await?.checked();
        assert!(ended.text.contains("C’est fait") && !ended.text.contains("<form"), "{}", ended.text);
        // Mail programs get no redirection (RFC 8058).
        let program = browser.post(&format!("/v1/unsubscribe/{token}"), &field).await?.checked();
        assert_eq!(program.status, StatusCode::OK);
        let unknown = format!("/u/{}", "A".repeat(64));
        assert_eq!(browser.open(&unknown).await?.checked().status, StatusCode::NOT_FOUND);
        assert_eq!(browser.post(&unknown, &field).await?.checked().status, StatusCode::NOT_FOUND);
    }
    Ok(())
}
