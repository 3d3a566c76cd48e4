//! Appointments.

use axum::http::Method;
use domain::{appointment::Status, patient::Details};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{
    booking::{
        self, BookAppointmentRequest, GetAppointmentRequest, ListAppointmentsRequest, RescheduleAppointmentRequest,
        Transition, TransitionAppointmentRequest,
        book_appointment_request::{Time, Who},
    },
    common::Page,
    convert,
};

use super::{CURSOR, LIMIT, next_cursor, time};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

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
    /// Whether it came within the policy's late window.
    late: bool,
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
    data: Vec<Appointment>,
    next_cursor: Option<String>,
}

/// An appointment to book: a slot or a hold, for a patient who is known or one who is described.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAppointment {
    /// The slot to book; this or `hold_id`.
    #[serde(default)]
    #[schema(max_length = 200, nullable = false)]
    slot_id: Option<String>,
    /// The hold to book.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    hold_id: Option<String>,
    /// A patient who is known; this or `patient`.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    patient_id: Option<String>,
    /// A patient as they describe themselves.
    #[serde(default)]
    #[schema(nullable = false)]
    patient: Option<Details>,
    /// The session of a care plan that this is.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    plan_session_id: Option<String>,
    /// For the clinic's staff.
    #[serde(default)]
    #[schema(max_length = 2000, nullable = false)]
    note: Option<String>,
    /// `online` or `staff`.
    #[serde(default)]
    #[schema(pattern = "^(online|staff)$", nullable = false)]
    channel: Option<String>,
}

/// Why an appointment is called off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    /// The clinic's own code, such as `patient_ill`.
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
}

/// A body without fields; it may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

const READ: Access = Access::Scopes(&[Scope::PatientsRead]);
const WRITE: Access = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);

pub(crate) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "appointments", summary, access, handler).answer(200, "Appointment")
    };
    let book = Access::Scopes(&[Scope::BookingsWrite]);
    let list = [
        Param::new("location_id", Type::Id("loc"), "Only there").repeats(),
        Param::new("practitioner_id", Type::Id("prac"), "Only theirs").repeats(),
        Param::new("patient_id", Type::Id("pat"), "Only of this patient"),
        Param::new("status", Type::Word(&STATUSES), "Only in this status").repeats(),
        Param::new("from", Type::Instant, "Starts at or after this"),
        Param::new("to", Type::Instant, "Starts before this"),
        Param::new("displaced", Type::Boolean, "Only displaced ones, or only others"),
        LIMIT,
        CURSOR,
    ];
    let mut operations = vec![
        operation(
            "book_appointment",
            Method::POST,
            "/v1/appointments",
            "Books a slot for a patient",
            book,
            handler!(book_one),
        )
        .body("NewAppointment")
        .answer(201, "Appointment"),
        operation(
            "list_appointments",
            Method::GET,
            "/v1/appointments",
            "Appointments, earliest first",
            READ,
            handler!(self::list),
        )
        .params(&list)
        .answer(200, "AppointmentPage"),
        operation("get_appointment", Method::GET, "/v1/appointments/{id}", "One appointment", READ, handler!(get)),
        operation(
            "cancel_appointment",
            Method::POST,
            "/v1/appointments/{id}/cancel",
            "Calls it off",
            WRITE,
            handler!(cancel),
        )
        .body("Cancel"),
        operation(
            "reschedule_appointment",
            Method::POST,
            "/v1/appointments/{id}/reschedule",
            "Moves it to another slot",
            WRITE,
            handler!(reschedule),
        )
        .body("Reschedule"),
    ];
    let plain: [(&str, &str, &str, crate::operation::Handler); 5] = [
        ("confirm_appointment", "confirm", "The patient will come", handler!(confirm)),
        ("arrive_appointment", "arrive", "The patient is there", handler!(arrive)),
        ("start_appointment", "start", "The visit begins", handler!(start)),
        ("complete_appointment", "complete", "The visit is done", handler!(complete)),
        ("no_show_appointment", "no_show", "The patient did not come", handler!(no_show)),
    ];
    for (id, verb, summary, handler) in plain {
        let path = format!("/v1/appointments/{{id}}/{verb}");
        let operation = operation(id, Method::POST, &path, summary, WRITE, handler).body("Nothing");
        operations.push(Operation { body_optional: true, ..operation });
    }
    operations
}

const STATUSES: [&str; 8] =
    ["pending", "booked", "arrived", "checked-in", "fulfilled", "cancelled", "noshow", "entered-in-error"];

/// An appointment as answers show it.
pub(crate) fn shown(call: &Call, it: &booking::Appointment) -> Appointment {
    let zone = it.time_zone.as_str();
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
        }),
        links: link,
    }
}

