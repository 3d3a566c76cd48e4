//! Positions in a change feed.
//!
//! Sequence order is not commit order. On PostgreSQL a position is the writing transaction's `xid8` and then the sequence
//! number, and a reader advances only below the oldest running transaction. On SQLite one writer commits after another, so
//! the transaction's part is 0. The epoch changes when a database is restored, so that subscribers start over.
//!
//! A position lags behind the longest transaction of the whole cluster. A subscriber that may apply changes in any order also
//! gets the commits of later transactions; [`Reach`] tells which of them it has.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A position in the feed of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The epoch of the database.
    pub epoch: i64,
    /// The writing transaction; 0 on SQLite.
    pub xid: i64,
    /// The sequence number.
    pub seq: i64,
}

impl Position {
    /// Whether a reader at this position has all changes up to `other`; false across epochs.
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

/// The transactions of a PostgreSQL server that had ended at one instant: a `pg_snapshot`, `xmin:xmax:running`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The first transaction that had not begun.
    end: i64,
    /// The earlier transactions that were running.
    running: Vec<i64>,
}

impl Seen {
    fn has(&self, xid: i64) -> bool {
        xid < self.end && !self.running.contains(&xid)
    }
}

impl FromStr for Seen {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number = |text: &str| text.parse::<i64>().map_err(|_| ParseError);
        let (_, rest) = text.split_once(':').ok_or(ParseError)?;
        let (end, running) = rest.split_once(':').ok_or(ParseError)?;
        let running = running.split(',').filter(|text| !text.is_empty()).map(number).collect::<Result<_, _>>()?;
        Ok(Self { end: number(end)?, running })
    }
}

/// The changes that a subscriber has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// It has all changes up to here.
    pub position: Position,
    /// It also has the changes of these transactions.
    pub seen: Option<Seen>,
    /// It also has these writes, each named by the position of its last change.
    pub writes: Vec<Position>,
}

impl Reach {
    /// All changes up to a position, and no later one.
    pub fn at(position: Position) -> Self {
        Self { position, seen: None, writes: vec![] }
    }

    /// Whether the subscriber has the whole write at `other`; false across epochs.
    pub fn has(&self, other: Position) -> bool {
        let unordered = || self.seen.as_ref().is_some_and(|seen| seen.has(other.xid));
        let same_epoch = self.position.epoch == other.epoch;
        same_epoch && (self.position.reaches(other) || unordered() || self.writes.contains(&other))
    }
}

/// A text that is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position of the feed")]
pub struct ParseError;

impl FromStr for Position {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        // Digits only: no part is negative.
        let number = |part: &str| {
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse::<i64>().ok()).flatten().ok_or(ParseError)
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
    fn a_position_round_trips_and_other_texts_are_refused() {
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
    fn ended_transactions_count_beside_the_position() {
        let reach = |seen: &str| Reach { seen: seen.parse().ok(), ..Reach::at(position("1.9.9")) };
        let unordered = reach("10:15:10,12");
        for (write, has) in [("1.9.2", true), ("1.10.1", false), ("1.11.1", true), ("1.12.0", false), ("1.14.0", true)]
        {
            assert_eq!(unordered.has(position(write)), has, "{write}");
        }
        assert!(
            !unordered.has(position("1.15.1"))
                && !unordered.has(position("2.11.1"))
                && !reach("").has(position("1.10.1"))
        );
        assert!(reach("10:10:").seen.is_some() && reach("10").seen.is_none() && reach("1:2:x").seen.is_none());
    }

    #[test]
    fn a_single_write_counts_for_itself_only() {
        let reach = Reach { writes: vec![position("1.0.12"), position("2.0.15")], ..Reach::at(position("1.0.9")) };
        for (write, has) in [("1.0.9", true), ("1.0.10", false), ("1.0.12", true), ("1.0.11", false), ("2.0.15", false)]
        {
            assert_eq!(reach.has(position(write)), has, "{write}");
        }
    }

    #[test]
    fn transactions_order_before_sequences_and_epochs_never_compare() {
        assert!(position("1.9.1") > position("1.8.500"));
        assert!(position("1.9.2") > position("1.9.1"));
        assert!(position("1.9.2").reaches(position("1.9.2")) && !position("1.8.9").reaches(position("1.9.2")));
        assert!(!position("2.9.2").reaches(position("1.1.1")) && !position("1.1.1").reaches(position("2.1.1")));
        assert_eq!(position("1.1.1").partial_cmp(&position("2.1.1")), None);
    }
}
