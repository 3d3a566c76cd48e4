//! Instants as answers show them: RFC 3339 with the offset of the place.

use domain::time::from_micros;
use jiff::tz::TimeZone;

/// An instant in a zone; UTC where the zone is unknown or empty.
pub(crate) fn shown(us: i64, time_zone: &str) -> String {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    let at = from_micros(us).unwrap_or_default().to_zoned(zone);
    at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// An instant in UTC.
pub(crate) fn utc(us: i64) -> String {
    from_micros(us).unwrap_or_default().to_string()
}

/// An instant that may be absent.
pub(crate) fn optional(us: i64, time_zone: &str) -> Option<String> {
    (us != 0).then(|| shown(us, time_zone))
}
