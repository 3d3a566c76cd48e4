//! Patients whom staff keep from booking online.

use domain::time::{from_micros, zone};
use jiff::tz::TimeZone;
use rpc::{Code, Context, Fault};
use wire::{booking::Warning, common::BookingChannel};

use crate::{Inner, patients::matching::MatchedPatient};

/// The warnings that staff get with the booking of a patient, by the calendar of the location.
///
/// # Errors
/// `patient_blocked` for a booking that the patient makes. It never says why: anybody may have named the patient.
pub(super) fn check(
    inner: &Inner,
    ctx: &Context,
    patient: &MatchedPatient,
    time_zone: &str,
    channel: i32,
) -> Result<Vec<Warning>, Fault> {
    let Some(block) = &patient.blocked else { return Ok(vec![]) };
    let zone = zone(time_zone).unwrap_or(TimeZone::UTC);
    let today = from_micros(inner.clock.now_us()).map(|now| now.to_zoned(zone).date());
    if today.is_some_and(|today| !block.holds_on(today)) {
        return Ok(vec![]);
    }
    if ctx.visitor.is_some() || channel != BookingChannel::Staff as i32 {
        metrics::counter!("bookings_limited_total", "limit" => "blocked").increment(1);
        return Err(Fault::new(Code::PatientBlocked, "this cannot be booked online; call the clinic"));
    }
    let detail = "the patient is kept from booking online; their record says why";
    Ok(vec![Warning { code: Code::PatientBlocked.as_str().to_owned(), detail: detail.to_owned() }])
}
