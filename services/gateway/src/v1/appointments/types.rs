//! The types of requests and answers about appointments.

use std::collections::BTreeMap;

use domain::{
    appointment::{BookingChannel, Status},
    patient::Details,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{booking, common, convert};

use super::super::{
    include::{Included, IncludedLocation, IncludedPatient, IncludedPractitioner, IncludedRoom, IncludedService},
    time,
};
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
    /// The slot that it occupies, which may be offered to others once the appointment leaves it.
    slot_id: String,
    /// How it was booked; null where that is not known.
    channel: Option<BookingChannel>,
    /// When the patient arrived.
    #[schema(format = DateTime)]
    arrived_at: Option<String>,
    /// When the visit began.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    #[schema(format = DateTime)]
    cancelled_at: Option<String>,
    /// The start before the last move.
    #[schema(format = DateTime)]
    rescheduled_from: Option<String>,
    /// The group session; appointments with the same one are together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group_id: Option<String>,
    /// In single reads and lists: the places of the group session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    places: Option<Places>,
    /// In single reads and lists: the plan of `plan_session_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plan: Option<PlanPart>,
    /// In single reads and lists: whether the patient has no earlier visit that was neither cancelled nor missed; only for
    /// callers who may read patients, as the next three.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    first_visit: Option<bool>,
    /// The caller that booked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    created_by: Option<String>,
    /// The id in a system of the clinic's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    external_id: Option<String>,
    /// The clinic's own pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    custom: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    links: Option<Links>,
    /// With `include=patient`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    patient: Option<IncludedPatient>,
    /// With `include=practitioner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    practitioner: Option<IncludedPractitioner>,
    /// With `include=service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    service: Option<IncludedService>,
    /// With `include=location`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    location: Option<IncludedLocation>,
    /// With `include=room`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    room: Option<IncludedRoom>,
    /// In the answer to a revert: the transition that was taken back, such as `no_show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reverted: Option<String>,
    /// Remarks for staff about the booking that this answers.
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

/// The places of a group session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Places {
    /// Also by holds.
    taken: u32,
    capacity: u32,
}

/// An appointment as part of a care plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanPart {
    id: String,
    /// The number of the session, from 1.
    ordinal: u32,
    /// How many sessions the plan has.
    of: u32,
    /// With `include=plan`, as the next two: FHIR's status of a CarePlan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<String>,
    /// `acute` or `chronic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    course: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    condition_code: Option<String>,
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
    /// The id in a system of the clinic's own. It need not be unique.
    #[serde(default)]
    #[schema(max_length = 200, nullable = false)]
    pub(super) external_id: Option<String>,
    /// The clinic's own pairs: at most 20, with names of at most 64 letters, digits, `_`, `-` and `.`, and values of at most
    /// 500 characters. Shown to staff only.
    #[serde(default)]
    pub(super) custom: BTreeMap<String, String>,
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
    /// The id in a system of the clinic's own.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(super) external_id: Option<String>,
    /// The clinic's own pairs, at most 20. A patch changes the pairs that it names; null removes one.
    #[serde(default)]
    pub(super) custom: BTreeMap<String, String>,
}

/// A body without fields; it may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// An appointment of booking for an answer to this caller.
pub(crate) fn to_json(call: &Call, appointment: &booking::Appointment) -> Appointment {
    including(call, appointment, &Included::default())
}

/// The same with the objects that the request includes.
pub(crate) fn including(call: &Call, appointment: &booking::Appointment, included: &Included) -> Appointment {
    let zone = appointment.time_zone.as_str();
    // Notes and reasons are for callers who may read patients.
    let is_staff = call.caller.has(Scope::PatientsRead);
    let staff_only = |text: &str| convert::optional_text(text).filter(|_| is_staff);
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
        cancellation: appointment.cancellation.as_ref().map(|it| cancellation(it, is_staff)),
        rescheduled_late: appointment.rescheduled_late,
        note: staff_only(&appointment.note),
        slot_id: appointment.slot_id.clone(),
        channel: match appointment.channel() {
            common::BookingChannel::Online => Some(BookingChannel::Online),
            common::BookingChannel::Staff => Some(BookingChannel::Staff),
            common::BookingChannel::Unspecified => None,
        },
        arrived_at: time::optional(appointment.arrived_at_us, zone),
        started_at: time::optional(appointment.started_at_us, zone),
        completed_at: time::optional(appointment.completed_at_us, zone),
        cancelled_at: time::optional(appointment.cancelled_at_us, zone),
        rescheduled_from: time::optional(appointment.rescheduled_from_us, zone),
        group_id: convert::optional_text(&appointment.group_id),
        places: appointment.places.map(places),
        plan: appointment.plan.as_ref().map(|plan| plan_part(plan, included.has_plans())),
        // The public does not learn whether the clinic knows the patient.
        first_visit: appointment.first_visit.filter(|_| is_staff),
        created_by: staff_only(&appointment.created_by),
        external_id: staff_only(&appointment.external_id),
        custom: Some(appointment.custom.clone()).filter(|_| is_staff),
        links,
        reverted: convert::optional_text(&appointment.reverted),
        warnings: appointment.warnings.iter().map(warning).collect(),
        patient: included.patient(&appointment.patient_id),
        practitioner: included.practitioner(&appointment.practitioner_id),
        service: included.service(&appointment.service_id),
        location: included.location(&appointment.location_id),
        room: included.room(&appointment.room_id),
    }
}

/// A cancellation; its reason in words is for staff.
pub(crate) fn cancellation(of: &booking::Cancellation, is_staff: bool) -> Cancellation {
    Cancellation {
        reason_code: of.reason_code.clone(),
        by: of.by.clone(),
        late: of.late,
        reason: convert::optional_text(&of.reason).filter(|_| is_staff),
    }
}

pub(crate) fn places(of: booking::Places) -> Places {
    Places { taken: of.taken, capacity: of.capacity }
}

fn warning(warning: &booking::Warning) -> Warning {
    Warning { code: warning.code.clone(), detail: warning.detail.clone() }
}

/// A part of a plan, with the plan's own details where `is_whole`.
pub(crate) fn plan_part(plan: &booking::PlanPart, is_whole: bool) -> PlanPart {
    let detail = |text: &String| Some(text.clone()).filter(|_| is_whole);
    PlanPart {
        id: plan.id.clone(),
        ordinal: plan.ordinal,
        of: plan.of,
        status: detail(&plan.status),
        course: detail(&plan.course),
        condition_code: detail(&plan.condition_code),
    }
}

/// The ids of an appointment whose objects an answer may include.
pub(crate) fn references(appointment: &booking::Appointment) -> [&str; 5] {
    [
        &appointment.patient_id,
        &appointment.practitioner_id,
        &appointment.service_id,
        &appointment.location_id,
        &appointment.room_id,
    ]
}
