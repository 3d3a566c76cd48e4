//! Appointments as requests and answers have them.

use domain::{
    appointment::{BookingChannel, Status},
    patient::Details,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{booking, convert};

use super::super::time;
use crate::{auth::Scope, call::Call};

/// An appointment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Appointment {
    id: String,
    #[schema(value_type = Status)]
    status: String,
    version: i64,
    service_id: String,
    practitioner_id: String,
    location_id: String,
    room_id: Option<String>,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
    /// IANA time zone of the location.
    time_zone: String,
    patient_id: String,
    plan_session_id: Option<String>,
    /// Whether the ground has been taken from under it: a roster, room or certificate has changed.
    displaced: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// When the patient said that they will come.
    #[schema(format = DateTime)]
    confirmed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cancellation: Option<Cancellation>,
    /// Whether the patient moved it within the policy's late window.
    rescheduled_late: bool,
    /// The clinic's note; only for callers who may read patients, and where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    links: Option<Links>,
}

/// How an appointment was called off.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cancellation {
    reason_code: String,
    /// `patient`, `staff` or `system`.
    by: String,
    /// Whether the patient gave too little notice of it, or of a move before it. What the clinic does is never late.
    late: bool,
    /// In words; only for callers who may read patients, and where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// Where an appointment can be managed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Links {
    /// The patient's own link: no login, for this appointment alone.
    manage: String,
}

/// A page of appointments, earliest start first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppointmentPage {
    pub(super) data: Vec<Appointment>,
    pub(super) next_cursor: Option<String>,
}

/// An appointment to book: a slot or a hold, for a patient who is known or one who is described.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAppointment {
    /// The slot to book; this or `hold_id`.
    #[serde(default)]
    #[schema(max_length = 200, nullable = false)]
    pub(super) slot_id: Option<String>,
    /// The hold to book.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) hold_id: Option<String>,
    /// A patient who is known; this or `patient`.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) patient_id: Option<String>,
    /// A patient as they describe themselves. Who is known by name and telephone number stays one patient: consents that are
    /// given are recorded, empty fields are filled, and what differs is proposed to staff.
    #[serde(default)]
    #[schema(nullable = false)]
    pub(super) patient: Option<Details>,
    /// The session of a care plan that this is.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) plan_session_id: Option<String>,
    /// For the clinic's staff.
    #[serde(default)]
    #[schema(max_length = 2000, nullable = false)]
    pub(super) note: Option<String>,
    #[serde(default)]
    #[schema(nullable = false)]
    pub(super) channel: Option<BookingChannel>,
}

/// Why an appointment is called off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    /// One of `/v1/reason_codes`, such as `patient_ill`; an unknown one is taken as the clinic's doing.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) reason_code: String,
    /// In words, for the clinic's staff.
    #[serde(default)]
    #[schema(max_length = 2000, nullable = false)]
    pub(crate) reason: Option<String>,
}

/// Where an appointment moves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reschedule {
    /// An open slot of the same service.
    #[schema(max_length = 200)]
    pub(crate) slot_id: String,
    /// Why, one of `/v1/reason_codes`: it says whether the patient asked for it. Without one, staff move it for the clinic.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) reason_code: Option<String>,
}

/// What may be changed of an appointment.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppointmentNotes {
    /// For the clinic's staff; never shown to the patient.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub(super) note: Option<String>,
}

/// A body without fields; it may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// An appointment as answers show it.
pub(crate) fn shown(call: &Call, it: &booking::Appointment) -> Appointment {
    let zone = it.time_zone.as_str();
    // Notes and reasons are for the clinic's staff, not for front ends and links.
    let staff = |text: &str| convert::optional_text(text).filter(|_| call.caller.has(Scope::PatientsRead));
    let link = (!it.manage_token.is_empty())
        .then(|| Links { manage: format!("{}/v1/manage/{}", call.inner.public_url, it.manage_token) });
    Appointment {
        id: it.id.clone(),
        status: it.status.clone(),
        version: it.version,
        service_id: it.service_id.clone(),
        practitioner_id: it.practitioner_id.clone(),
        location_id: it.location_id.clone(),
        room_id: convert::optional_text(&it.room_id),
        starts_at: time::shown(it.starts_at_us, zone),
        ends_at: time::shown(it.ends_at_us, zone),
        time_zone: it.time_zone.clone(),
        patient_id: it.patient_id.clone(),
        plan_session_id: convert::optional_text(&it.plan_session_id),
        displaced: it.displaced,
        created_at: time::shown(it.created_at_us, zone),
        updated_at: time::shown(it.updated_at_us, zone),
        confirmed_at: time::optional(it.confirmed_at_us, zone),
        cancellation: it.cancellation.as_ref().map(|cancellation| Cancellation {
            reason_code: cancellation.reason_code.clone(),
            by: cancellation.by.clone(),
            late: cancellation.late,
            reason: staff(&cancellation.reason),
        }),
        rescheduled_late: it.rescheduled_late,
        note: staff(&it.note),
        links: link,
    }
}
