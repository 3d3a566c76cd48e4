//! Appointments for the wire.

use domain::id::{AppointmentId, GroupId, LocationId, PatientId, PlanSessionId, PractitionerId, RoomId, ServiceId};
use wire::booking::{Appointment, Cancellation};

use crate::{manage_links::LinkSigner, store::appointments::AppointmentRow};

/// An appointment with the token of its manage link.
pub(crate) fn to_wire_with_link(links: &LinkSigner, row: &AppointmentRow) -> Appointment {
    Appointment { manage_token: links.token(row), ..to_wire(row) }
}

/// An appointment without its manage link, as lists have it.
pub(crate) fn to_wire(row: &AppointmentRow) -> Appointment {
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
        warnings: vec![],
    }
}
