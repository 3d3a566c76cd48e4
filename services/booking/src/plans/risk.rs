//! When a plan begins to be at risk: a session is left, none is booked, and the last day for it is near. Pure.

use careplan::plan::{Plan, SessionStatus};
use jiff::{Span, Timestamp, civil::Time, tz::TimeZone};

/// The instant, in microseconds, from which a plan is at risk if nothing more is booked: the start of a day in UTC, and
/// not before the last booked appointment has ended. `None` where no session is left.
pub(super) fn begins_at_us(plan: &Plan, now: Timestamp, days: u32) -> Option<i64> {
    let booked = plan.sessions.iter().filter(|session| session.status == SessionStatus::Booked);
    let from = booked.filter_map(|session| session.visit.map(|visit| visit.ends_at)).max().unwrap_or(now).max(now);
    let first = plan.book_by(from)?.saturating_sub(Span::new().days(i64::from(days)));
    let midnight = TimeZone::UTC.to_timestamp(first.to_datetime(Time::midnight())).ok()?;
    let begins_at = if from > now { midnight.max(from) } else { midnight };
    Some(begins_at.as_microsecond())
}
