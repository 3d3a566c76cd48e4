//! Commits of batches, on either engine.

mod postgres;
mod sqlite;

use service::store::{Database, span};
use tracing::Instrument;

use super::{
    Store,
    batch::{Batch, CommitError},
    changes::Committed,
};

impl Store {
    /// Commits a batch as a whole or not at all. `at_us` of the answer is 0.
    pub(crate) async fn commit(&self, batch: &Batch) -> Result<Committed, CommitError> {
        let span = span(self.database.engine(), "booking.commit");
        match &self.database {
            Database::Sqlite(pools) => sqlite::commit(pools, batch).instrument(span).await,
            Database::Postgres(pool) => postgres::commit(pool, batch).instrument(span).await,
        }
    }
}
