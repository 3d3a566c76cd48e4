//! The plans of a PostgreSQL database that was empty a moment ago, before autovacuum has seen it.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use scenarios::{Product, patient, service};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, query_as, query_scalar};
use testkit::{database::Database, poll};

use super::{
    fence::{make_roles, url_of, urls_of_services},
    pooler::run,
};

const WITHIN: Duration = Duration::from_secs(30);
/// Enough for two pages of appointments.
const VISITS: usize = 60;

const SELECT_TABLES: &str = r#"
    SELECT c.oid::regclass::text
    FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text IN ('availability', 'booking', 'gateway', 'reminder')
"#;
const COUNT_UNKNOWN: &str = r#"
    SELECT count(*)
    FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text IN ('availability', 'booking', 'gateway', 'reminder')
        AND pg_relation_size(c.oid) >= 2 * current_setting('block_size')::bigint AND c.reltuples < 0
"#;
const IS_APPOINTMENTS_LARGE: &str =
    "SELECT pg_relation_size('booking.appointments') >= 2 * current_setting('block_size')::bigint";
/// The table and columns that each foreign key refers to, where the table has statistics.
const SELECT_FOREIGN_KEYS: &str = r#"
    SELECT f.confrelid::regclass::text, array_agg(DISTINCT a.attname::text)
    FROM pg_constraint f
    JOIN pg_class c ON c.oid = f.confrelid AND c.reltuples > 0
    JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = ANY (f.confkey)
    WHERE f.contype = 'f'
        AND f.connamespace::regnamespace::text IN ('availability', 'booking', 'gateway', 'reminder')
    GROUP BY f.oid
"#;

/// The plan of a foreign key's own check of one row.
async fn explain_check(admin: &mut PgConnection, table: &str, columns: &[String]) -> Result<String> {
    let conditions: Vec<String> =
        columns.iter().enumerate().map(|(at, name)| format!("{name} = ${}", at + 1)).collect();
    let values = vec!["NULL"; columns.len()].join(", ");
    let prepare =
        format!("PREPARE it AS SELECT 1 FROM ONLY {table} x WHERE {} FOR KEY SHARE OF x", conditions.join(" AND "));
    admin.execute(AssertSqlSafe(prepare)).await?;
    let plan: Vec<String> =
        query_scalar(AssertSqlSafe(format!("EXPLAIN EXECUTE it({values})"))).fetch_all(&mut *admin).await?;
    admin.execute("DEALLOCATE it").await?;
    Ok(plan.join("\n"))
}

#[tokio::test]
async fn a_young_database_soon_has_plans_that_last() -> Result<()> {
    let database = Database::postgres().await?;
    make_roles(&database)?;
    let (migrated, printed) = run(&["migrate"], &url_of(&database, "migrate")?).await?;
    assert!(migrated, "{printed}");
    let mut admin = PgConnection::connect(&database.admin_url).await?;
    let tables: Vec<String> = query_scalar(SELECT_TABLES).fetch_all(&mut admin).await?;
    for table in tables {
        let never = format!("ALTER TABLE {table} SET (autovacuum_enabled = off)");
        admin.execute(AssertSqlSafe(never)).await?;
    }
    let urls = urls_of_services(&database)?;
    let urls: Vec<(&str, &str)> = urls.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let product = Product::apart_on(database, &urls, &[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;

    let slots = product.slots(&clinic, (2, 30), &clinic.revision).await?;
    let (mut booked, mut slot) = (0, slots.iter());
    while booked < VISITS {
        let slot = slot.next().context("no more slots")?;
        let patient = patient(&format!("Example {booked}"), &format!("+178055501{booked:02}"));
        let answer = product.post("/v1/appointments", json!({"slot_id": slot["slot_id"], "patient": patient})).await?;
        booked += usize::from(answer.status == StatusCode::CREATED);
    }
    assert!(query_scalar::<_, bool>(IS_APPOINTMENTS_LARGE).fetch_one(&mut admin).await?);
    let admin = tokio::sync::Mutex::new(admin);
    poll::until("the tables to be analyzed", WITHIN, || async {
        let mut admin = admin.lock().await;
        let unknown: i64 = query_scalar(COUNT_UNKNOWN).fetch_one(&mut *admin).await.ok()?;
        (unknown == 0).then_some(())
    })
    .await;

    let mut admin = admin.into_inner();
    // As in the functions that commit: few rows are read at once where the table is a few pages.
    admin.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off").await?;
    let keys: Vec<(String, Vec<String>)> = query_as(SELECT_FOREIGN_KEYS).fetch_all(&mut admin).await?;
    assert!(keys.iter().any(|(table, _)| table == "booking.appointments"), "{keys:?}");
    for (table, columns) in keys {
        let plan = explain_check(&mut admin, &table, &columns).await?;
        let condition = plan.lines().find(|line| line.contains("Index Cond")).unwrap_or_default();
        assert!(columns.iter().all(|column| condition.contains(column.as_str())), "{table}:\n{plan}");
    }
    Ok(())
}
