//! The revision that a caller sends back to read its own writes: `d` and a version of the directory, `b` and a position
//! of booking's feed, or several of these separated by commas. Opaque to callers.

use std::{fmt, str::FromStr};

use sql::feed::Position;

/// The most feed positions in one revision.
const BOOKINGS_MAX: usize = 16;

/// The state that a read must have reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) directory: Option<i64>,
    /// Every position counts: a later one does not imply an earlier one, whose transaction may have ended after it.
    pub(crate) bookings: Vec<Position>,
}

impl Revision {
    /// This revision joined with everything up to a position.
    pub(crate) fn including(mut self, position: Option<Position>) -> Self {
        if let Some(position) = position {
            self.bookings.retain(|known| known.epoch == position.epoch && !position.reaches(*known));
            self.bookings.insert(0, position);
        }
        self
    }

    fn add(&mut self, position: Position) {
        // Positions of a database's earlier epoch, before it was restored, cannot be waited for.
        self.bookings.retain(|known| known.epoch == position.epoch && *known != position);
        self.bookings.push(position);
    }
}

/// The text is no revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseError;

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.iter().map(|version| format!("d{version}"));
        let parts: Vec<String> = directory.chain(self.bookings.iter().map(|position| format!("b{position}"))).collect();
        f.write_str(&parts.join(","))
    }
}

impl FromStr for Revision {
    type Err = ParseError;

    /// Callers may join revisions: the latest directory version counts, and every feed position.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut revision = Self::default();
        for part in text.split(',').map(str::trim) {
            match part.split_at_checked(1) {
                Some(("d", version)) => {
                    let version = version.parse().map_err(|_| ParseError)?;
                    revision.directory = revision.directory.max(Some(version));
                }
                Some(("b", position)) => revision.add(position.parse().map_err(|_| ParseError)?),
                _ => return Err(ParseError),
            }
        }
        if revision.bookings.len() > BOOKINGS_MAX { Err(ParseError) } else { Ok(revision) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_any_order_read_back_and_each_position_counts() {
        let revision: Revision = "b1.0.9, d12,b1.0.7,d3,b1.0.9".parse().unwrap();
        assert_eq!(revision.to_string(), "d12,b1.0.7,b1.0.9");
        assert_eq!(revision.to_string().parse(), Ok(revision));
        assert_eq!("b1.0.9,b2.0.1".parse::<Revision>().unwrap().to_string(), "b2.0.1", "of another epoch");
        let many: Vec<String> = (0..17).map(|number| format!("b1.0.{number}")).collect();
        for bad in ["", "x", "d", "b1.2", "d12,", "ß", "d1;b1.0.1", &many.join(",")] {
            assert_eq!(bad.parse::<Revision>(), Err(ParseError), "{bad}");
        }
    }

    #[test]
    fn a_position_replaces_those_that_it_reaches() {
        let requested: Revision = "d1,b1.4.1,b1.9.1".parse().unwrap();
        assert_eq!(requested.clone().including("1.5.0".parse().ok()).to_string(), "d1,b1.5.0,b1.9.1");
        assert_eq!(requested.clone().including(None), requested);
    }
}
