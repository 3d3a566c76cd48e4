//! Loads other replicas' changes of the directory, and moves the calendars on to the present day.

use std::{sync::Arc, time::Duration};

use domain::id::OrganizationId;
use runtime::Shutdown;
use sql::Failure;
use tokio::time::MissedTickBehavior;

use crate::Inner;

/// The interval between two looks, in real time.
const INTERVAL: Duration = Duration::from_millis(500);

/// Looks for changes until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.until(ticks.tick()).await.is_some() {
        let own = inner.clone();
        // A new day's calendars take longer than other tasks should wait.
        let advanced = tokio::task::spawn_blocking(move || own.organisations.advance_to(own.clock.now()));
        if let Err(error) = advanced.await {
            tracing::error!(%error, "the calendars did not advance to the present day");
        }
        if let Err(error) = load_changed(inner).await {
            tracing::warn!(%error, "the directory versions cannot be read");
        }
    }
}

async fn load_changed(inner: &Inner) -> Result<(), Failure> {
    for row in inner.store.organizations().await? {
        let known = inner.organisations.directory(row.id).map(|directory| directory.version);
        if known.is_none_or(|known| known < row.directory_version) {
            let organization_id = OrganizationId::new(row.id);
            tracing::debug!(%organization_id, version = row.directory_version, "loading a directory");
            inner.load_directory(row.id).await?;
            inner.rechecks.push_all(row.id);
        }
    }
    Ok(())
}
