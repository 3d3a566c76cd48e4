//! The section `backup`.

use std::{path::PathBuf, time::Duration};

use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

/// Backups of the embedded databases, made by the process that runs all roles. Databases in PostgreSQL are backed up by
/// PostgreSQL's own programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Backup {
    /// The folder for them, best on another disk. Not set: none are made.
    pub(crate) folder: Option<PathBuf>,
    /// Minutes from one to the next.
    pub(crate) every_minutes: u32,
    /// How many are kept; older ones are removed.
    pub(crate) keep: u32,
}

impl Default for Backup {
    fn default() -> Self {
        Self { folder: None, every_minutes: 24 * 60, keep: 14 }
    }
}

impl Section for Backup {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        for (key, value) in [("every_minutes", self.every_minutes), ("keep", self.keep)] {
            if value == 0 {
                faults.push(Fault { key: format!("{at}{key}"), problem: "must be at least 1".to_owned() });
            }
        }
    }
}

impl Backup {
    /// The time from one backup to the next.
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.every_minutes))
    }
}
