//! A change of a location's time zone. Booking moves the upcoming appointments to the new zone first, all of them or none,
//! so that the directory never has a zone that its appointments do not have. Booking refuses appointments that are booked
//! meanwhile by the old zone.

use std::collections::HashMap;

use domain::{
    directory::Body,
    id::{AppointmentId, LocationId},
};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::{
    booking::RezoneAppointmentsRequest,
    common::{KeepAppointments, RezonedAppointment},
};

use crate::{
    Inner,
    index::directory::{Directory, Entry},
    revision::Revision,
};

/// The upcoming appointments of a location in its new zone.
#[derive(Default)]
pub(super) struct Rezoned {
    pub(super) appointments: Vec<RezonedAppointment>,
    /// The start of each appointment, by its id, in microseconds.
    pub(super) starts: HashMap<Uuid, i64>,
    /// Booking's part of the answer's revision.
    pub(super) revision: Revision,
}

/// The new time zone of a location, where a change of its entry changes the zone.
pub(super) fn changed_zone<'a>(directory: &Directory, entry: &'a Entry) -> Option<&'a str> {
    let Body::Location(next) = &entry.body else { return None };
    let previous = directory.get(entry.body.kind(), entry.id)?;
    match &previous.body {
        Body::Location(previous) if previous.time_zone != next.time_zone && entry.live() => Some(&next.time_zone),
        _ => None,
    }
}

/// Moves a location's upcoming appointments to a zone. A repeated call finds them moved.
///
/// # Errors
/// Booking's `has_appointments` and `appointments_clash`.
pub(super) async fn rezone_appointments(
    inner: &Inner,
    ctx: &Context,
    location: Uuid,
    time_zone: &str,
    keep: KeepAppointments,
    dry_run: bool,
) -> Result<Rezoned, Fault> {
    let request = RezoneAppointmentsRequest {
        location_id: LocationId::new(location).to_string(),
        time_zone: time_zone.to_owned(),
        keep: keep.into(),
        dry_run,
    };
    let response = inner.booking.clone().rezone_appointments(ctx.request(request)).await?;
    let revision = response.metadata().get("meridian-revision").and_then(|text| text.to_str().ok());
    let revision = revision.and_then(|text| text.parse().ok()).unwrap_or_default();
    let appointments = response.into_inner().appointments;
    let start = |appointment: &RezonedAppointment| {
        let start_us = match keep {
            KeepAppointments::WallTime => appointment.wall_time_starts_at_us,
            _ => appointment.starts_at_us,
        };
        Some((appointment.appointment_id.parse::<AppointmentId>().ok()?.uuid(), start_us))
    };
    Ok(Rezoned { starts: appointments.iter().filter_map(start).collect(), appointments, revision })
}
