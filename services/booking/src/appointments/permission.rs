//! Who may change an appointment, and when. Every route asks here: staff's calls, patients' links, replies by text
//! message and offers.

use domain::{
    appointment::{Actor, Status, Timing, Transition},
    time::from_micros,
};
use jiff::{Timestamp, tz::TimeZone};
use rpc::{Code, Fault};

use super::starts_at;
use crate::{Inner, reasons::Cause, store::appointments::AppointmentRow};

/// Reads who asks from the wire; empty means staff.
pub(crate) fn parse_by(word: &str) -> Result<Actor, Fault> {
    if word.is_empty() {
        return Ok(Actor::Staff);
    }
    word.parse().map_err(|expected| Fault::violation("/by", "invalid_value", expected))
}

/// The status after a transition.
///
/// # Errors
/// `invalid_transition` where the status or the time does not allow it; `allowed` names what both allow.
pub(crate) fn check_transition(
    row: &AppointmentRow,
    transition: Transition,
    by: Actor,
    now_us: i64,
) -> Result<Status, Fault> {
    let status: Status = row.status.parse().map_err(Fault::internal)?;
    let timing = timing(row, now_us);
    let next = transition.from(status);
    if let Some(next) = next.filter(|_| transition.is_timely(by, timing)) {
        return Ok(next);
    }
    let allowed = allowed(row, status, by, now_us);
    let may = if allowed.is_empty() { "nothing".to_owned() } else { allowed.replace(',', ", ") };
    let name = transition.as_str();
    let detail = match (next, by) {
        (None, _) => format!("an appointment that is {status} allows {may}, not {name}"),
        (Some(_), Actor::Patient) => "the visit has begun: the link only shows it now; call the clinic".to_owned(),
        (Some(_), Actor::Staff) if transition == Transition::NoShow => {
            "a visit that has not begun cannot be missed yet; cancel it instead".to_owned()
        }
        (Some(_), Actor::Staff) => {
            let day = row.starts_local.get(..10).unwrap_or_default();
            format!("the visit is on {day}; {name} is possible from the beginning of that day at its location")
        }
    };
    Err(Fault::new(Code::InvalidTransition, detail).with("allowed", allowed))
}

/// The transitions that the status and the time allow, separated by commas.
pub(crate) fn allowed(row: &AppointmentRow, status: Status, by: Actor, now_us: i64) -> String {
    let allowed = status.allowed_now(by, timing(row, now_us)).into_iter().map(Transition::as_str);
    allowed.collect::<Vec<_>>().join(",")
}

fn timing(row: &AppointmentRow, now_us: i64) -> Timing {
    let starts_at = starts_at(row);
    let zone = domain::time::zone(&row.time_zone).unwrap_or(TimeZone::UTC);
    let day = starts_at.to_zoned(zone).start_of_day();
    let now = from_micros(now_us).unwrap_or(Timestamp::UNIX_EPOCH);
    Timing { now, day_starts_at: day.map_or(starts_at, |day| day.timestamp()), starts_at }
}

/// Whether the patient gives up this time with too little notice. A displaced appointment is never late, since the clinic
/// cannot keep it.
pub(crate) fn is_late(inner: &Inner, row: &AppointmentRow, cause: Cause, now_us: i64) -> bool {
    let notice_us = row.starts_at_us - now_us;
    cause.is_patients && !row.displaced && notice_us < i64::from(inner.config.late_cancellation_minutes) * 60_000_000
}
