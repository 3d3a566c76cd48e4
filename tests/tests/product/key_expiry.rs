//! A key with an end opens nothing from that instant on.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use scenarios::ManualClockProduct;
use serde_json::json;
use testkit::database::Database;

async fn a_key_ends_at_its_instant(database: Database) -> Result<()> {
    let product = ManualClockProduct::at("2026-03-02T15:00:00Z", database, booking::Config::default()).await?;
    let ends = "2026-03-03T15:00:00Z";
    let made = product.post("/v1/keys", json!({"name": "temp", "role": "owner", "expires_at": ends})).await?;
    assert_eq!(made.body["expires_at"], ends, "{}", made.body);
    let lasting = product.post("/v1/keys", json!({"name": "web", "role": "owner"})).await?;
    assert_eq!(lasting.body["expires_at"], json!(null), "{}", lasting.body);
    let ask = async |key: &str| product.rest.send(Method::GET, "/v1/caller", key, &[], None).await;
    let (temporary, lasting) = (made.text("/key"), lasting.text("/key"));
    // Keys are cached, but no longer than they last.
    for now in ["2026-03-03T14:00:00Z", "2026-03-03T14:59:58Z", "2026-03-03T14:59:59Z"] {
        product.advance_to(now)?;
        assert_eq!(ask(&temporary).await?.status, StatusCode::OK, "at {now}");
    }
    product.advance_to(ends)?;
    let refused = ask(&temporary).await?;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.text("/detail"), "the key has expired; use another");
    assert_eq!(ask(&lasting).await?.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_key_ends_at_its_instant_on_sqlite() -> Result<()> {
    a_key_ends_at_its_instant(Database::sqlite()?).await
}

#[tokio::test]
async fn a_key_ends_at_its_instant_on_postgres() -> Result<()> {
    a_key_ends_at_its_instant(Database::postgres().await?).await
}
