//! Positions in a change feed.
//!
//! A sequence number is not commit order. On PostgreSQL a position is the writing transaction's `xid8` and then the
//! sequence number, and a reader passes only below the oldest transaction still running; on SQLite, where one
//! writer commits after another, the transaction's part is 0. The epoch changes when a database is restored, so
//! that followers notice.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A place in the feed of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the database.
    pub epoch: i64,
    /// The writing transaction; 0 on SQLite.
    pub xid: i64,
    /// The sequence number.
    pub seq: i64,
}

impl Position {
    /// Whether a reader that stands here has everything up to `other`; never across epochs.
    pub fn reaches(self, other: Self) -> bool {
        self.epoch == other.epoch && (self.xid, self.seq) >= (other.xid, other.seq)
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.epoch == other.epoch).then(|| (self.xid, self.seq).cmp(&(other.xid, other.seq)))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.epoch, self.xid, self.seq)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position of the feed")]
pub struct ParseError;

impl FromStr for Position {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parts = text.splitn(3, '.').map(|part| part.parse::<i64>().map_err(|_| ParseError));
        let mut next = || parts.next().unwrap_or(Err(ParseError));
        Ok(Self { epoch: next()?, xid: next()?, seq: next()? })
    }
}
