//! Claims: inserted one by one under the trigger that refuses overlaps, and counted against the batch's limits.

use domain::claim::Kind;
use rpc::Code;
use sqlx::{SqliteConnection, query, query_scalar};
use uuid::Uuid;

use crate::store::{
    batch::{Batch, CommitError},
    claims::ClaimRow,
};

/// The message of the trigger. SQLite gives no constraint's name.
const OVERLAP_MESSAGE: &str = "claim taken";
const DELETE_EXPIRED: &str = r#"
    DELETE FROM claims
    WHERE organization_id = $1 AND kind = $2 AND resource = $3 AND unit = $4
      AND ends_at_us > $5 AND starts_at_us < $6 AND expires_at_us <= $7
"#;
const INSERT: &str = r#"
    INSERT INTO claims
        (organization_id, kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, location_id, needling)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"#;
const DELETE_OF_OWNER: &str = "DELETE FROM claims WHERE organization_id = $1 AND owner = $2";
/// Kind 6 is a place of a group session.
const COUNT_LIVE_PLACES: &str = r#"
    SELECT count(*)
    FROM claims
    WHERE organization_id = $1 AND kind = 6 AND resource = $2 AND (expires_at_us IS NULL OR expires_at_us > $3)
"#;
/// Kind 1 is a practitioner.
const COUNT_LIMITED: &str = r#"
    SELECT count(*)
    FROM claims
    WHERE organization_id = $1 AND kind = 1 AND resource = $2
      AND starts_at_us < $4 AND ends_at_us > $3
      AND (expires_at_us IS NULL OR expires_at_us > $7)
      AND (needling OR NOT $6)
      AND CASE WHEN $5 IS NULL THEN starts_at_us >= $3 ELSE location_id = $5 END
"#;

/// Inserts claims, all or none. Expired claims that they overlap are deleted.
pub(super) async fn insert(
    conn: &mut SqliteConnection,
    batch: &Batch,
    wanted: Vec<ClaimRow>,
) -> Result<(), CommitError> {
    let mut conflicts = Vec::new();
    for claim in wanted {
        query(DELETE_EXPIRED)
            .bind(batch.organization_id)
            .bind(claim.kind)
            .bind(claim.resource)
            .bind(claim.unit)
            .bind(claim.starts_at_us)
            .bind(claim.ends_at_us)
            .bind(batch.now_us)
            .execute(&mut *conn)
            .await?;
        let inserted = query(INSERT)
            .bind(batch.organization_id)
            .bind(claim.kind)
            .bind(claim.resource)
            .bind(claim.unit)
            .bind(claim.starts_at_us)
            .bind(claim.ends_at_us)
            .bind(claim.owner)
            .bind(claim.expires_at_us)
            .bind(claim.location_id)
            .bind(claim.needling)
            .execute(&mut *conn)
            .await;
        match inserted {
            Ok(_) => {}
            Err(error) if error.to_string().contains(OVERLAP_MESSAGE) => {
                conflicts.extend(Kind::from_number(claim.kind).map(|kind| (kind, claim.resource)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if conflicts.is_empty() { Ok(()) } else { Err(CommitError::ClaimsConflict(conflicts)) }
}

pub(super) async fn delete_of_owner(
    conn: &mut SqliteConnection,
    organization: Uuid,
    owner: Uuid,
) -> Result<(), CommitError> {
    query(DELETE_OF_OWNER).bind(organization).bind(owner).execute(conn).await?;
    Ok(())
}

/// Refuses the batch where the group session that it joins has more members than places.
pub(super) async fn check_places(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let Some((group, most)) = batch.join_group.as_ref().and_then(|join| Some((join.row.id, join.most?))) else {
        return Ok(());
    };
    let count = query_scalar(COUNT_LIVE_PLACES).bind(batch.organization_id).bind(group).bind(batch.now_us);
    let count: i64 = count.fetch_one(conn).await?;
    if count > most { Err(CommitError::ClaimsConflict(vec![(Kind::Place, group)])) } else { Ok(()) }
}

/// Refuses the batch where a practitioner has more claims than a limit allows.
pub(super) async fn check_limits(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for limit in &batch.limits {
        let count = query_scalar(COUNT_LIMITED).bind(batch.organization_id).bind(limit.practitioner);
        let count = count.bind(limit.from_us).bind(limit.to_us).bind(limit.location_id).bind(limit.needling);
        let count: i64 = count.bind(batch.now_us).fetch_one(&mut *conn).await?;
        if count > limit.most {
            return Err(Code::from_name(limit.code).map_or(CommitError::VersionMismatch, CommitError::LimitReached));
        }
    }
    Ok(())
}
