//! SQLite: one writer, so a batch is applied step by step in one immediate transaction. The order of the steps is that of
//! the function on PostgreSQL.

mod appointments;
mod claims;
mod groups;
mod held_slots;
mod holds;
mod message_counts;
mod patients;
mod plans;
mod zones;

use sql::{SqlitePools, feed::Position};
use sqlx::{SqliteConnection, query, query_as, query_scalar};

use crate::store::{
    batch::{Batch, CommitError, Hex, ReasonChange},
    changes::{Committed, SQLITE_EPOCH, SQLITE_LAST_SEQ},
};

const SELECT_STORED: &str = "SELECT seq, version FROM changes WHERE seq > $1 ORDER BY seq";
const INSERT_CHANGE: &str =
    "INSERT INTO changes (organization_id, version, changed_at_us, payload) VALUES ($1, $2, $3, $4)";
const INSERT_ANSWER: &str = r#"
    INSERT INTO idempotency (organization_id, caller, route, key, fingerprint, response, revision, created_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, '', $7)
    ON CONFLICT DO NOTHING
"#;
const SET_ANSWER_REVISION: &str = r#"
    UPDATE idempotency
    SET revision = $1
    WHERE organization_id = $2 AND caller = $3 AND route = $4 AND key = $5
"#;
const UPSERT_REASON_CODE: &str = r#"
    INSERT INTO reason_codes (organization_id, code, version, meaning, archived, created_at_us, updated_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (organization_id, code) DO UPDATE
    SET version = excluded.version, meaning = excluded.meaning, archived = excluded.archived,
        updated_at_us = excluded.updated_at_us
    WHERE reason_codes.version = excluded.version - 1
"#;

pub(super) async fn commit(pools: &SqlitePools, batch: &Batch) -> Result<Committed, CommitError> {
    let mut tx = pools.writer.begin_with("BEGIN IMMEDIATE").await?;
    let committed = apply(&mut tx, batch).await?;
    tx.commit().await?;
    Ok(committed)
}

async fn apply(conn: &mut SqliteConnection, batch: &Batch) -> Result<Committed, CommitError> {
    let before: i64 = query_scalar(SQLITE_LAST_SEQ).fetch_one(&mut *conn).await?;
    zones::check(conn, batch).await?;
    insert_answer(conn, batch).await?;
    holds::consume(conn, batch).await?;
    holds::delete(conn, batch).await?;
    held_slots::insert(conn, batch).await?;
    patients::insert(conn, batch).await?;
    patients::update(conn, batch).await?;
    appointments::upsert(conn, batch).await?;
    upsert_reason_code(conn, batch).await?;
    zones::require_all_moved(conn, batch).await?;
    plans::upsert(conn, batch).await?;
    for owner in &batch.release {
        claims::delete_of_owner(conn, batch.organization_id, *owner).await?;
    }
    let mut wanted = batch.claims.clone();
    wanted.extend(groups::move_all(conn, batch).await?);
    groups::leave(conn, batch).await?;
    wanted.extend(groups::join(conn, batch).await?);
    claims::insert(conn, batch, wanted).await?;
    claims::check_places(conn, batch).await?;
    claims::check_limits(conn, batch).await?;
    holds::insert(conn, batch).await?;
    message_counts::add(conn, batch).await?;
    appointments::replace_links(conn, batch).await?;
    for change in &batch.changes {
        insert_change(conn, batch, change.version, &change.payload).await?;
    }
    let epoch = query_scalar(SQLITE_EPOCH).fetch_one(&mut *conn).await?;
    // No other writer runs meanwhile: the new changes are the batch's.
    let stored: Vec<(i64, i64)> = query_as(SELECT_STORED).bind(before).fetch_all(&mut *conn).await?;
    let position = Position { epoch, xid: 0, seq: stored.last().map_or(before, |(seq, _)| *seq) };
    set_answer_revision(conn, batch, position).await?;
    Ok(Committed { position, changes: batch.published(position.xid, &stored), at_us: 0 })
}

async fn insert_change(
    conn: &mut SqliteConnection,
    batch: &Batch,
    version: i64,
    payload: &Hex,
) -> Result<(), CommitError> {
    let insert = query(INSERT_CHANGE).bind(batch.organization_id).bind(version).bind(batch.now_us).bind(&payload.0);
    insert.execute(conn).await?;
    Ok(())
}

async fn insert_answer(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let Some(record) = &batch.idempotency else { return Ok(()) };
    let inserted = query(INSERT_ANSWER)
        .bind(batch.organization_id)
        .bind(&record.caller)
        .bind(&record.route)
        .bind(&record.key)
        .bind(&record.fingerprint)
        .bind(&record.response.0)
        .bind(batch.now_us)
        .execute(conn)
        .await?;
    if inserted.rows_affected() == 0 { Err(CommitError::Replay) } else { Ok(()) }
}

async fn set_answer_revision(
    conn: &mut SqliteConnection,
    batch: &Batch,
    position: Position,
) -> Result<(), CommitError> {
    let Some(record) = &batch.idempotency else { return Ok(()) };
    let update = query(SET_ANSWER_REVISION).bind(position.to_string()).bind(batch.organization_id);
    update.bind(&record.caller).bind(&record.route).bind(&record.key).execute(conn).await?;
    Ok(())
}

async fn upsert_reason_code(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let Some(ReasonChange { code, version, meaning, archived, created_at_us }) = &batch.reason_code else {
        return Ok(());
    };
    let upserted = query(UPSERT_REASON_CODE)
        .bind(batch.organization_id)
        .bind(code)
        .bind(version)
        .bind(meaning)
        .bind(archived)
        .bind(created_at_us)
        .bind(batch.now_us)
        .execute(conn)
        .await?;
    require_row(upserted.rows_affected())
}

/// Refuses a batch whose versioned write changed no row.
fn require_row(rows: u64) -> Result<(), CommitError> {
    if rows == 0 { Err(CommitError::VersionMismatch) } else { Ok(()) }
}
