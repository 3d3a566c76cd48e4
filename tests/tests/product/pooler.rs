//! PgBouncer between the services and PostgreSQL: it drops the options with which a service asks for its schema.

use anyhow::{Context, Result};
use reqwest::StatusCode;
use scenarios::{Product, SEALING_KEY, patient, service};
use serde_json::json;
use sqlx::{Connection, PgConnection, query_scalar};
use testkit::{database::Database, pooler::Pooler, postgres::PRODUCT_ROLE, product};

use super::fence::{SERVICES, make_roles, url_of};

/// Runs a command of the product with this database; returns whether it succeeded, and what it printed.
pub(crate) async fn run(arguments: &[&str], url: &str) -> Result<(bool, String)> {
    let folder = tempfile::tempdir()?;
    let variables = [("MERIDIAN_DATABASE__URL", url), ("MERIDIAN_SECRETS__KEY", SEALING_KEY)];
    let output = product::run(folder.path(), arguments, &variables).await?;
    Ok((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
}

/// The number of tables outside the services' schemas.
async fn tables_elsewhere(database: &Database) -> Result<i64> {
    let mut admin = PgConnection::connect(&database.admin_url).await?;
    let count = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    Ok(query_scalar(count).fetch_one(&mut admin).await?)
}

#[tokio::test]
async fn a_pooler_that_drops_the_schema_is_refused() -> Result<()> {
    let database = Database::postgres().await?;
    let pooler = Pooler::start(&database.url, "session", &[PRODUCT_ROLE]).await?;
    let url = pooler.url(&database.url)?;
    for command in [&["migrate"][..], &["serve", "--listen", "127.0.0.1:0"], &["doctor"]] {
        let (succeeded, printed) = run(command, &url).await?;
        assert!(!succeeded && printed.contains("a pooler drops the start-up options"), "{command:?}: {printed}");
        assert!(printed.contains("deploy/postgres/roles.sql"), "{command:?}: {printed}");
    }
    assert_eq!(tables_elsewhere(&database).await?, 0);
    Ok(())
}

#[tokio::test]
async fn behind_a_pooler_of_sessions_the_roles_bring_their_schema() -> Result<()> {
    let database = Database::postgres().await?;
    make_roles(&database)?;
    let (migrated, printed) = run(&["migrate"], &url_of(&database, "migrate")?).await?;
    assert!(migrated, "{printed}");
    let names = SERVICES.map(|service| format!("meridian_{service}"));
    let pooler = Pooler::start(&database.url, "session", &names.each_ref().map(String::as_str)).await?;
    let urls = SERVICES.map(|service| {
        let url = pooler.url(&url_of(&database, service)?)?;
        Ok((format!("MERIDIAN_{}__DATABASE__URL", service.to_uppercase()), url))
    });
    let urls = urls.into_iter().collect::<Result<Vec<_>>>()?;
    let urls: Vec<(&str, &str)> = urls.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let elsewhere = tables_elsewhere(&database).await?;
    let admin_url = database.admin_url.clone();
    let product = Product::apart_on(database, &urls, &[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
    let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", "+17805550123")});
    let booked = product.post("/v1/appointments", body).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);

    let mut admin = PgConnection::connect(&admin_url).await?;
    let appointments: i64 = query_scalar("SELECT count(*) FROM booking.appointments").fetch_one(&mut admin).await?;
    assert_eq!((appointments, elsewhere), (1, 0));
    let limits = "SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole \
        WHERE r.rolname = 'meridian_booking' AND 'statement_timeout=30s' = ANY (s.setconfig) \
        AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(query_scalar::<_, i64>(limits).fetch_one(&mut admin).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_pooler_of_transactions_is_refused() -> Result<()> {
    let database = Database::postgres().await?;
    make_roles(&database)?;
    let migrate = url_of(&database, "migrate")?;
    let (migrated, printed) = run(&["migrate"], &migrate).await?;
    assert!(migrated, "{printed}");
    let pooler = Pooler::start(&database.url, "transaction", &["meridian_booking"]).await?;
    let url = pooler.url(&url_of(&database, "booking")?)?;
    let (succeeded, printed) = run(&["doctor"], &url).await?;
    let line = printed.lines().find(|line| line.contains("database of booking")).with_context(|| printed.clone())?;
    assert!(!succeeded && line.contains("WRONG") && line.contains("set its pool_mode to `session`"), "{printed}");
    Ok(())
}