/// A reply that shows what booking answered.
pub(crate) fn reply(
    call: &Call,
    status: u16,
    response: &tonic::Response<booking::Appointment>,
) -> Result<Reply, Fault> {
    let it = response.get_ref();
    let reply = Reply::json(status, &shown(call, it))?.version(it.version).target(&it.id).patient(&it.patient_id);
    Ok(reply.after(response))
}

async fn book_one(call: Call) -> Result<Reply, Fault> {
    let new: NewAppointment = call.read()?;
    if new.patient_id.is_some() {
        call.caller.needs(Scope::PatientsRead)?;
    }
    let time = match (new.slot_id, new.hold_id) {
        (Some(slot), None) => Some(Time::SlotId(slot)),
        (None, Some(hold)) => Some(Time::HoldId(hold)),
        _ => return Err(Fault::violation("/slot_id", "missing", "give either slot_id or hold_id")),
    };
    let who = match (new.patient_id, new.patient) {
        (Some(id), None) => Some(Who::PatientId(id)),
        (None, Some(details)) => Some(Who::Patient(convert::patient::to_wire(&details))),
        _ => return Err(Fault::violation("/patient", "missing", "give either patient_id or patient")),
    };
    let request = BookAppointmentRequest {
        time,
        who,
        plan_session_id: new.plan_session_id.unwrap_or_default(),
        note: new.note.unwrap_or_default(),
        channel: call.channel(new.channel.as_deref()),
    };
    let response = call.inner.booking.clone().book_appointment(call.context().forward(request)).await?;
    let path = format!("/v1/appointments/{}", response.get_ref().id);
    Ok(reply(&call, 201, &response)?.location(path))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetAppointmentRequest { id: call.part("id") };
    let response = call.inner.booking.clone().get_appointment(call.context().request(request)).await?;
    reply(&call, 200, &response)
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListAppointmentsRequest {
        location_ids: params.all("location_id"),
        practitioner_ids: params.all("practitioner_id"),
        patient_id: params.text_or_empty("patient_id"),
        statuses: params.all("status"),
        from_us: params.instant_us("from"),
        to_us: params.instant_us("to"),
        displaced: params.flag("displaced"),
        page: Some(Page { limit: params.number("limit"), cursor: params.text_or_empty("cursor") }),
    };
    let answer = call.inner.booking.clone().list_appointments(call.context().request(request)).await?.into_inner();
    Reply::json(
        200,
        &AppointmentPage {
            data: answer.appointments.iter().map(|it| shown(&call, it)).collect(),
            next_cursor: next_cursor(answer.next_cursor),
        },
    )
    .map(|reply| match params.text("patient_id") {
        Some(patient) => reply.patient(patient),
        None => reply,
    })
}

async fn transition(call: Call, transition: Transition) -> Result<Reply, Fault> {
    let cancel: Option<Cancel> = (transition == Transition::Cancel).then(|| call.read()).transpose()?;
    let (reason_code, reason) = cancel.map(|cancel| (cancel.reason_code, cancel.reason)).unwrap_or_default();
    let request = TransitionAppointmentRequest {
        id: call.part("id"),
        transition: transition as i32,
        if_version: call.if_version()?,
        reason_code,
        reason: reason.unwrap_or_default(),
        by: "staff".to_owned(),
    };
    let response = call.inner.booking.clone().transition_appointment(call.context().forward(request)).await?;
    reply(&call, 200, &response)
}

async fn confirm(call: Call) -> Result<Reply, Fault> {
    transition(call, Transition::Confirm).await
}

async fn cancel(call: Call) -> Result<Reply, Fault> {
    transition(call, Transition::Cancel).await
}

async fn arrive(call: Call) -> Result<Reply, Fault> {
    transition(call, Transition::Arrive).await
}

async fn start(call: Call) -> Result<Reply, Fault> {
    transition(call, Transition::Start).await
}

async fn complete(call: Call) -> Result<Reply, Fault> {
    transition(call, Transition::Complete).await
}

async fn no_show(call: Call) -> Result<Reply, Fault> {
    transition(call, Transition::NoShow).await
}

async fn reschedule(call: Call) -> Result<Reply, Fault> {
    let body: Reschedule = call.read()?;
    let request = RescheduleAppointmentRequest {
        id: call.part("id"),
        slot_id: body.slot_id,
        if_version: call.if_version()?,
        channel: call.channel(None),
    };
    let response = call.inner.booking.clone().reschedule_appointment(call.context().forward(request)).await?;
    reply(&call, 200, &response)
}
