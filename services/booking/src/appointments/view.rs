//! Appointments for the wire.

use domain::{
    appointment::BookingChannel,
    id::{AppointmentId, GroupId, LocationId, PatientId, PlanSessionId, PractitionerId, RoomId, ServiceId},
    slot::Slot,
    time::from_micros,
};
use wire::{
    booking::{Appointment, Cancellation},
    common,
};

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
        slot_id: slot(row).map(|slot| slot.to_string()).unwrap_or_default(),
        channel: match row.channel.parse() {
            Ok(BookingChannel::Online) => common::BookingChannel::Online.into(),
            Ok(BookingChannel::Staff) => common::BookingChannel::Staff.into(),
            Err(_) => common::BookingChannel::Unspecified.into(),
        },
        created_by: row.created_by.clone(),
        arrived_at_us: row.arrived_at_us.unwrap_or(0),
        started_at_us: row.started_at_us.unwrap_or(0),
        completed_at_us: row.completed_at_us.unwrap_or(0),
        cancelled_at_us: row.cancelled_at_us.unwrap_or(0),
        rescheduled_from_us: row.previous_starts_at_us.unwrap_or(0),
        external_id: row.external_id.clone(),
        custom: serde_json::from_str(&row.custom).unwrap_or_default(),
        places: None,
        first_visit: None,
        plan: None,
        warnings: vec![],
        reverted: String::new(),
    }
}

/// The slot that an appointment occupies.
pub(super) fn slot(row: &AppointmentRow) -> Option<Slot> {
    Some(Slot {
        starts_at: from_micros(row.starts_at_us)?,
        service: ServiceId::new(row.service_id),
        location: LocationId::new(row.location_id),
        practitioner: PractitionerId::new(row.practitioner_id),
        minutes: u16::try_from((row.ends_at_us - row.starts_at_us) / 60_000_000).ok()?,
        shared: row.group_id.is_some(),
    })
}
