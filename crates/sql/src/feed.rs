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
        // Digits only: each part goes into SQL as a number that is never negative.
        let number = |part: &str| {
            let plain = part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse::<i64>().ok()).flatten().ok_or(ParseError)
        };
        let mut parts = text.splitn(3, '.').map(number);
        let mut next = || parts.next().unwrap_or(Err(ParseError));
        Ok(Self { epoch: next()?, xid: next()?, seq: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn a_position_reads_back_and_nonsense_is_refused() {
        for text in ["1.0.0", "7.812.3", "2000000000.9223372036854775807.9223372036854775807"] {
            assert_eq!(position(text).to_string(), text);
        }
        for bad in
            ["", ".", "1", "1.2", "1.2.3.4", "-1.2.3", "1.-2.3", "1.+2.3", "1..3", "a.b.c", "1.2.9223372036854775808"]
        {
            assert_eq!(bad.parse::<Position>(), Err(ParseError), "{bad}");
        }
    }

    #[test]
    fn the_transaction_counts_before_the_sequence_and_epochs_never_compare() {
        assert!(position("1.9.1") > position("1.8.500"));
        assert!(position("1.9.2") > position("1.9.1"));
        assert!(position("1.9.2").reaches(position("1.9.2")) && !position("1.8.9").reaches(position("1.9.2")));
        assert!(!position("2.9.2").reaches(position("1.1.1")) && !position("1.1.1").reaches(position("2.1.1")));
        assert_eq!(position("1.1.1").partial_cmp(&position("2.1.1")), None);
    }
}
