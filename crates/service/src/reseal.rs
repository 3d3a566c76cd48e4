//! Sealing again under the newest key: how far it has come.

use crate::seal;

/// The rows of one page; between two pages other writers get their turn.
pub const PAGE: i64 = 200;

/// The outcome for one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values that are sealed under the newest key now.
    pub sealed: u64,
    /// Values that do not open under any key of the ring. They stay as they are.
    pub unopened: u64,
    /// Why the last of them does not open.
    pub reason: Option<String>,
}

impl Resealed {
    /// Counts a value that was sealed, unless another writer had replaced it meanwhile.
    pub fn count(&mut self, replaced: bool) {
        self.sealed += u64::from(replaced);
    }

    /// Counts a value that does not open.
    pub fn fail(&mut self, error: &seal::Error) {
        self.unopened += 1;
        self.reason = Some(error.to_string());
    }

    /// Adds the outcome of another page or table.
    pub fn add(&mut self, other: Self) {
        self.sealed += other.sealed;
        self.unopened += other.unopened;
        self.reason = other.reason.or(self.reason.take());
    }
}

/// Called after each page with the table and the number of its values that were sealed so far.
pub type Progress<'a> = &'a (dyn Fn(&'static str, u64) + Send + Sync);
