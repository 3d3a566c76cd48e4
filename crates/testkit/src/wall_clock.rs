//! The wall clock of child processes, which a test sets: libfaketime (Debian package `faketime`) between them and libc.
//!
//! The monotonic clock stays as it is, as on a machine whose clock an operator or a time server sets.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The library's place on Debian and Ubuntu.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
const FILE: &str = "offset";
const MISSING: &str = "libfaketime is not on this machine: install the package `faketime`; `cargo xtask test` does so";

/// A wall clock that begins with the system's time.
#[derive(Debug)]
pub struct WallClock {
    folder: TempDir,
    library: PathBuf,
}

impl WallClock {
    /// A clock that shows the system's time.
    ///
    /// # Errors
    /// When libfaketime is not installed.
    pub fn start() -> Result<Self> {
        let library = find().context(MISSING)?;
        let clock = Self { folder: tempfile::tempdir()?, library };
        clock.set(0)?;
        Ok(clock)
    }

    /// The variables of the processes that read this clock.
    pub fn variables(&self) -> Vec<(String, String)> {
        let path = |path: PathBuf| path.display().to_string();
        [
            ("LD_PRELOAD", path(self.library.clone())),
            ("FAKETIME_TIMESTAMP_FILE", path(self.folder.path().join(FILE))),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Sets the clock so many seconds ahead of the system's, or behind it.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // Renamed, so that no process reads half a number.
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join(FILE));
        fs::write(&new, format!("{seconds:+}\n"))?;
        Ok(fs::rename(new, file)?)
    }
}

fn find() -> Option<PathBuf> {
    let folders = fs::read_dir(LIBRARIES).ok()?;
    folders.filter_map(|folder| Some(folder.ok()?.path().join(LIBRARY))).find(|path| path.is_file())
}
