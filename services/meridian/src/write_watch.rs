//! Readiness while a database takes no writes, such as on a full disk.

use std::time::Duration;

use runtime::{Clock, Readiness, Shutdown};
use sql::{Target, writable};

use crate::{config::Config, roles::Role};

/// Pause between two checks of a database that takes no writes.
const PAUSE: Duration = Duration::from_secs(1);

/// The databases of this process: one role's, or all.
pub(crate) struct WriteWatch {
    databases: Vec<(Role, Target)>,
    readiness: Readiness,
}

impl WriteWatch {
    pub(crate) fn new(config: &Config, role: Option<Role>, readiness: Readiness) -> Self {
        let roles = Role::ALL.into_iter().filter(|each| role.is_none_or(|role| role == *each));
        Self { databases: roles.map(|role| (role, config.database_of(role))).collect(), readiness }
    }

    /// After a refused write: makes the process unready, with the mend, until every database takes writes again. Ends when
    /// draining begins.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        // A disk is filled and emptied in real time.
        let clock = Clock::system();
        while shutdown.until(writable::refusal()).await.is_some() {
            while !self.check().await {
                if shutdown.until(clock.sleep(PAUSE)).await.is_none() {
                    return;
                }
            }
        }
    }

    /// Whether every database takes writes.
    async fn check(&self) -> bool {
        let mut all = true;
        for (role, database) in &self.databases {
            let part = format!("database of {}", role.as_str());
            let was_refusing = self.readiness.missing().iter().any(|(missing, _)| *missing == part);
            match writable::check(database, role.as_str()).await {
                Ok(()) if was_refusing => {
                    tracing::info!(?database, "the {part} takes writes again");
                    self.readiness.ready(&part);
                }
                Ok(()) => {}
                Err(error) => {
                    all = false;
                    if !was_refusing {
                        let cause = format!("{:#}", anyhow::Error::from(error));
                        tracing::error!(?database, cause, "the {part} takes no writes: {}", writable::MEND);
                    }
                    self.readiness.unready(&part, &format!("it takes no writes: {}", writable::MEND));
                }
            }
        }
        all
    }
}
