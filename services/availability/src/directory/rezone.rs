//! A location's other time zone: booking gives it to the appointments ahead first, all of them or none, so that the directory
//! never has a zone that its visits have not. What is booked meanwhile by the zone before, booking refuses.

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

/// What booking said of the appointments ahead.
#[derive(Default)]
pub(crate) struct Rezoned {
    pub(crate) appointments: Vec<RezonedAppointment>,
    /// When each of them starts now, by its id, in microseconds.
    pub(crate) starts: HashMap<Uuid, i64>,
    /// Booking's part of the answer's revision.
    pub(crate) revision: Revision,
}

/// The time zone that a change of an entry gives its location, where that is another than before.
pub(crate) fn zone<'a>(directory: &Directory, entry: &'a Entry) -> Option<&'a str> {
    let Body::Location(next) = &entry.body else { return None };
    let before = directory.get(entry.body.kind(), entry.id)?;
    match &before.body {
        Body::Location(before) if before.time_zone != next.time_zone && entry.live() => Some(&next.time_zone),
        _ => None,
    }
}

/// Asks booking to give a location's appointments ahead a zone; again, it finds them done.
///
/// # Errors
/// `has_appointments` and `appointments_clash`, as booking says.
pub(crate) async fn ask(
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
    let start = |one: &RezonedAppointment| {
        let start_us = match keep {
            KeepAppointments::WallTime => one.wall_time_starts_at_us,
            _ => one.starts_at_us,
        };
        Some((one.appointment_id.parse::<AppointmentId>().ok()?.uuid(), start_us))
    };
    Ok(Rezoned { starts: appointments.iter().filter_map(start).collect(), appointments, revision })
}
