//! Appointments: one file for each thing that can be done with them.

pub(crate) mod book;
pub(crate) mod displace;
pub(crate) mod list;
pub(crate) mod of_patients;
pub(crate) mod permission;
pub(crate) mod reschedule;
pub(crate) mod transition;
pub(crate) mod update;

use domain::{
    id::{AppointmentId, GroupId, LocationId, PatientId, PlanSessionId, PractitionerId, RoomId, ServiceId},
    time::{Interval, from_micros},
};
use jiff::tz::TimeZone;
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::booking::{Appointment, Cancellation};

use crate::{
    Inner, commit, manage_links,
    store::rows::{AppointmentRow, ClaimRow},
};

/// Loads an appointment of the caller's organisation.
pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<AppointmentRow, Fault> {
    let id: AppointmentId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.appointment(ctx.organization.uuid(), id.uuid()).await.map_err(commit::failure)?;
    found.ok_or_else(Fault::not_found)
}

/// An appointment for the wire, with the token of its manage link.
pub(crate) fn shown(inner: &Inner, row: &AppointmentRow) -> Appointment {
    Appointment { manage_token: manage_links::token(inner, row), ..listed(row) }
}

/// An appointment for the wire, as lists show it.
pub(crate) fn listed(row: &AppointmentRow) -> Appointment {
    Appointment {
        id: AppointmentId::new(row.id).to_string(),
        status: row.status.clone(),
        version: row.version,
        service_id: ServiceId::new(row.service_id).to_string(),
        practitioner_id: PractitionerId::new(row.practitioner_id).to_string(),
        location_id: LocationId::new(row.location_id).to_string(),
        room_id: row.room_id.map(|id| RoomId::new(id).to_string()).unwrap_or_default(),
        starts_at_us: row.starts_at_us,
        ends_at_us: row.ends_at_us,
        time_zone: row.time_zone.clone(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        plan_session_id: row.plan_session_id.map(|id| PlanSessionId::new(id).to_string()).unwrap_or_default(),
        displaced: row.displaced,
        created_at_us: row.created_at_us,
        updated_at_us: row.updated_at_us,
        cancellation: row.cancel_reason_code.as_ref().map(|code| Cancellation {
            reason_code: code.clone(),
            by: row.cancel_by.clone().unwrap_or_default(),
            late: row.cancel_late.unwrap_or(false),
            reason: row.cancel_reason.clone().unwrap_or_default(),
        }),
        confirmed_at_us: row.confirmed_at_us.unwrap_or(0),
        manage_token: String::new(),
        group_id: row.group_id.map(|id| GroupId::new(id).to_string()).unwrap_or_default(),
        note: row.note.clone(),
        rescheduled_late: row.rescheduled_late,
    }
}

/// The wall clock of an instant in a zone, to the minute.
pub(crate) fn wall_clock(interval: Interval, time_zone: &str) -> String {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    interval.start().to_zoned(zone).strftime("%Y-%m-%dT%H:%M").to_string()
}

/// The claims that an appointment's row keeps, as its own owner: for changes that leave them as they are, the feed
/// tells them again.
pub(crate) async fn claims_of(inner: &Inner, organization: Uuid, row: &AppointmentRow) -> Result<Vec<ClaimRow>, Fault> {
    inner.store.claims_of(organization, row.id).await.map_err(commit::failure)
}

/// The start of an appointment.
pub(crate) fn starts_at(row: &AppointmentRow) -> jiff::Timestamp {
    from_micros(row.starts_at_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
