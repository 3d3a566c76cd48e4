//! Instants, half-open intervals, the 5-minute grid and wall-clock times.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Minutes between two points of the booking grid.
pub const GRID_MINUTES: i64 = 5;

/// Whether an instant lies on the 5-minute grid.
pub fn on_grid(at: Timestamp) -> bool {
    at.as_microsecond().rem_euclid(GRID_MINUTES * 60_000_000) == 0
}

/// The instant with this many microseconds since the Unix epoch, or `None` outside the range of years that
/// [`Timestamp`] covers.
pub fn from_micros(us: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(us).ok()
}

/// A half-open interval `[start, end)` that is never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    start: Timestamp,
    end: Timestamp,
}

impl Interval {
    /// The interval from `start` up to `end`, or `None` where it would be empty.
    pub fn new(start: Timestamp, end: Timestamp) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first instant.
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// The first instant after the interval.
    pub fn end(self) -> Timestamp {
        self.end
    }

    /// Whether the two share an instant.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// A wall-clock time of day in minutes after midnight, `00:00` to `24:00` (the end of the day).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u16);

impl WallTime {
    /// The end of the day.
    pub const MIDNIGHT_END: Self = Self(1440);

    /// This many minutes after midnight, at most 1440.
    pub fn from_minutes(minutes: u16) -> Option<Self> {
        (minutes <= 1440).then_some(Self(minutes))
    }

    /// Minutes after midnight.
    pub fn minutes(self) -> u16 {
        self.0
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for WallTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write a time of day as HH:MM from 00:00 to 24:00, such as 08:00";
        let (hours, minutes) = text.split_once(':').ok_or(FORM)?;
        let two = |part: &str| {
            (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u16>().ok()).flatten()
        };
        match (two(hours), two(minutes)) {
            (Some(h), Some(m)) if m < 60 => Self::from_minutes(h * 60 + m).ok_or(FORM),
            _ => Err(FORM),
        }
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for WallTime {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))
            .description(Some("Wall-clock time of the location, `HH:MM`; `24:00` is the end of the day"))
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for WallTime {
    fn name() -> std::borrow::Cow<'static, str> {
        "WallTime".into()
    }
}

/// A day of the week, by its RFC 5545 letters in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the seven names say it")]
pub enum Day {
    Mo,
    Tu,
    We,
    Th,
    Fr,
    Sa,
    Su,
}

impl Day {
    /// The seven days, Monday first.
    pub const ALL: [Self; 7] = [Self::Mo, Self::Tu, Self::We, Self::Th, Self::Fr, Self::Sa, Self::Su];

    /// 0 for Monday to 6 for Sunday.
    pub fn from_monday(self) -> u8 {
        self as u8
    }

    /// The two letters.
    pub fn as_str(self) -> &'static str {
        ["mo", "tu", "we", "th", "fr", "sa", "su"][self as usize]
    }
}

impl FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|day| day.as_str() == text).ok_or("expected one of mo, tu, we, th, fr, sa, su")
    }
}

impl From<jiff::civil::Weekday> for Day {
    fn from(weekday: jiff::civil::Weekday) -> Self {
        Self::ALL[usize::from(weekday.to_monday_zero_offset().unsigned_abs() % 7)]
    }
}

/// Finds an IANA time zone by its exact name.
///
/// Only geographical zones and `UTC` pass: fixed POSIX abbreviations such as `EST` would silently lose their
/// daylight saving.
pub fn zone(name: &str) -> Option<jiff::tz::TimeZone> {
    let geographical = name.contains('/') || name == "UTC";
    let found = geographical.then(|| jiff::tz::TimeZone::get(name).ok()).flatten()?;
    // The look-up ignores case; the stored name must be the one that every other program knows.
    (found.iana_name() == Some(name)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times_read_back() {
        assert_eq!("08:05".parse::<WallTime>().map(|t| t.to_string()), Ok("08:05".to_owned()));
        assert_eq!("24:00".parse::<WallTime>(), Ok(WallTime::MIDNIGHT_END));
        for bad in ["8:00", "24:05", "08:60", "0800", "", "aa:bb", "-1:00"] {
            assert!(bad.parse::<WallTime>().is_err(), "{bad}");
        }
    }

    #[test]
    fn zones_are_exact() {
        assert!(zone("America/Edmonton").is_some());
        for bad in ["america/edmonton", "EST", "Mars/Olympus", "", "America"] {
            assert!(zone(bad).is_none(), "{bad}");
        }
    }
}
