//! The revision that a caller sends back to read its own writes: `d` and a version of the directory, `b` and a
//! position of booking's feed, or both with a comma between. Opaque to callers.

use std::{fmt, str::FromStr};

use sql::feed::Position;

/// What a read must have reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) directory: Option<i64>,
    pub(crate) bookings: Option<Position>,
}

/// A text that is no revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseError;

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.directory, self.bookings) {
            (Some(version), Some(position)) => write!(f, "d{version},b{position}"),
            (Some(version), None) => write!(f, "d{version}"),
            (None, Some(position)) => write!(f, "b{position}"),
            (None, None) => Ok(()),
        }
    }
}

impl FromStr for Revision {
    type Err = ParseError;

    /// Of several parts of one sort the later counts: callers may join whatever they were given.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut revision = Self::default();
        for part in text.split(',').map(str::trim) {
            match part.split_at_checked(1) {
                Some(("d", version)) => {
                    let version = version.parse().map_err(|_| ParseError)?;
                    revision.directory = revision.directory.max(Some(version));
                }
                Some(("b", position)) => {
                    let position: Position = position.parse().map_err(|_| ParseError)?;
                    let later = revision.bookings.is_none_or(|known| !known.reaches(position));
                    revision.bookings = if later { Some(position) } else { revision.bookings };
                }
                _ => return Err(ParseError),
            }
        }
        Ok(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_any_order_read_back_and_the_later_counts() {
        let revision: Revision = "b1.0.7, d12,b1.0.9,d3".parse().unwrap();
        assert_eq!(revision.to_string(), "d12,b1.0.9");
        assert_eq!(revision.to_string().parse(), Ok(revision));
        for bad in ["", "x", "d", "b1.2", "d12,", "ß", "d1;b1.0.1"] {
            assert_eq!(bad.parse::<Revision>(), Err(ParseError), "{bad}");
        }
    }
}
