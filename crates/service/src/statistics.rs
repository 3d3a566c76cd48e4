//! The planner's statistics of a young PostgreSQL database: see `analyze_young_tables.sql` of the crate `sql`.

use std::time::Duration;

use futures::future::BoxFuture;
use runtime::Shutdown;

use crate::store::Database;

/// Longest age of a plan that was made without statistics.
const INTERVAL: Duration = Duration::from_secs(2);

/// Keeps statistics until draining begins. Does nothing on SQLite, whose planner goes by the schema alone.
pub fn run<'a>(database: &'a Database, shutdown: &'a Shutdown) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Database::Postgres(pool) = database else { return };
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut has_failed = false;
        while shutdown.until(ticks.tick()).await.is_some() {
            let analyzed = sql::statistics::analyze_young_tables(pool).await;
            match &analyzed {
                Ok(0) => {}
                Ok(tables) => tracing::debug!(tables, "tables that have grown were analyzed"),
                // Once for each outage.
                Err(_) if has_failed => {}
                Err(error) => tracing::warn!(%error, "tables that have grown cannot be analyzed; trying again"),
            }
            has_failed = analyzed.is_err();
        }
    })
}
