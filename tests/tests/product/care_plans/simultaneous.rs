//! Writes of one plan at the same moment: each is made from what the other has written.

use anyhow::Result;
use booking::Config;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::database::Database;

use super::fixture::{Fixture, appointment_of, attention};

testkit::engines!(a_repair_and_two_reviews_at_the_same_moment_all_stand);

const ROUNDS: usize = 8;

async fn a_repair_and_two_reviews_at_the_same_moment_all_stand(database: Database) {
    written_together(database).await.unwrap_or_else(|error| panic!("{error:?}"));
}

async fn written_together(database: Database) -> Result<()> {
    let fixture = Fixture::of(database, Config::default(), 2).await?;
    let plan = fixture.booked_plan(0, 4).await?;
    for round in 1..=ROUNDS {
        let last = appointment_of(&fixture.plan(&plan).await?, 4);
        fixture.transition(&last, "cancel", json!({"reason_code": "patient_ill"})).await?;
        let repair = fixture.repairs(&plan).await?.text("/data/0/id");
        let (booked, one, other) = tokio::try_join!(
            fixture.book(&plan, json!({"proposal_id": repair})),
            review(&fixture, &plan),
            review(&fixture, &plan),
        )?;
        for answer in [&booked, &one, &other] {
            assert!(answer.status.is_success(), "{}: {}", answer.status, answer.body);
        }
        let now = fixture.plan(&plan).await?;
        assert_eq!(now.status, StatusCode::OK, "{}", now.body);
        assert_eq!(now.body["reviews"].as_array().map(Vec::len), Some(2 * round), "{}", now.body);
        assert!(attention(&now).is_empty(), "{}", now.body);
        assert_eq!(now.body["sessions"][4]["status"], "booked", "{}", now.body);
    }
    Ok(())
}

async fn review(fixture: &Fixture, plan: &str) -> Result<scenarios::Answer> {
    let psfs: Vec<Value> = vec![json!({"activity": "walk", "score": 6})];
    let body = json!({"nprs": 4, "psfs": psfs, "decision": "continue"});
    fixture.product.post(&format!("/v1/plans/{plan}/reviews"), body).await
}
