//! The move of a visit by its pages.

use anyhow::{Context, Result};
use reqwest::StatusCode;
use scenarios::patient;
use serde_json::{Value, json};

use super::{Browser, appointment, book, clinic, page_of, products};

#[tokio::test]
async fn a_visit_moves_to_an_open_time_of_its_place() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "").await?;
        let (browser, page) = (Browser::new(&product)?, page_of(&booked));
        let days = browser.open(&format!("{page}/move")).await?.checked();
        let (day_links, later) = (days.links("&date="), days.links("from="));
        assert_eq!(day_links.len(), 6, "{}", days.text);
        let day = browser.open(day_links[4].split('#').next().context("a day")?).await?.checked();
        assert!(day.text.contains("With Grace Sample"), "{}", day.text);
        let times = day.links("slot=");
        let asked = browser.open(&times[3]).await?.checked();
        assert!(
            asked.text.contains("Move your visit to this time?") && asked.text.contains("Instead of"),
            "{}",
            asked.text
        );
        let before = appointment(&product, &booked).await?;
        assert_eq!(before["version"], 1, "GET moves nothing");
        let (version, slot) = (asked.field("version")?, asked.field("slot_id")?);
        let fields = [("version", version.as_str()), ("slot_id", slot.as_str())];
        let done = browser.post(&format!("{page}/move"), &fields).await?.checked();
        assert_eq!(done.location(), format!("{page}?done=moved"));
        let now = appointment(&product, &booked).await?;
        assert_eq!((&now["slot_id"], &now["rescheduled_from"]), (&json!(slot), &before["starts_at"]));
        let after = browser.open(done.location()).await?.checked();
        assert!(after.text.contains("has been moved"), "{}", after.text);
        assert_eq!(browser.post(&format!("{page}/move"), &fields).await?.location(), done.location(), "pressed twice");
        let later = later.iter().find(|link| !link.contains("date=")).context("later days")?;
        let later = browser.open(later).await?.checked();
        assert!(later.text.contains("First open days") && later.links("&date=") != day_links, "{}", later.text);
    }
    Ok(())
}

#[tokio::test]
async fn a_time_that_was_taken_meanwhile_moves_nothing_and_others_are_shown() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "").await?;
        let (browser, page) = (Browser::new(&product)?, page_of(&booked));
        let slot = slots[8]["slot_id"].as_str().context("a slot")?;
        let asked = browser.open(&format!("{page}/move?slot={slot}")).await?.checked();
        let version = asked.field("version")?;
        let other = json!({"slot_id": slot, "patient": patient("Other", "+17805550124")});
        assert_eq!(product.post("/v1/appointments", other).await?.status, StatusCode::CREATED);
        let before = appointment(&product, &booked).await?;
        let refused =
            browser.post(&format!("{page}/move"), &[("version", &version), ("slot_id", slot)]).await?.checked();
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert!(refused.text.contains("This time is no longer open"), "{}", refused.text);
        assert_eq!(refused.links("slot=").len(), 3, "the nearest open times: {}", refused.text);
        assert_eq!(appointment(&product, &booked).await?, before, "nothing has changed");
        for link in refused.links("slot=") {
            assert_eq!(browser.open(&link).await?.checked().status, StatusCode::OK);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_slot_that_is_none_of_the_visits_moves_nothing() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "").await?;
        let (browser, page) = (Browser::new(&product)?, page_of(&booked));
        let elsewhere = product
            .clinic(
                "Europe/London",
                json!({"code": "other", "name": "Other",
            "duration_minutes": 30, "room_type": "treatment-room"}),
            )
            .await?;
        let foreign = product.slots(&elsewhere, (3, 6), &elsewhere.revision).await?;
        let foreign = foreign[0]["slot_id"].as_str().context("a slot")?;
        for slot in [foreign, "slot_x", "", "%3Cscript%3E"] {
            let answer = browser.open(&format!("{page}/move?slot={slot}")).await?.checked();
            assert_eq!(answer.location(), format!("{page}/move"), "{slot}");
        }
        let before: Value = appointment(&product, &booked).await?;
        for slot in [foreign, "slot_x", ""] {
            let fields = [("version", "1"), ("slot_id", slot)];
            let answer = browser.post(&format!("{page}/move"), &fields).await?.checked();
            assert_eq!(answer.status, StatusCode::CONFLICT, "{slot}");
        }
        assert_eq!(appointment(&product, &booked).await?, before);
        for query in ["from=2026-13-01", "date=x", "slot=%ff"] {
            let answer = browser.open(&format!("{page}/move?{query}")).await?.checked();
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        }
    }
    Ok(())
}
