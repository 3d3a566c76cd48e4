//! Idempotency answers that are replaced, and rows that are deleted when they are older than their retention.

use sql::Failure;
use sqlx::query;
use uuid::Uuid;

use super::{Store, batch::IdempotencyRecord, visitors::DAY_US};

/// Rows older than these instants are deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cutoffs {
    pub(crate) keys_us: i64,
    pub(crate) claims_us: i64,
    pub(crate) changes_us: i64,
    pub(crate) held_slots_us: i64,
    /// For rows that hold their own expiry.
    pub(crate) now_us: i64,
}

/// Deletes the oldest rows, about `$2` of them: the bound is read from the index, and no lock is held for long.
macro_rules! delete_oldest {
    ($table:literal, $column:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $column,
            " < $1 AND ",
            $column,
            " <= (SELECT max(at_us) FROM (SELECT ",
            $column,
            " AS at_us FROM ",
            $table,
            " ORDER BY ",
            $column,
            " LIMIT $2) AS oldest)"
        )
    };
}

const DELETE_KEYS: &str = delete_oldest!("idempotency", "created_at_us");
const DELETE_CLAIMS: &str = delete_oldest!("claims", "ends_at_us");
const DELETE_LINKS: &str = delete_oldest!("manage_links", "expires_at_us");
const DELETE_PROPOSALS: &str = delete_oldest!("proposals", "expires_at_us");
const DELETE_DISPLACED_PROPOSALS: &str = delete_oldest!("displaced_proposals", "expires_at_us");
const DELETE_GROUPS: &str = delete_oldest!("groups", "ends_at_us");
const DELETE_HELD_SLOTS: &str = delete_oldest!("held_slots", "expires_at_us");
const DELETE_MESSAGE_COUNTS: &str = delete_oldest!("message_counts", "day");
const UPDATE_ANSWER: &str = r#"
    UPDATE idempotency
    SET response = $5
    WHERE organization_id = $1 AND caller = $2 AND route = $3 AND key = $4
"#;

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    DELETE_KEYS,
    DELETE_CLAIMS,
    DELETE_LINKS,
    DELETE_PROPOSALS,
    DELETE_DISPLACED_PROPOSALS,
    DELETE_GROUPS,
    DELETE_HELD_SLOTS,
    DELETE_MESSAGE_COUNTS,
    UPDATE_ANSWER,
];

impl Store {
    /// Deletes some of the rows older than the cut-offs, up to `limit` of each table; answers whether more may be left.
    pub(crate) async fn delete_expired(&self, cutoffs: Cutoffs, limit: i64) -> Result<bool, Failure> {
        let mut most = self.delete_old_changes(cutoffs.changes_us, limit).await?;
        for (statement, before_us) in [
            (DELETE_KEYS, cutoffs.keys_us),
            (DELETE_CLAIMS, cutoffs.claims_us),
            (DELETE_LINKS, cutoffs.now_us),
            (DELETE_PROPOSALS, cutoffs.now_us),
            (DELETE_DISPLACED_PROPOSALS, cutoffs.now_us),
            (DELETE_GROUPS, cutoffs.claims_us),
            (DELETE_HELD_SLOTS, cutoffs.held_slots_us),
            (DELETE_MESSAGE_COUNTS, cutoffs.now_us / DAY_US),
        ] {
            let deleted = service::write!(self.database.across(), "booking.delete_expired", |pool| {
                query(statement).bind(before_us).bind(limit).execute(pool).await.map(|done| done.rows_affected())
            })?;
            most = most.max(deleted);
        }
        Ok(i64::try_from(most).is_ok_and(|most| most >= limit))
    }

    /// Replaces the answer that is stored for a key.
    pub(crate) async fn replace_answer(&self, organization: Uuid, record: &IdempotencyRecord) -> Result<(), Failure> {
        service::write!(self.database.of(organization), "booking.replace_answer", |pool| {
            query(UPDATE_ANSWER)
                .bind(organization)
                .bind(&record.caller)
                .bind(&record.route)
                .bind(&record.key)
                .bind(&record.response.0)
                .execute(pool)
                .await
                .map(drop)
        })
    }
}
