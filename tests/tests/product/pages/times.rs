//! Pages as time passes: a visit that has begun, that is over, and whose link has expired. On both engines.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use scenarios::{ManualClockProduct, service};
use serde_json::json;
use testkit::database::Database;

use super::{Browser, book, browser::Page, page_of};

/// 8:00 in Edmonton, a week before the clocks go forward.
const NOW: &str = "2026-03-02T15:00:00Z";

fn shows(page: &Page, title: &str) -> bool {
    page.text.contains(&format!("<h1>{title}</h1>"))
}

async fn products() -> Result<[ManualClockProduct; 2]> {
    let (sqlite, postgres) = (Database::sqlite()?, Database::postgres().await?);
    let config = booking::Config::default;
    Ok([ManualClockProduct::at(NOW, sqlite, config()).await?, ManualClockProduct::at(NOW, postgres, config()).await?])
}

#[tokio::test]
async fn a_page_follows_its_visit_until_its_link_expires() -> Result<()> {
    for product in products().await? {
        let clinic = product.rest.clinic("America/Edmonton", service()).await?;
        // The day on which the clocks go forward.
        let window = "from=2026-03-08T06:00:00Z&to=2026-03-09T06:00:00Z";
        let search = format!("/v1/slots?service_id={}&{window}", clinic.service);
        let headers = [("meridian-revision", clinic.revision.as_str())];
        let found = product.rest.send(Method::GET, &search, scenarios::ADMIN, &headers, None).await?;
        let slot = &found.body["data"][0];
        assert_eq!(slot["starts_at"], "2026-03-08T08:00:00-06:00", "{}", found.body);
        let booked = book(&product.rest, slot, "en-US").await?;
        let (browser, page) = (Browser::new(&product.rest)?, page_of(&booked));

        let ahead = browser.open(&page).await?.checked();
        for text in ["Sunday, March 8", "8:00\u{a0}AM to 8:30\u{a0}AM", "Edmonton time (UTC−6)"] {
            assert!(ahead.text.contains(text), "{text}: {}", ahead.text);
        }
        let version = ahead.field("version")?;
        let french = browser.open(&format!("{page}?lang=fr")).await?.checked();
        for text in ["dimanche 8 mars", "de 8\u{a0}h à 8\u{a0}h\u{a0}30", "Heure d’Edmonton (UTC−6)"] {
            assert!(french.text.contains(text), "{text}: {}", french.text);
        }

        product.advance_to("2026-03-08T14:00:00Z")?;
        let begun = browser.open(&page).await?.checked();
        assert!(shows(&begun, "Your visit has begun") && !begun.text.contains("<form"), "{}", begun.text);
        for (form, field) in [("confirm", ""), ("cancel", "patient_ill"), ("move", "")] {
            let fields = [("version", version.as_str()), ("reason_code", field), ("slot_id", "slot_x")];
            let late = browser.post(&format!("{page}/{form}"), &fields).await?.checked();
            assert_eq!(late.status, StatusCode::CONFLICT, "{form}: {}", late.text);
            assert!(late.text.contains("can no longer be changed here"), "{form}: {}", late.text);
        }
        product.advance_to("2026-03-08T14:30:00Z")?;
        assert!(shows(&browser.open(&page).await?.checked(), "This visit is over"));
        assert_eq!(product.get(&format!("/v1/appointments/{}", booked.text("/id"))).await?.body["version"], json!(1));

        product.advance(31);
        for rest in ["", "/cancel", "/move"] {
            let expired = browser.open(&format!("{page}{rest}")).await?.checked();
            assert_eq!(expired.status, StatusCode::GONE, "{rest}");
            assert!(shows(&expired, "This link has expired") && !expired.text.contains("Clinic"), "{}", expired.text);
        }
        let expired = browser.post(&format!("{page}/confirm"), &[("version", &version)]).await?.checked();
        assert_eq!(expired.status, StatusCode::GONE);
    }
    Ok(())
}
