//! Appointments.

mod types;

use axum::http::Method;
use domain::appointment::{Actor, Status};
use rpc::Fault;
use serde_json::json;
use wire::{
    booking::{
        self, BookAppointmentRequest, GetAppointmentRequest, ListAppointmentsRequest, RescheduleAppointmentRequest,
        RevokeManageLinkRequest, Transition, TransitionAppointmentRequest, UpdateAppointmentRequest,
        book_appointment_request::{Time, Who},
    },
    convert,
};

pub(crate) use self::types::{
    Appointment, AppointmentNotes, AppointmentPage, Cancel, NewAppointment, Nothing, Reschedule, to_json,
};
use super::{CURSOR, LIMIT, next_cursor};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Body, Handler, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

const READ: Access = Access::Scopes(&[Scope::PatientsRead]);
const WRITE: Access = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);

const REVOKE_SUMMARY: &str = "Revokes the appointment's manage link; the answer has the next one";

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "appointments", summary, access, handler).answer(200, "Appointment")
    };
    let book = Access::Scopes(&[Scope::BookingsWrite]);
    let filters = [
        Param::new("location_id", Type::Id("loc"), "At this location").repeated(),
        Param::new("practitioner_id", Type::Id("prac"), "Of this practitioner").repeated(),
        Param::new("patient_id", Type::Id("pat"), "Of this patient"),
        Param::new("status", Type::Word(Status::WORDS), "In this status").repeated(),
        Param::new("from", Type::Instant, "Starts at or after this"),
        Param::new("to", Type::Instant, "Starts before this"),
        Param::new("displaced", Type::Boolean, "Displaced or not"),
        LIMIT,
        CURSOR,
    ];
    let (collection, resource) = ("/v1/appointments", "/v1/appointments/{id}");
    let patch_summary = "Changes the clinic's note (`{\"note\": \"…\"}`, null for none)";
    let mut operations = vec![
        operation("book_appointment", Method::POST, collection, "Books a slot for a patient", book, handler!(create))
            .json_body("NewAppointment")
            .answer(201, "Appointment"),
        operation(
            "list_appointments",
            Method::GET,
            collection,
            "Lists appointments, earliest first",
            READ,
            handler!(list),
        )
        .params(&filters)
        .answer(200, "AppointmentPage"),
        operation("get_appointment", Method::GET, resource, "Returns one appointment", READ, handler!(get)),
        operation("patch_appointment", Method::PATCH, resource, patch_summary, WRITE, handler!(patch))
            .body(Body::MergePatch),
        operation(
            "cancel_appointment",
            Method::POST,
            "/v1/appointments/{id}/cancel",
            "Cancels an appointment",
            WRITE,
            handler!(cancel),
        )
        .json_body("Cancel"),
        operation(
            "reschedule_appointment",
            Method::POST,
            "/v1/appointments/{id}/reschedule",
            "Moves an appointment to another slot",
            WRITE,
            handler!(reschedule),
        )
        .json_body("Reschedule"),
    ];
    let actions: [(&str, &str, &str, Handler); 6] = [
        ("confirm_appointment", "confirm", "Confirms that the patient will come", handler!(confirm)),
        ("arrive_appointment", "arrive", "Records that the patient has arrived", handler!(arrive)),
        ("start_appointment", "start", "Records that the visit has begun", handler!(start)),
        ("complete_appointment", "complete", "Records that the visit is completed", handler!(complete)),
        ("no_show_appointment", "no_show", "Records that the patient did not come", handler!(no_show)),
        ("revoke_appointment_links", "links/revoke", REVOKE_SUMMARY, handler!(revoke_links)),
    ];
    for (id, verb, summary, handler) in actions {
        let path = format!("/v1/appointments/{{id}}/{verb}");
        let operation = operation(id, Method::POST, &path, summary, WRITE, handler);
        operations.push(operation.json_body("Nothing").optional_body());
    }
    operations
}

/// The reply with an appointment of booking.
pub(crate) fn reply(
    call: &Call,
    status: u16,
    response: &tonic::Response<booking::Appointment>,
) -> Result<Reply, Fault> {
    let appointment = response.get_ref();
    let reply = Reply::json(status, &to_json(call, appointment))?.write_metadata(response.metadata());
    Ok(reply.version(appointment.version).target(&appointment.id).patient(&appointment.patient_id))
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let new: NewAppointment = call.parse_body()?;
    if new.patient_id.is_some() {
        call.caller.require(Scope::PatientsRead)?;
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
        channel: call.booking_channel(new.channel),
        verification: new.verification.unwrap_or_default(),
    };
    let response = call.inner.booking.clone().book_appointment(call.context().forward(request)).await?;
    let path = format!("/v1/appointments/{}", response.get_ref().id);
    Ok(reply(&call, 201, &response)?.location(path))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetAppointmentRequest { id: call.path_param("id") };
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
        page: call.page(),
    };
    let answer = call.inner.booking.clone().list_appointments(call.context().request(request)).await?.into_inner();
    let rows = answer.appointments.len();
    Reply::json(
        200,
        &AppointmentPage {
            data: answer.appointments.iter().map(|appointment| to_json(&call, appointment)).collect(),
            next_cursor: next_cursor(answer.next_cursor),
        },
    )
    .map(|reply| reply.rows(rows))
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = GetAppointmentRequest { id: id.clone() };
    let current = call.inner.booking.clone().get_appointment(call.context().request(request)).await?.into_inner();
    let resource = json!({"note": convert::optional_text(&current.note)});
    let notes: AppointmentNotes = call.merge_patch("AppointmentNotes", resource)?;
    let if_version = call.if_match_or(current.version)?;
    let request = UpdateAppointmentRequest { id, note: notes.note.unwrap_or_default(), if_version };
    reply(&call, 200, &call.inner.booking.clone().update_appointment(call.context().request(request)).await?)
}

async fn transition(call: Call, transition: Transition) -> Result<Reply, Fault> {
    let cancel: Option<Cancel> = (transition == Transition::Cancel).then(|| call.parse_body()).transpose()?;
    let (reason_code, reason) = cancel.map(|cancel| (cancel.reason_code, cancel.reason)).unwrap_or_default();
    let request = TransitionAppointmentRequest {
        id: call.path_param("id"),
        transition: transition as i32,
        if_version: call.if_match()?,
        reason_code,
        reason: reason.unwrap_or_default(),
        by: Actor::Staff.as_str().to_owned(),
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
    let body: Reschedule = call.parse_body()?;
    let request = RescheduleAppointmentRequest {
        id: call.path_param("id"),
        slot_id: body.slot_id,
        if_version: call.if_match()?,
        channel: call.booking_channel(None),
        by: Actor::Staff.as_str().to_owned(),
        reason_code: body.reason_code.unwrap_or_default(),
    };
    let response = call.inner.booking.clone().reschedule_appointment(call.context().forward(request)).await?;
    reply(&call, 200, &response)
}

async fn revoke_links(call: Call) -> Result<Reply, Fault> {
    let request = RevokeManageLinkRequest { id: call.path_param("id"), if_version: call.if_match()? };
    let response = call.inner.booking.clone().revoke_manage_link(call.context().forward(request)).await?;
    reply(&call, 200, &response)
}
