//! Lists are paged to their end.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use scenarios::{ADMIN, Product, patient, service};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};

/// All entries of a list, read page by page.
async fn walk(product: &Product, path: &str, limit: usize) -> Result<Vec<Value>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = product.get(&format!("{path}?limit={limit}{cursor}")).await?;
        let data = page.body["data"].as_array().with_context(|| format!("{path}: {}", page.body))?;
        assert!(data.len() <= limit, "{path}: at most {limit} on a page");
        all.extend(data.iter().cloned());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

#[tokio::test]
async fn keys_are_paged_active_first_then_newest() -> Result<()> {
    let product = Product::embedded(&["--set", "gateway.requests_per_second=100000"]).await?;
    let mut made = Vec::new();
    for number in 0..205 {
        let key = json!({"name": format!("key {number}"), "scopes": ["slots:read"]});
        made.push(product.post("/v1/keys", key).await?.text("/id"));
    }
    for id in &made[..2] {
        let path = format!("/v1/keys/{id}");
        let ended = product.send(reqwest::Method::DELETE, &path, ADMIN, &[], None).await?;
        assert_eq!(ended.status, StatusCode::OK, "{}", ended.body);
    }
    let first = product.get("/v1/keys").await?;
    assert_eq!(first.body["data"].as_array().map(Vec::len), Some(50));
    assert_eq!(first.text("/data/0/id"), made[204], "the newest one is the first");
    let expected: Vec<&String> = made[2..].iter().rev().chain([&made[1], &made[0]]).collect();
    let listed = walk(&product, "/v1/keys", 60).await?;
    let ids: Vec<&str> = listed.iter().filter_map(|key| key["id"].as_str()).collect();
    assert_eq!(ids, expected, "each once: those in use, the newest first, and then those that were revoked");

    let (succeeded, printed) = product.command(&["keys", "list"]).await?;
    assert!(succeeded, "{printed}");
    let lines: Vec<&str> = printed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(lines, expected, "the command lists as the gateway does");
    Ok(())
}

#[tokio::test]
async fn organisations_are_paged() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let mut made = vec![product.get("/v1/organizations").await?.text("/data/0/id")];
    for number in 0..4 {
        let body = json!({"name": format!("Chain {number}"), "default_language": "en", "country": "GB"});
        made.push(product.post("/v1/organizations", body).await?.text("/id"));
    }
    let listed = walk(&product, "/v1/organizations", 2).await?;
    let ids: Vec<&str> = listed.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, made, "the oldest first, each once");
    Ok(())
}

#[tokio::test]
async fn the_history_of_consents_is_paged() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let patient_id = product.post("/v1/patients", patient("Example", "+447700900123")).await?.text("/id");
    let path = format!("/v1/patients/{patient_id}/consents");
    for given in [true, false, true, false, true] {
        let body = json!({"channel": "email", "kind": "marketing", "given": given, "how": "phone"});
        let recorded = product.post(&path, body).await?;
        assert_eq!(recorded.status, StatusCode::CREATED, "{}", recorded.body);
    }
    let whole = product.get(&path).await?;
    let all = whole.body["data"].as_array().cloned().context("a list")?;
    assert!(all.len() >= 5 && whole.body["next_cursor"].is_null(), "{}", whole.body);
    for limit in [1, 2, all.len()] {
        assert_eq!(walk(&product, &path, limit).await?, all, "each change once, {limit} on a page");
    }
    Ok(())
}

/// Over five thousand appointments, inserted into the database.
#[tokio::test]
async fn a_calendar_holds_every_visit() -> Result<()> {
    const MORE: usize = 5_100;
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("Europe/London", service()).await?;
    let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
    let booking = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", "+447700900123")});
    let booked = product.post("/v1/appointments", booking).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let path = product.folder().join("meridian-data/booking.sqlite");
    let mut connection = SqliteConnection::connect(&path.display().to_string()).await?;
    let columns: Vec<String> =
        sqlx::query_scalar("SELECT name FROM pragma_table_info('appointments')").fetch_all(&mut connection).await?;
    // Each copy has its own id and its own minute.
    let copied = columns.iter().map(|name| match name.as_str() {
        "id" => "randomblob(16)".to_owned(),
        "starts_at_us" | "ends_at_us" => format!("{name} + at * 60000000"),
        other => other.to_owned(),
    });
    let copied: Vec<String> = copied.collect();
    let statement = format!(
        "WITH RECURSIVE more (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM more WHERE at < {MORE}) \
         INSERT INTO appointments ({}) SELECT {} FROM appointments, more",
        columns.join(", "),
        copied.join(", ")
    );
    connection.execute(sqlx::AssertSqlSafe(statement)).await?;
    let link = product.post(&format!("/v1/locations/{}/calendar", clinic.location), json!({})).await?.text("/url");
    let file = testkit::http::client().get(link).send().await?.error_for_status()?.text().await?;
    let visits: BTreeSet<&str> = file.lines().filter(|line| line.starts_with("UID:")).collect();
    assert_eq!(visits.len(), MORE + 1);
    Ok(())
}
