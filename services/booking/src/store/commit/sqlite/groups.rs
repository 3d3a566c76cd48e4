//! Group sessions: joined, left and moved.

use sqlx::{SqliteConnection, query_scalar};
use uuid::Uuid;

use super::{claims::delete_of_owner, insert_change};
use crate::store::{
    batch::{Batch, CommitError},
    claims::ClaimRow,
    groups::GroupRow,
};

/// Kind 6 is a place of a group session.
const COUNT_MEMBERS: &str = "SELECT count(*) FROM claims WHERE organization_id = $1 AND kind = 6 AND resource = $2";
const SELECT_LIVE_END: &str = "SELECT ends_at_us FROM groups WHERE organization_id = $1 AND id = $2 AND live";
const FREE: &str = r#"
    UPDATE groups
    SET version = version + 1, live = false
    WHERE organization_id = $1 AND id = $2 AND live
    RETURNING version
"#;
/// A session that was freed is made again as its next version; a live one is left alone.
const MAKE: &str = r#"
    INSERT INTO groups
        (organization_id, id, version, live, service_id, practitioner_id, location_id, room_id, starts_at_us, ends_at_us,
         capacity)
    VALUES ($1, $2, 1, true, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (organization_id, id) DO UPDATE
    SET version = version + 1, live = true, room_id = excluded.room_id, ends_at_us = excluded.ends_at_us,
        capacity = excluded.capacity
    WHERE NOT live
    RETURNING version
"#;

/// Frees the group session that the batch leaves, where it has no members left.
pub(super) async fn leave(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let Some(leave) = &batch.leave_group else { return Ok(()) };
    if count_members(conn, batch, leave.id).await? > 0 {
        return Ok(());
    }
    if let Some(version) = free(conn, batch, leave.id).await? {
        insert_change(conn, batch, version, &leave.freed).await?;
    }
    Ok(())
}

/// Joins or makes a group session; answers the claims of one that is made.
pub(super) async fn join(conn: &mut SqliteConnection, batch: &Batch) -> Result<Vec<ClaimRow>, CommitError> {
    let Some(join) = &batch.join_group else { return Ok(vec![]) };
    let live_end = query_scalar(SELECT_LIVE_END).bind(batch.organization_id).bind(join.row.id);
    let live_end: Option<i64> = live_end.fetch_optional(&mut *conn).await?;
    if live_end.is_some() != join.exists || live_end.is_some_and(|ends_at_us| ends_at_us != join.row.ends_at_us) {
        return Err(CommitError::GroupChanged);
    }
    if join.exists {
        return Ok(vec![]);
    }
    let version = make(conn, batch.organization_id, &join.row).await?;
    insert_change(conn, batch, version, &join.made).await?;
    Ok(join.claims.clone())
}

/// Moves group sessions; answers the claims that they have after it. All are freed before any is made: one may move to the
/// time of another.
pub(super) async fn move_all(conn: &mut SqliteConnection, batch: &Batch) -> Result<Vec<ClaimRow>, CommitError> {
    for group in &batch.move_groups {
        if count_members(conn, batch, group.from).await? > 0 {
            return Err(CommitError::GroupChanged);
        }
        let version = free(conn, batch, group.from).await?.ok_or(CommitError::GroupChanged)?;
        insert_change(conn, batch, version, &group.freed).await?;
    }
    let mut claims = Vec::new();
    for group in &batch.move_groups {
        let version = make(conn, batch.organization_id, &group.row).await?;
        insert_change(conn, batch, version, &group.made).await?;
        claims.extend(group.claims.iter().cloned());
    }
    Ok(claims)
}

async fn count_members(conn: &mut SqliteConnection, batch: &Batch, group: Uuid) -> Result<i64, CommitError> {
    Ok(query_scalar(COUNT_MEMBERS).bind(batch.organization_id).bind(group).fetch_one(conn).await?)
}

/// Frees a live group session and its claims; answers its version.
async fn free(conn: &mut SqliteConnection, batch: &Batch, group: Uuid) -> Result<Option<i64>, CommitError> {
    let freed = query_scalar(FREE).bind(batch.organization_id).bind(group).fetch_optional(&mut *conn).await?;
    if freed.is_some() {
        delete_of_owner(conn, batch.organization_id, group).await?;
    }
    Ok(freed)
}

/// Makes a group session; answers its version.
async fn make(conn: &mut SqliteConnection, organization: Uuid, row: &GroupRow) -> Result<i64, CommitError> {
    let made: Option<i64> = query_scalar(MAKE)
        .bind(organization)
        .bind(row.id)
        .bind(row.service_id)
        .bind(row.practitioner_id)
        .bind(row.location_id)
        .bind(row.room_id)
        .bind(row.starts_at_us)
        .bind(row.ends_at_us)
        .bind(row.capacity)
        .fetch_optional(conn)
        .await?;
    made.ok_or(CommitError::GroupChanged)
}
