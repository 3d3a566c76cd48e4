//! Instants in answers: RFC 3339, with the offset of the location where there is one.

use domain::time::{from_micros, rfc3339};

/// An instant in microseconds since the Unix epoch with the offset of a zone; in UTC where the zone is unknown or empty.
pub(super) fn local(us: i64, time_zone: &str) -> String {
    rfc3339(from_micros(us).unwrap_or_default(), time_zone)
}

/// An instant in microseconds since the Unix epoch in UTC.
pub(super) fn utc(us: i64) -> String {
    from_micros(us).unwrap_or_default().to_string()
}

/// The same with the offset of a zone; `None` for 0, which stands for no instant on the wire.
pub(super) fn optional(us: i64, time_zone: &str) -> Option<String> {
    (us != 0).then(|| local(us, time_zone))
}
