//! Future time is kept honest: when a zone's rules change, the wall clock that the patient was told counts.

use anyhow::{Context, Result, ensure};
use domain::id::AppointmentId;
use reqwest::StatusCode;
use scenarios::{Answer, Clinic, House, patient, service};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

/// Books the first slot that begins at this hour of the clinic's clock.
async fn book(house: &House, clinic: &Clinic, hour: &str) -> Result<Answer> {
    let slots = house.slots(clinic, (2, 3), &clinic.revision).await?;
    let at_hour = |start: &str| start.contains(&format!("T{hour}:00:00"));
    let slot = slots.iter().find(|slot| slot["starts_at"].as_str().is_some_and(at_hour)).context("the hour is open")?;
    let body = json!({"slot_id": slot["slot_id"], "patient": patient(&format!("Example {hour}"), "+17805550123")});
    let booked = house.post("/v1/appointments", body).await?;
    ensure!(booked.status == StatusCode::CREATED, "{}", booked.body);
    Ok(booked)
}

/// As if the zone had still been an hour behind when the patient was told: they know an hour later than it shows now.
async fn told_an_hour_later(house: &House, visit: &Answer) -> Result<()> {
    let id = visit.text("/id").parse::<AppointmentId>()?.uuid();
    let shown: jiff::civil::DateTime = visit.text("/starts_at").get(..16).context("a start")?.parse()?;
    let told = shown.checked_add(jiff::Span::new().hours(1))?.strftime("%Y-%m-%dT%H:%M").to_string();
    match &house.database {
        Some(database) => {
            let statement = "UPDATE booking.appointments SET starts_local = $1 WHERE id = $2";
            let mut connection = PgConnection::connect(&database.url).await?;
            connection.execute(sqlx::query(statement).bind(told).bind(id)).await?;
        }
        None => {
            let statement = "UPDATE appointments SET starts_local = $1 WHERE id = $2";
            let path = house.folder().join("meridian-data/booking.sqlite");
            let mut connection = SqliteConnection::connect(&path.display().to_string()).await?;
            connection.execute(sqlx::query(statement).bind(told).bind(id)).await?;
        }
    }
    Ok(())
}

async fn hour_of(house: &House, visit: &Answer) -> Result<String> {
    let now = house.get(&format!("/v1/appointments/{}", visit.text("/id"))).await?;
    Ok(now.text("/starts_at").get(11..16).context("a start")?.to_owned())
}

#[tokio::test]
async fn appointments_keep_the_hour_that_the_patient_was_told() -> Result<()> {
    for house in [House::embedded(&[]).await?, House::apart(&[]).await?] {
        let clinic = house.clinic("America/Edmonton", service()).await?;
        let ten = book(&house, &clinic, "10").await?;
        let eleven = book(&house, &clinic, "11").await?;
        let one = book(&house, &clinic, "13").await?;
        let two = book(&house, &clinic, "14").await?;
        let (fine, said) = house.command(&["doctor", "--tz"]).await?;
        assert!(fine && said.contains("all show what the patients were told"), "{said}");

        for visit in [&ten, &eleven, &one] {
            told_an_hour_later(&house, visit).await?;
        }
        let (fine, said) = house.command(&["doctor", "--tz"]).await?;
        assert!(!fine, "{said}");
        for visit in [&ten, &eleven, &one] {
            assert!(said.contains(&visit.text("/id")), "{said}");
        }
        assert!(!said.contains(&two.text("/id")) && !said.contains("Example"), "{said}");
        assert_eq!(hour_of(&house, &ten).await?, "10:00", "a list changes nothing");

        // Ten moves to eleven and eleven to twelve; one cannot move to two, which is taken.
        let (fine, said) = house.command(&["doctor", "--tz", "--repair"]).await?;
        assert!(!fine && said.contains("1 of 3 could not be moved"), "{said}");
        for (visit, hour) in [(&ten, "11:00"), (&eleven, "12:00"), (&one, "13:00"), (&two, "14:00")] {
            assert_eq!(hour_of(&house, visit).await?, hour);
        }
        let cancel = format!("/v1/appointments/{}/cancel", two.text("/id"));
        house.post(&cancel, json!({"reason_code": "patient_ill"})).await?;
        let (fine, said) = house.command(&["doctor", "--tz", "--repair"]).await?;
        assert!(fine && said.contains("have been moved"), "{said}");

        // The search hears of it from the feed.
        testkit::poll::until("the search to follow", std::time::Duration::from_secs(10), || async {
            let open = house.slots(&clinic, (2, 3), "").await.ok()?;
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
async fn a_place_in_a_group_session_is_named_and_left_to_people() -> Result<()> {
    let house = House::embedded(&[]).await?;
    let class = json!({"code": "class", "name": "Class", "duration_minutes": 60, "capacity": 4});
    let clinic = house.clinic("America/Edmonton", class).await?;
    let place = book(&house, &clinic, "10").await?;
    told_an_hour_later(&house, &place).await?;
    let (fine, said) = house.command(&["doctor", "--tz", "--repair"]).await?;
    assert!(!fine && said.contains("a place in a group session"), "{said}");
    assert_eq!(hour_of(&house, &place).await?, "10:00");
    Ok(())
}
