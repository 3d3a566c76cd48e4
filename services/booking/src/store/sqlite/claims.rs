//! Claims on SQLite: laid one by one under the trigger that refuses overlaps, and counted against the batch's limits.

use domain::claim::Kind;
use rpc::Code;
use sqlx::SqliteConnection;

use crate::store::{
    batch::{Batch, Refusal},
    rows::ClaimRow,
};

/// Lays claims, all or none.
pub(super) async fn lay(tx: &mut SqliteConnection, batch: &Batch, wanted: Vec<ClaimRow>) -> Result<(), Refusal> {
    let mut taken = Vec::new();
    for claim in wanted {
        let statement = "DELETE FROM claims WHERE organization_id = $1 AND kind = $2 AND resource = $3 AND unit = $4 \
             AND ends_at_us > $5 AND starts_at_us < $6 AND expires_at_us <= $7";
        sqlx::query(statement)
            .bind(batch.organization_id)
            .bind(claim.kind)
            .bind(claim.resource)
            .bind(claim.unit)
            .bind(claim.starts_at_us)
            .bind(claim.ends_at_us)
            .bind(batch.now_us)
            .execute(&mut *tx)
            .await?;
        let laid = sqlx::query("INSERT INTO claims VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
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
            .execute(&mut *tx)
            .await;
        match laid {
            Ok(_) => {}
            // The trigger gives no constraint's name, only its own words.
            Err(error) if error.to_string().contains("claim taken") => {
                taken.extend(Kind::from_number(claim.kind).map(|kind| (kind, claim.resource)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if taken.is_empty() { Ok(()) } else { Err(Refusal::Taken(taken)) }
}

/// Refuses the batch where the group session that it joins has more members than places.
pub(super) async fn keep_places(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    let Some((group, most)) = batch.join_group.as_ref().and_then(|join| Some((join.row.id, join.most?))) else {
        return Ok(());
    };
    let statement = "SELECT count(*) FROM claims WHERE organization_id = $1 AND kind = 6 AND resource = $2 \
         AND (expires_at_us IS NULL OR expires_at_us > $3)";
    let query = sqlx::query_scalar(statement).bind(batch.organization_id).bind(group).bind(batch.now_us);
    let count: i64 = query.fetch_one(tx).await?;
    if count > most { Err(Refusal::Taken(vec![(Kind::Place, group)])) } else { Ok(()) }
}

/// Refuses the batch where a practitioner has more claims than a limit allows.
pub(super) async fn keep_limits(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    let statement = "SELECT count(*) FROM claims WHERE organization_id = $1 AND kind = 1 AND resource = $2 \
         AND starts_at_us < $4 AND ends_at_us > $3 AND (expires_at_us IS NULL OR expires_at_us > $7) \
         AND (needling OR NOT $6) AND CASE WHEN $5 IS NULL THEN starts_at_us >= $3 ELSE location_id = $5 END";
    for limit in &batch.limits {
        let query = sqlx::query_scalar(statement).bind(batch.organization_id).bind(limit.practitioner);
        let query = query.bind(limit.from_us).bind(limit.to_us).bind(limit.location_id).bind(limit.needling);
        let count: i64 = query.bind(batch.now_us).fetch_one(&mut *tx).await?;
        if count > limit.most {
            return Err(Code::from_name(limit.code).map_or(Refusal::Stale, Refusal::Limit));
        }
    }
    Ok(())
}
