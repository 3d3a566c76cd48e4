//! The page of a visit: read, confirmed, cancelled, put into a calendar.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use scenarios::ADMIN;
use serde_json::{Value, json};

use super::{Browser, HOSTILE, appointment, book, clinic, page_of, products};

#[tokio::test]
async fn a_visit_is_shown_with_its_clock_and_reading_changes_nothing() -> Result<()> {
    for product in products(&[]).await? {
        let (clinic, slots) = clinic(&product).await?;
        let named = json!({"name": HOSTILE, "address": HOSTILE});
        let path = format!("/v1/locations/{}", clinic.location);
        assert_eq!(product.send(Method::PATCH, &path, ADMIN, &[], Some(named)).await?.status, StatusCode::OK);
        let booked = book(&product, &slots[0], "").await?;
        let before = appointment(&product, &booked).await?;
        let (browser, page) = (Browser::new(&product)?, page_of(&booked));
        let shown = browser.open(&page).await?.checked();
        assert_eq!(shown.status, StatusCode::OK);
        for text in ["Manual therapy", "30 minutes", "Grace Sample", "Edmonton time (UTC", "tel:+17805550100"] {
            assert!(shown.text.contains(text), "{text}: {}", shown.text);
        }
        for rest in ["", "/cancel", "/move", "/visit.ics", "?done=confirmed", "?done=cancelled", "?utm_source=mail"] {
            let answer = browser.open(&format!("{page}{rest}")).await?;
            assert_eq!(answer.status, StatusCode::OK, "{rest}: {}", answer.text);
            assert!(!answer.text.contains("Thank you") && !answer.text.contains("has been cancelled"), "{rest}");
        }
        assert_eq!(appointment(&product, &booked).await?, before, "GET changes nothing");
    }
    Ok(())
}

#[tokio::test]
async fn a_visit_is_confirmed_once() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "").await?;
        let (browser, page) = (Browser::new(&product)?, page_of(&booked));
        let shown = browser.open(&page).await?;
        let (confirm, version) = (format!("{page}/confirm"), shown.field("version")?);
        let done = browser.post(&confirm, &[("version", &version)]).await?.checked();
        assert_eq!(done.location(), format!("{page}?done=confirmed"));
        assert_ne!(appointment(&product, &booked).await?["confirmed_at"], Value::Null);
        let after = browser.open(done.location()).await?.checked();
        assert!(after.text.contains("Thank you") && !after.text.contains("/confirm\""), "{}", after.text);
        let twice = browser.post(&confirm, &[("version", &version)]).await?.checked();
        assert_eq!(twice.location(), format!("{page}?done=confirmed"), "a button that is pressed twice");
        for fields in [&[("version", "")][..], &[("version", "x")], &[]] {
            assert_eq!(browser.post(&confirm, fields).await?.checked().status, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_visit_that_staff_moved_meanwhile_is_not_confirmed_unseen() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "").await?;
        let (browser, page) = (Browser::new(&product)?, page_of(&booked));
        let version = browser.open(&page).await?.field("version")?;
        let path = format!("/v1/appointments/{}/reschedule", booked.text("/id"));
        let moved = product.post(&path, json!({"slot_id": slots[8]["slot_id"]})).await?;
        assert_eq!(moved.status, StatusCode::OK, "{}", moved.body);
        for (form, reason) in [("confirm", ""), ("cancel", "patient_ill")] {
            let fields = [("version", version.as_str()), ("reason_code", reason)];
            let answer = browser.post(&format!("{page}/{form}"), &fields).await?.checked();
            assert_eq!(answer.status, StatusCode::CONFLICT);
            assert!(answer.text.contains("has changed since you opened this page"), "{}", answer.text);
        }
        let now = appointment(&product, &booked).await?;
        assert_eq!((&now["status"], &now["confirmed_at"]), (&json!("booked"), &Value::Null));
    }
    Ok(())
}

#[tokio::test]
async fn a_visit_is_cancelled_with_a_reason() -> Result<()> {
    for product in products(&[]).await? {
        let own = json!({"code": "own", "names": {"en": HOSTILE}, "caused_by": "patient"});
        assert_eq!(product.post("/v1/reason_codes", own).await?.status, StatusCode::CREATED);
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "").await?;
        let (browser, page) = (Browser::new(&product)?, page_of(&booked));
        let path = format!("{page}/cancel");
        let asked = browser.open(&path).await?.checked();
        assert!(asked.text.contains("<legend>Why can you not come?</legend>") && asked.text.contains("I am ill"));
        assert!(asked.text.contains("value=\"own\""), "the clinic's own reason: {}", asked.text);
        assert!(!asked.text.contains("patient_deceased") && !asked.text.contains("practitioner_ill"));
        let version = asked.field("version")?;
        for reason in ["", "practitioner_ill", "unheard of"] {
            let missing = browser.post(&path, &[("version", &version), ("reason_code", reason)]).await?.checked();
            assert_eq!(missing.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(missing.text.contains("href=\"#reason-1\"") && missing.text.contains("Choose a reason"));
        }
        assert_eq!(appointment(&product, &booked).await?["status"], "booked");
        let fields = [("version", version.as_str()), ("reason_code", "patient_ill")];
        let done = browser.post(&path, &fields).await?.checked();
        assert_eq!(done.location(), format!("{page}?done=cancelled"));
        let now = appointment(&product, &booked).await?;
        assert_eq!((&now["status"], &now["cancellation"]["reason_code"]), (&json!("cancelled"), &json!("patient_ill")));
        assert_eq!(now["cancellation"]["by"], "patient");
        let after = browser.open(done.location()).await?.checked();
        assert!(after.text.contains("<h1>This visit is cancelled</h1>") && !after.text.contains("<form"));
        assert_eq!(browser.post(&path, &fields).await?.location(), done.location(), "pressed twice");
        for rest in ["/cancel", "/move"] {
            assert_eq!(browser.open(&format!("{page}{rest}")).await?.checked().location(), page, "nothing to change");
        }
        let late = browser.post(&format!("{page}/confirm"), &[("version", "9")]).await?.checked();
        assert_eq!(late.status, StatusCode::CONFLICT);
        assert!(late.text.contains("can no longer be changed here"), "{}", late.text);
    }
    Ok(())
}

#[tokio::test]
async fn a_visit_goes_into_a_calendar_without_its_treatment() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "fr").await?;
        let file = Browser::new(&product)?.open(&format!("{}/visit.ics", page_of(&booked))).await?;
        assert_eq!((file.status, file.header("content-type")), (StatusCode::OK, "text/calendar; charset=utf-8"));
        assert_eq!(file.text.matches("BEGIN:VEVENT").count(), 1, "{}", file.text);
        assert!(file.text.contains("SUMMARY:Rendez-vous : Clinic"), "{}", file.text);
        assert!(!file.text.contains("therapy") && !file.text.contains("Example"), "{}", file.text);
    }
    Ok(())
}
