//! The types of requests and answers about appointments.

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
    /// For a front end, and with a patient's link, an opaque id of the patient that is this caller's alone.
    patient_id: String,
    plan_session_id: Option<String>,
    /// Whether a change of a roster, room or certificate has displaced it.
    displaced: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// When the patient confirmed it.
    #[schema(format = DateTime)]
    confirmed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cancellation: Option<Cancellation>,
    /// Whether the patient moved it with too little notice.
    rescheduled_late: bool,
    /// The clinic's note, if there is one; only for callers who may read patients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    links: Option<Links>,
    /// What staff should know of the booking that this answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// Something that staff should know of a write that was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Warning {
    /// A code of the error table, such as `patient_blocked`.
    code: String,
    detail: String,
}

/// The cancellation of an appointment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cancellation {
    reason_code: String,
    /// `patient`, `staff` or `system`.
    by: String,
    /// Whether the patient gave too little notice of it, or of a move before it. A cancellation by the clinic is never late.
    late: bool,
    /// The reason in words, if one was given; only for callers who may read patients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// The links of an appointment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Links {
    /// The patient's own link, which needs no login and opens this appointment only.
    manage: String,
}

/// A page of appointments, earliest start first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppointmentPage {
    pub(super) data: Vec<Appointment>,
    pub(super) next_cursor: Option<String>,
}

/// An appointment to book: a slot or a hold, for a known patient or for the patient with these details.
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
    /// A known patient; this or `patient`.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) patient_id: Option<String>,
    /// The patient's details. A patient with the same name and telephone number is the same patient: given consents are
    /// recorded, empty fields are filled, and differences are proposed to staff.
    #[serde(default)]
    #[schema(nullable = false)]
    pub(super) patient: Option<Details>,
    /// The session of a care plan.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) plan_session_id: Option<String>,
    /// For the clinic's staff.
    #[serde(default)]
    #[schema(max_length = 2000, nullable = false)]
    pub(super) note: Option<String>,
    /// The token of a verification of the patient's telephone number or e-mail address, where the organisation or the service
    /// needs one from a front end.
    #[serde(default)]
    #[schema(max_length = 200, nullable = false)]
    pub(super) verification: Option<String>,
    #[serde(default)]
    #[schema(nullable = false)]
    pub(super) channel: Option<BookingChannel>,
}

/// The reason of a cancellation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    /// One of `/v1/reason_codes`, such as `patient_ill`; an unknown code counts as caused by the clinic.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) reason_code: String,
    /// In words, for the clinic's staff.
    #[serde(default)]
    #[schema(max_length = 2000, nullable = false)]
    pub(crate) reason: Option<String>,
}

/// The new slot of an appointment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reschedule {
    /// An open slot of the same service.
    #[schema(max_length = 200)]
    pub(crate) slot_id: String,
    /// One of `/v1/reason_codes`, which says whether the patient or the clinic causes the move. Without one, the clinic does.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) reason_code: Option<String>,
}

/// The fields of an appointment that a patch may change.
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

/// An appointment of booking for an answer to this caller.
pub(crate) fn to_json(call: &Call, appointment: &booking::Appointment) -> Appointment {
    let zone = appointment.time_zone.as_str();
    // Notes and reasons are for callers who may read patients.
    let staff_only = |text: &str| convert::optional_text(text).filter(|_| call.caller.has(Scope::PatientsRead));
    let links = (!appointment.manage_token.is_empty())
        .then(|| Links { manage: format!("{}/v1/manage/{}", call.inner.public_url, appointment.manage_token) });
    Appointment {
        id: appointment.id.clone(),
        status: appointment.status.clone(),
        version: appointment.version,
        service_id: appointment.service_id.clone(),
        practitioner_id: appointment.practitioner_id.clone(),
        location_id: appointment.location_id.clone(),
        room_id: convert::optional_text(&appointment.room_id),
        starts_at: time::local(appointment.starts_at_us, zone),
        ends_at: time::local(appointment.ends_at_us, zone),
        time_zone: appointment.time_zone.clone(),
        patient_id: call.patient_id(&appointment.patient_id),
        plan_session_id: convert::optional_text(&appointment.plan_session_id),
        displaced: appointment.displaced,
        created_at: time::local(appointment.created_at_us, zone),
        updated_at: time::local(appointment.updated_at_us, zone),
        confirmed_at: time::optional(appointment.confirmed_at_us, zone),
        cancellation: appointment.cancellation.as_ref().map(|cancellation| Cancellation {
            reason_code: cancellation.reason_code.clone(),
            by: cancellation.by.clone(),
            late: cancellation.late,
            reason: staff_only(&cancellation.reason),
        }),
        rescheduled_late: appointment.rescheduled_late,
        note: staff_only(&appointment.note),
        links,
        warnings: appointment.warnings.iter().map(warning).collect(),
    }
}

fn warning(warning: &booking::Warning) -> Warning {
    Warning { code: warning.code.clone(), detail: warning.detail.clone() }
}
