//! Care plans, their sessions and their ledgers.

use sqlx::{SqliteConnection, query};

use super::require_row;
use crate::store::batch::{Batch, CommitError, PlanChange};

const UPSERT: &str = r#"
    INSERT INTO plans
        (organization_id, id, version, patient_id, status, document, created_at_us, updated_at_us, risk_at_us, at_risk)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)
    ON CONFLICT (organization_id, id) DO UPDATE
    SET version = excluded.version, status = excluded.status, document = excluded.document,
        updated_at_us = excluded.updated_at_us, risk_at_us = excluded.risk_at_us, at_risk = excluded.at_risk
    WHERE plans.version = excluded.version - 1
"#;
const INSERT_SESSION: &str = r#"
    INSERT INTO plan_sessions (organization_id, id, plan_id)
    VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
"#;
const INSERT_ENTRIES: &str = r#"
    INSERT INTO plan_entries (organization_id, plan_id, version, entries)
    VALUES ($1, $2, $3, $4)
"#;

pub(super) async fn upsert(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for plan in &batch.plans {
        upsert_plan(conn, batch, plan).await?;
    }
    Ok(())
}

async fn upsert_plan(conn: &mut SqliteConnection, batch: &Batch, plan: &PlanChange) -> Result<(), CommitError> {
    let upserted = query(UPSERT)
        .bind(batch.organization_id)
        .bind(plan.id)
        .bind(plan.version)
        .bind(plan.patient_id)
        .bind(&plan.status)
        .bind(&plan.document)
        .bind(batch.now_us)
        .bind(plan.risk_at_us)
        .bind(plan.at_risk)
        .execute(&mut *conn)
        .await?;
    require_row(upserted.rows_affected())?;
    for session in &plan.sessions {
        let insert = query(INSERT_SESSION).bind(batch.organization_id).bind(session).bind(plan.id);
        insert.execute(&mut *conn).await?;
    }
    if let Some(entries) = &plan.entries {
        let insert = query(INSERT_ENTRIES).bind(batch.organization_id).bind(plan.id).bind(plan.version);
        insert.bind(entries).execute(&mut *conn).await?;
    }
    Ok(())
}
