//! Group sessions that move on SQLite.

use sqlx::SqliteConnection;

use super::{CHANGE, release};
use crate::store::{
    batch::{Batch, Refusal},
    rows::ClaimRow,
};

const FREE: &str = "UPDATE groups SET version = version + 1, live = false WHERE organization_id = $1 AND id = $2 \
     AND live RETURNING version";
const MEMBERS: &str = "SELECT count(*) FROM claims WHERE organization_id = $1 AND kind = 6 AND resource = $2";

/// Answers the claims that the moved groups lay. All are freed before any is made: one may take the place of another.
pub(super) async fn move_all(tx: &mut SqliteConnection, batch: &Batch) -> Result<Vec<ClaimRow>, Refusal> {
    let org = batch.organization_id;
    let mut wanted = Vec::new();
    for moving in &batch.move_groups {
        let members: i64 = sqlx::query_scalar(MEMBERS).bind(org).bind(moving.from).fetch_one(&mut *tx).await?;
        let freed: Option<i64> = sqlx::query_scalar(FREE).bind(org).bind(moving.from).fetch_optional(&mut *tx).await?;
        let version = freed.filter(|_| members == 0).ok_or(Refusal::GroupChanged)?;
        release(tx, org, moving.from).await?;
        let query = sqlx::query(CHANGE).bind(org).bind(version).bind(batch.now_us).bind(&moving.freed.0);
        query.execute(&mut *tx).await?;
    }
    let statement = "INSERT INTO groups (organization_id, id, version, live, service_id, practitioner_id, location_id, \
         room_id, starts_at_us, ends_at_us, capacity) VALUES ($1, $2, 1, true, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (organization_id, id) DO UPDATE SET version = version + 1, live = true, \
         room_id = excluded.room_id, ends_at_us = excluded.ends_at_us, capacity = excluded.capacity \
         WHERE NOT live RETURNING version";
    for moving in &batch.move_groups {
        let row = &moving.row;
        let query = sqlx::query_scalar(statement).bind(org).bind(row.id).bind(row.service_id).bind(row.practitioner_id);
        let query = query.bind(row.location_id).bind(row.room_id).bind(row.starts_at_us).bind(row.ends_at_us);
        let made: Option<i64> = query.bind(row.capacity).fetch_optional(&mut *tx).await?;
        let version = made.ok_or(Refusal::GroupChanged)?;
        let query = sqlx::query(CHANGE).bind(org).bind(version).bind(batch.now_us).bind(&moving.made.0);
        query.execute(&mut *tx).await?;
        wanted.extend(moving.claims.iter().cloned());
    }
    Ok(wanted)
}
