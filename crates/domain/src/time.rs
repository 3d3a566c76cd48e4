//! Instants, half-open intervals, the 5-minute grid and wall-clock times.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::words::words;

/// Minutes between two points of the booking grid.
pub const GRID_MINUTES: i64 = 5;

/// Whether an instant lies on the 5-minute grid.
pub fn on_grid(at: Timestamp) -> bool {
    at.as_microsecond().rem_euclid(GRID_MINUTES * 60_000_000) == 0
}

/// The instant at this many microseconds since the Unix epoch; `None` outside the range of [`Timestamp`].
pub fn from_micros(us: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(us).ok()
}

/// A half-open interval `[start, end)`, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    start: Timestamp,
    end: Timestamp,
}

impl Interval {
    /// The interval `[start, end)`; `None` if it is empty.
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

    /// Whether two intervals share an instant.
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

    /// The time at this many minutes after midnight; `None` above 1440.
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

words! {
    /// A day of the week, by its RFC 5545 letters in lower case.
    pub enum Day as "Day" {
        /// Monday.
        Mo = "mo",
        /// Tuesday.
        Tu = "tu",
        /// Wednesday.
        We = "we",
        /// Thursday.
        Th = "th",
        /// Friday.
        Fr = "fr",
        /// Saturday.
        Sa = "sa",
        /// Sunday.
        Su = "su",
    }
}

impl Day {
    /// 0 for Monday to 6 for Sunday.
    pub fn from_monday(self) -> u8 {
        self as u8
    }
}

impl From<jiff::civil::Weekday> for Day {
    fn from(weekday: jiff::civil::Weekday) -> Self {
        Self::ALL[usize::from(weekday.to_monday_zero_offset().unsigned_abs() % 7)]
    }
}

/// An instant as RFC 3339 in whole seconds with the offset of this IANA time zone; with `+00:00` where the zone is unknown.
pub fn rfc3339(at: Timestamp, time_zone: &str) -> String {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    let at = Timestamp::from_second(at.as_microsecond().div_euclid(1_000_000)).unwrap_or_default();
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// Finds an IANA time zone by its exact name.
///
/// Only geographical zones and `UTC` are accepted: fixed POSIX abbreviations such as `EST` have no daylight saving.
pub fn zone(name: &str) -> Option<TimeZone> {
    let geographical = name.contains('/') || name == "UTC";
    let found = geographical.then(|| TimeZone::get(name).ok()).flatten()?;
    // `TimeZone::get` ignores case; the stored name must be the one that other programs know.
    (found.iana_name() == Some(name)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times_parse_back() {
        assert_eq!("08:05".parse::<WallTime>().map(|t| t.to_string()), Ok("08:05".to_owned()));
        assert_eq!("24:00".parse::<WallTime>(), Ok(WallTime::MIDNIGHT_END));
        for bad in ["8:00", "24:05", "08:60", "0800", "", "aa:bb", "-1:00"] {
            assert!(bad.parse::<WallTime>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instant_has_the_offset_of_its_zone() {
        for (at, zone, text) in [
            ("2026-07-01T14:30:00Z", "America/Edmonton", "2026-07-01T08:30:00-06:00"),
            ("2026-12-01T14:30:00.999999Z", "America/Edmonton", "2026-12-01T07:30:00-07:00"),
            ("2026-12-01T14:30:00Z", "Asia/Kathmandu", "2026-12-01T20:15:00+05:45"),
            ("2026-12-01T14:30:00Z", "UTC", "2026-12-01T14:30:00+00:00"),
            ("2026-12-01T14:30:00Z", "Nowhere/Else", "2026-12-01T14:30:00+00:00"),
            ("1969-12-31T23:59:59.5Z", "Europe/London", "1970-01-01T00:59:59+01:00"),
        ] {
            assert_eq!(rfc3339(at.parse().unwrap(), zone), text, "{at} {zone}");
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
