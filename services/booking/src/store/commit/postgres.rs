//! PostgreSQL: a batch is one call of a function, in one round trip.

use domain::claim::Kind;
use rpc::Code;
use sql::feed::Position;
use sqlx::{PgPool, postgres::PgDatabaseError, query_as};
use uuid::Uuid;

use crate::store::{
    batch::{Batch, CommitError},
    changes::Committed,
    visitors::HoldLimit,
};

/// The parameter is the batch as JSON.
const COMMIT: &str = "SELECT feed_position, seqs, versions FROM commit_batch($1::jsonb)";

pub(super) async fn commit(pool: &PgPool, batch: &Batch) -> Result<Committed, CommitError> {
    let document = serde_json::to_string(batch).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let commit = query_as::<_, (String, Vec<i64>, Vec<i64>)>(COMMIT).bind(document).fetch_one(pool);
    let (position, seqs, versions) = commit.await.map_err(commit_error)?;
    let position: Position = position.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let stored: Vec<(i64, i64)> = seqs.into_iter().zip(versions).collect();
    Ok(Committed { position, changes: batch.published(position.xid, &stored), at_us: 0 })
}

/// The error that the function raised.
fn commit_error(error: sqlx::Error) -> CommitError {
    let Some(db) = error.as_database_error().and_then(|db| db.try_downcast_ref::<PgDatabaseError>()) else {
        return error.into();
    };
    match db.code() {
        "MR001" => CommitError::Replay,
        "MR002" => CommitError::HoldGone,
        "MR003" => CommitError::VersionMismatch,
        "MR004" => CommitError::GroupChanged,
        "MR005" => {
            let pairs = db.detail().unwrap_or_default().split(',');
            CommitError::ClaimsConflict(pairs.filter_map(parse_claim).collect())
        }
        "MR006" => match db.detail().and_then(Code::from_name) {
            Some(code) => CommitError::LimitReached(code),
            None => error.into(),
        },
        "MR007" => CommitError::ZoneChanged,
        "MR008" => match db.detail().and_then(parse_hold_limit) {
            Some((limit, until_us)) => CommitError::HoldLimit(limit, until_us),
            None => error.into(),
        },
        "MR009" => CommitError::MessageLimit(db.detail().unwrap_or_default().to_owned()),
        _ => error.into(),
    }
}

/// Reads `limit:instant`.
fn parse_hold_limit(detail: &str) -> Option<(HoldLimit, i64)> {
    let (limit, until_us) = detail.split_once(':')?;
    Some((HoldLimit::from_name(limit)?, until_us.parse().ok()?))
}

/// Reads `kind:resource`.
fn parse_claim(pair: &str) -> Option<(Kind, Uuid)> {
    let (kind, resource) = pair.split_once(':')?;
    Some((Kind::from_number(kind.parse().ok()?)?, resource.parse().ok()?))
}
