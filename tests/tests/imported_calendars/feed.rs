//! Meridian's own calendars, come back as busy time.

use anyhow::Result;
use reqwest::StatusCode;
use scenarios::patient;
use serde_json::{Value, json};

use super::{World, event, file, times};

#[tokio::test]
async fn a_practitioners_own_feed_displaces_nothing() -> Result<()> {
    let world = World::start().await?;
    let (house, clinic) = (&world.product, &world.clinic);
    let path = format!("/v1/slots?service_id={}&from=2027-01-18T00:00:00Z&to=2027-01-19T00:00:00Z", clinic.service);
    let slots = house.get(&path).await?;
    let body = json!({"slot_id": slots.body["data"][0]["slot_id"], "patient": patient("Example", "+12125550123")});
    let booked = house.post("/v1/appointments", body).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let link = house.post(&format!("/v1/practitioners/{}/calendar", clinic.practitioner), json!({})).await?;
    let link = link.text("/url");
    let path = link.split_once("/v1/").map(|(_, path)| format!("/v1/{path}")).unwrap_or_default();
    let feed = house.house.text(&path).await?;
    assert!(feed.contains(&booked.text("/id")), "{feed}");

    let taken = world.import(&feed, "").await?;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
    assert_eq!((times(&taken), &taken.body["displaced"]), (vec![], &json!([])));
    // The same, as another program passes it on, with an event of its own.
    let private = event(&["UID:dentist", "DTSTART:20270120T190000Z", "DURATION:PT1H"]);
    let merged = feed.replace("BEGIN:VEVENT", &format!("{private}BEGIN:VEVENT"));
    assert_eq!(times(&world.import(&merged, "").await?), ["20270120T1900 20270120T2000"]);
    Ok(())
}

#[tokio::test]
async fn another_organisations_feed_makes_busy() -> Result<()> {
    let world = World::start().await?;
    let visit = |host: &str| {
        let uid = format!("UID:appt_01jnb0000000000000000000{host}");
        file(&event(&[&uid, "DTSTART:20270120T190000Z", "DURATION:PT1H"]))
    };
    let organisations =
        ["00@org_01jnb000000000000000000000.meridian-scheduling.org", "00@meridian-scheduling.example", "00"];
    for host in organisations {
        assert_eq!(times(&world.read(&visit(host)).await?), ["20270120T1900 20270120T2000"], "{host}");
    }
    let own = format!("00@{}.meridian-scheduling.org", scenarios::ORGANIZATION);
    let answer = world.read(&visit(&own)).await?;
    assert_eq!((times(&answer), answer.body["times"] == Value::Array(vec![])), (vec![], true), "{}", answer.body);
    Ok(())
}
