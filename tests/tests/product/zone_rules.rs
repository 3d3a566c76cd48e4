//! When the rules of a time zone change, appointments keep the wall-clock time that the patient was promised.

use anyhow::{Context, Result, ensure};
use domain::id::AppointmentId;
use reqwest::StatusCode;
use scenarios::{Answer, Clinic, Product, patient, service};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

/// Books the first slot that begins at this hour of the clinic's clock.
async fn book(product: &Product, clinic: &Clinic, hour: &str) -> Result<Answer> {
    let slots = product.slots(clinic, (2, 3), &clinic.revision).await?;
    let at_hour = |start: &str| start.contains(&format!("T{hour}:00:00"));
    let slot = slots.iter().find(|slot| slot["starts_at"].as_str().is_some_and(at_hour)).context("the hour is open")?;
    let body = json!({"slot_id": slot["slot_id"], "patient": patient(&format!("Example {hour}"), "+17805550123")});
    let booked = product.post("/v1/appointments", body).await?;
    ensure!(booked.status == StatusCode::CREATED, "{}", booked.body);
    Ok(booked)
}

/// Stores a promised time one hour later than the current one, as if the zone's offset had changed after the booking.
async fn record_an_hour_later(product: &Product, visit: &Answer) -> Result<()> {
    let id = visit.text("/id").parse::<AppointmentId>()?.uuid();
    let current: jiff::civil::DateTime = visit.text("/starts_at").get(..16).context("a start")?.parse()?;
    let promised = current.checked_add(jiff::Span::new().hours(1))?.strftime("%Y-%m-%dT%H:%M").to_string();
    match &product.database {
        Some(database) => {
            let statement = "UPDATE booking.appointments SET starts_local = $1 WHERE id = $2";
            let mut connection = PgConnection::connect(&database.admin_url).await?;
            connection.execute(sqlx::query(statement).bind(promised).bind(id)).await?;
        }
        None => {
            let statement = "UPDATE appointments SET starts_local = $1 WHERE id = $2";
            let path = product.folder().join("meridian-data/booking.sqlite");
            let mut connection = SqliteConnection::connect(&path.display().to_string()).await?;
            connection.execute(sqlx::query(statement).bind(promised).bind(id)).await?;
        }
    }
    Ok(())
}

async fn hour_of(product: &Product, visit: &Answer) -> Result<String> {
    let now = product.get(&format!("/v1/appointments/{}", visit.text("/id"))).await?;
    Ok(now.text("/starts_at").get(11..16).context("a start")?.to_owned())
}

#[tokio::test]
async fn appointments_keep_the_promised_hour() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let ten = book(&product, &clinic, "10").await?;
        let eleven = book(&product, &clinic, "11").await?;
        let one = book(&product, &clinic, "13").await?;
        let two = book(&product, &clinic, "14").await?;
        let (succeeded, printed) = product.command(&["doctor", "--tz"]).await?;
        assert!(succeeded && printed.contains("all show the promised hour"), "{printed}");

        for visit in [&ten, &eleven, &one] {
            record_an_hour_later(&product, visit).await?;
        }
        let (succeeded, printed) = product.command(&["doctor", "--tz"]).await?;
        assert!(!succeeded, "{printed}");
        for visit in [&ten, &eleven, &one] {
            assert!(printed.contains(&visit.text("/id")), "{printed}");
        }
        assert!(!printed.contains(&two.text("/id")) && !printed.contains("Example"), "{printed}");
        assert_eq!(hour_of(&product, &ten).await?, "10:00", "listing changes nothing");

        // Ten moves to eleven and eleven to twelve. One o'clock cannot move to two, which is booked.
        let (succeeded, printed) = product.command(&["doctor", "--tz", "--repair"]).await?;
        assert!(!succeeded && printed.contains("1 of 3 could not be moved"), "{printed}");
        for (visit, hour) in [(&ten, "11:00"), (&eleven, "12:00"), (&one, "13:00"), (&two, "14:00")] {
            assert_eq!(hour_of(&product, visit).await?, hour);
        }
        let cancel = format!("/v1/appointments/{}/cancel", two.text("/id"));
        product.post(&cancel, json!({"reason_code": "patient_ill"})).await?;
        let (succeeded, printed) = product.command(&["doctor", "--tz", "--repair"]).await?;
        assert!(succeeded && printed.contains("have been moved"), "{printed}");

        // The search learns of the moves from the feed.
        testkit::poll::until("the search to follow", std::time::Duration::from_secs(10), || async {
            let open = product.slots(&clinic, (2, 3), "").await.ok()?;
            let open_at = |hour: &str| {
                let starts = open.iter().filter_map(|slot| slot["starts_at"].as_str());
                starts.clone().any(|start| start.contains(&format!("T{hour}:00:00")))
            };
            (["10", "11", "12", "13", "14"].map(open_at) == [true, false, false, true, false]).then_some(())
        })
        .await;
    }
    Ok(())
}

#[tokio::test]
async fn a_group_booking_is_reported_and_not_moved() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let class = json!({"code": "class", "name": "Class", "duration_minutes": 60, "capacity": 4});
    let clinic = product.clinic("America/Edmonton", class).await?;
    let booking = book(&product, &clinic, "10").await?;
    record_an_hour_later(&product, &booking).await?;
    let (succeeded, printed) = product.command(&["doctor", "--tz", "--repair"]).await?;
    assert!(!succeeded && printed.contains("a place in a group session"), "{printed}");
    assert_eq!(hour_of(&product, &booking).await?, "10:00");
    Ok(())
}
