//! An upgrade replaces one process after the other: an older build runs, and starts, on the schema of a newer one.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use scenarios::{ADMIN, Clinic, Product, patient, service};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection, query_scalar};
use testkit::product::{self, Process};

use super::fence::SERVICES;

/// A migration that a newer build has applied, and one of the next major step.
const EXPANDED: i64 = 900;
const CONTRACTED: i64 = 1001;
const SQLITE_TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE TABLE%' \
    AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE '!_%' ESCAPE '!'";
const POSTGRES_TABLES: &str = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' \
    AND relnamespace::regnamespace::text IN ('availability', 'booking', 'gateway', 'reminder') AND NOT starts_with(relname, '_')";

/// A column that an older build does not name.
fn add_column(table: &str) -> String {
    format!("ALTER TABLE {table} ADD COLUMN of_a_newer_build text NOT NULL DEFAULT 'new'")
}

fn insert_migration(schema: &str, version: i64, checksum: &str) -> String {
    format!(
        "INSERT INTO {schema}_sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES ({version}, 'of a newer build', true, {checksum}, 0)"
    )
}

/// Books an open slot, lists and cancels.
async fn is_usable(product: &Product, clinic: &Clinic, phone: &str) -> Result<()> {
    let slots = product.slots(clinic, (2, 4), &clinic.revision).await?;
    let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", phone)});
    let booked = product.post("/v1/appointments", body).await?;
    ensure!(booked.status == StatusCode::CREATED, "{}", booked.body);
    let listed = product.get("/v1/appointments?limit=1").await?;
    ensure!(listed.status == StatusCode::OK && listed.body["data"][0].is_object(), "{}", listed.body);
    let cancel = format!("/v1/appointments/{}/cancel", booked.text("/id"));
    let cancelled = product.post(&cancel, json!({"reason_code": "patient_ill"})).await?;
    ensure!(cancelled.status == StatusCode::OK, "{}", cancelled.body);
    Ok(())
}

#[tokio::test]
async fn an_older_build_runs_and_starts_on_the_expanded_schema_of_a_newer_one_apart() -> Result<()> {
    let product = Product::apart(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    is_usable(&product, &clinic, "+17805550123").await?;
    let admin_url = product.database.as_ref().context("a database")?.admin_url.clone();
    let mut admin = PgConnection::connect(&admin_url).await?;
    let tables: Vec<String> = query_scalar(POSTGRES_TABLES).fetch_all(&mut admin).await?;
    ensure!(tables.len() > 40, "{tables:?}");
    for table in &tables {
        admin.execute(AssertSqlSafe(add_column(table))).await?;
    }
    for service in SERVICES {
        let insert = insert_migration(&format!("{service}."), EXPANDED, "'\\x00'");
        admin.execute(AssertSqlSafe(insert)).await?;
    }
    // The processes that run, and those that start now.
    is_usable(&product, &clinic, "+17805550124").await?;
    is_usable(&product.replica().await?, &clinic, "+17805550125").await?;
    let (succeeded, printed) = product.command(&["migrate"]).await?;
    ensure!(succeeded, "{printed}");
    let (succeeded, printed) = product.command(&["doctor"]).await?;
    let builds = printed.lines().find(|line| line.contains("builds that run")).with_context(|| printed.clone())?;
    let version = env!("CARGO_PKG_VERSION");
    ensure!(succeeded && builds.contains(&format!("booking/{version} (")), "{printed}");
    ensure!(builds.contains(&format!("this program is {version}")), "{builds}");

    admin.execute(AssertSqlSafe(insert_migration("booking.", CONTRACTED, "'\\x00'"))).await?;
    for command in [&["migrate"][..], &["doctor"]] {
        let (succeeded, printed) = product.command(command).await?;
        ensure!(!succeeded && printed.contains("migration 1001 of booking"), "{command:?}: {printed}");
    }
    Ok(())
}

#[tokio::test]
async fn an_older_build_starts_on_the_expanded_files_of_a_newer_one() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    is_usable(&product, &clinic, "+17805550123").await?;
    let (processes, _, folder) = product.into_parts();
    for process in processes {
        ensure!(process.terminate().await?, "it ends with success");
    }
    let open = async |service: &str| {
        let file = folder.path().join("meridian-data").join(service).with_extension("sqlite");
        SqliteConnection::connect(&format!("sqlite:{}", file.display())).await
    };
    for service in SERVICES {
        let mut file = open(service).await?;
        let tables: Vec<String> = query_scalar(SQLITE_TABLES).fetch_all(&mut file).await?;
        ensure!(tables.len() >= 3, "{service}: {tables:?}");
        for table in tables {
            file.execute(AssertSqlSafe(add_column(&table))).await?;
        }
        file.execute(AssertSqlSafe(insert_migration("", EXPANDED, "x'00'"))).await?;
        file.close().await?;
    }
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let process = Process::start(folder.path(), &arguments, &[("MERIDIAN_ADMIN_KEY", ADMIN)])?;
    let url = process.line("listening on ").await;
    let product = Product::ready(url, vec![process], folder, None).await?;
    is_usable(&product, &clinic, "+17805550124").await?;

    let (processes, _, folder) = product.into_parts();
    for process in processes {
        ensure!(process.terminate().await?, "it ends with success");
    }
    let file = folder.path().join("meridian-data/booking.sqlite");
    let mut file = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await?;
    file.execute(AssertSqlSafe(insert_migration("", CONTRACTED, "x'00'"))).await?;
    file.close().await?;
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["doctor"]] {
        let output = product::run(folder.path(), command, &[]).await?;
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(!output.status.success() && printed.contains("migration 1001 of booking"), "{command:?}: {printed}");
    }
    Ok(())
}
