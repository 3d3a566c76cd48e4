//! Meridian's own calendar feeds, imported as busy time.

use anyhow::Result;
use reqwest::StatusCode;
use scenarios::patient;
use serde_json::{Value, json};

use super::{Fixture, event, file, times};

#[tokio::test]
async fn a_practitioners_own_feed_displaces_nothing() -> Result<()> {
    let fixture = Fixture::start().await?;
    let (product, clinic) = (&fixture.product, &fixture.clinic);
    let path = format!("/v1/slots?service_id={}&from=2027-01-18T00:00:00Z&to=2027-01-19T00:00:00Z", clinic.service);
    let slots = product.get(&path).await?;
    let body = json!({"slot_id": slots.body["data"][0]["slot_id"], "patient": patient("Example", "+12125550123")});
    let booked = product.post("/v1/appointments", body).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let link = product.post(&format!("/v1/practitioners/{}/calendar", clinic.practitioner), json!({})).await?;
    let link = link.text("/url");
    let path = link.split_once("/v1/").map(|(_, path)| format!("/v1/{path}")).unwrap_or_default();
    let feed = product.rest.text(&path).await?;
    assert!(feed.contains(&booked.text("/id")), "{feed}");

    let taken = fixture.import(&feed, "").await?;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
    assert_eq!((times(&taken), &taken.body["displaced"]), (vec![], &json!([])));
    // The same feed after another program has added its own event.
    let private = event(&["UID:dentist", "DTSTART:20270120T190000Z", "DURATION:PT1H"]);
    let merged = feed.replace("BEGIN:VEVENT", &format!("{private}BEGIN:VEVENT"));
    assert_eq!(times(&fixture.import(&merged, "").await?), ["20270120T1900 20270120T2000"]);
    Ok(())
}

#[tokio::test]
async fn another_organisations_feed_makes_busy() -> Result<()> {
    let fixture = Fixture::start().await?;
    let visit = |host: &str| {
        let uid = format!("UID:appt_01jnb0000000000000000000{host}");
        file(&event(&[&uid, "DTSTART:20270120T190000Z", "DURATION:PT1H"]))
    };
    let organisations =
        ["00@org_01jnb000000000000000000000.meridian-scheduling.org", "00@meridian-scheduling.example", "00"];
    for host in organisations {
        assert_eq!(times(&fixture.read(&visit(host)).await?), ["20270120T1900 20270120T2000"], "{host}");
    }
    let own = format!("00@{}.meridian-scheduling.org", scenarios::ORGANIZATION);
    let answer = fixture.read(&visit(&own)).await?;
    assert_eq!((times(&answer), answer.body["times"] == Value::Array(vec![])), (vec![], true), "{}", answer.body);
    Ok(())
}
