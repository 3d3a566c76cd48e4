//! Organisations: when each was first seen, and the lock of whatever plans or writes rules for it.

use service::{read, statement, store::Tx};
use sql::Failure;
use sqlx::query_scalar;
use uuid::Uuid;

use super::Store;

const SELECT_FIRST_SEEN: &str = "SELECT first_seen_at_us FROM organizations WHERE organization_id = $1";
const LOCK_ORGANIZATION: &str = r#"
    INSERT INTO organizations (organization_id, first_seen_at_us, writes)
    VALUES ($1, $2, 1)
    ON CONFLICT (organization_id) DO UPDATE SET writes = organizations.writes + 1
    RETURNING writes
"#;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [SELECT_FIRST_SEEN, LOCK_ORGANIZATION];

impl Store {
    /// The instant at which an organisation was first seen here.
    pub(crate) async fn first_seen(&self, organization: Uuid) -> Result<Option<i64>, Failure> {
        read!(self.database.of(organization), "reminder.first_seen", |pool| query_scalar(SELECT_FIRST_SEEN)
            .bind(organization)
            .fetch_optional(pool)
            .await)
    }
}

/// Locks an organisation until the transaction ends; `true` when this is its first write here.
pub(crate) async fn lock_organization(tx: &mut Tx, organization: Uuid, now_us: i64) -> Result<bool, Failure> {
    let writes: i64 = statement!(tx, "reminder.lock_organization", |conn| query_scalar(LOCK_ORGANIZATION)
        .bind(organization)
        .bind(now_us)
        .fetch_one(conn)
        .await)?;
    Ok(writes == 1)
}
