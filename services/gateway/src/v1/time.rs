//! Instants as answers show them: RFC 3339 with the offset of the place.

use domain::time::from_micros;
use jiff::{Timestamp, tz::TimeZone};

/// An instant in a zone; UTC where the zone is unknown or empty.
pub(crate) fn shown(us: i64, time_zone: &str) -> String {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    let at = Timestamp::from_second(us.div_euclid(1_000_000)).unwrap_or_default();
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// An instant in UTC.
pub(crate) fn utc(us: i64) -> String {
    from_micros(us).unwrap_or_default().to_string()
}

/// An instant that may be absent.
pub(crate) fn optional(us: i64, time_zone: &str) -> Option<String> {
    (us != 0).then(|| shown(us, time_zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_shown_with_the_offset_of_its_place() {
        for (at, zone, text) in [
            ("2026-07-01T14:30:00Z", "America/Edmonton", "2026-07-01T08:30:00-06:00"),
            ("2026-12-01T14:30:00.999999Z", "America/Edmonton", "2026-12-01T07:30:00-07:00"),
            ("2026-12-01T14:30:00Z", "Asia/Kathmandu", "2026-12-01T20:15:00+05:45"),
            ("2026-12-01T14:30:00Z", "UTC", "2026-12-01T14:30:00+00:00"),
            ("2026-12-01T14:30:00Z", "Nowhere/Else", "2026-12-01T14:30:00+00:00"),
            ("1969-12-31T23:59:59.5Z", "Europe/London", "1970-01-01T00:59:59+01:00"),
        ] {
            assert_eq!(shown(at.parse::<Timestamp>().unwrap().as_microsecond(), zone), text, "{at} {zone}");
        }
    }
}
