//! Deletion of rows past their retention.

use service::idempotency;
use sql::Failure;
use sqlx::query;

use super::Store;

const DELETE_EVENTS: &str = "DELETE FROM provider_events WHERE received_at_us < $1";
const DELETE_ARRIVED_PARTS: &str = "DELETE FROM arrived_parts WHERE arrived_at_us < $1";
const DELETE_VERIFICATIONS: &str = "DELETE FROM verifications WHERE created_at_us < $1";
const DELETE_INBOUND: &str = "DELETE FROM inbound WHERE received_at_us < $1";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [DELETE_EVENTS, DELETE_ARRIVED_PARTS, DELETE_VERIFICATIONS, DELETE_INBOUND];

impl Store {
    /// Deletes idempotency keys with verifications, provider reports and inbound messages from before these instants.
    pub(crate) async fn sweep(
        &self,
        keys_before_us: i64,
        events_before_us: i64,
        inbound_before_us: i64,
    ) -> Result<(), Failure> {
        idempotency::delete_before(&self.database, keys_before_us).await?;
        let sweeps = [
            (DELETE_EVENTS, events_before_us),
            (DELETE_ARRIVED_PARTS, events_before_us),
            (DELETE_VERIFICATIONS, keys_before_us),
            (DELETE_INBOUND, inbound_before_us),
        ];
        for (delete, before_us) in sweeps {
            service::write!(self.database.across(), "reminder.sweep", |pool| query(delete)
                .bind(before_us)
                .execute(pool)
                .await
                .map(drop))?;
        }
        Ok(())
    }
}
