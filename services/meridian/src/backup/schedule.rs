//! Backups at intervals, by the process that runs all roles.

use std::time::Duration;

use runtime::{Clock, Shutdown};

use super::{began_at, list, make, prune};
use crate::config::Config;

/// Longest wait between two looks, so that a suspended machine is noticed; also the pause after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The schedule of a process.
pub(crate) struct Schedule {
    config: Config,
}

impl Schedule {
    /// The configured schedule; `None` without a folder.
    pub(crate) fn new(config: &Config) -> Option<Self> {
        config.backup.folder.as_ref().map(|_| Self { config: config.clone() })
    }

    /// Makes a backup whenever the newest is old enough, until draining begins.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        // Disks and operators live in real time.
        let clock = Clock::system();
        while shutdown.until(self.make_if_due(&clock)).await.is_some() {
            if shutdown.until(clock.sleep(LOOK_EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn make_if_due(&self, clock: &Clock) {
        let Some(folder) = &self.config.backup.folder else { return };
        let newest = list(folder).ok().and_then(|all| began_at(all.last()?));
        let is_due =
            newest.is_none_or(|at| clock.now().duration_since(at).unsigned_abs() >= self.config.backup.every());
        if !is_due {
            return;
        }
        let keep = usize::try_from(self.config.backup.keep).unwrap_or(usize::MAX);
        let made = make(&self.config, folder, |_| {}).await.and_then(|made| prune(folder, keep).map(|()| made));
        match made {
            Ok(made) => tracing::info!(backup = %made.display(), "the databases are backed up"),
            Err(error) => {
                let cause = format!("{error:#}");
                tracing::error!(folder = %folder.display(), cause, "no backup could be made; it is tried again shortly");
            }
        }
    }
}
