//! Appointments.

mod list;
mod types;

use axum::http::Method;
use domain::appointment::Actor;
use rpc::Fault;
use serde_json::json;
use wire::{
    booking::{
        self, BookAppointmentRequest, GetAppointmentRequest, RescheduleAppointmentRequest, RevertAppointmentRequest,
        RevokeManageLinkRequest, Transition, TransitionAppointmentRequest, UpdateAppointmentRequest,
        book_appointment_request::{Time, Who},
    },
    convert,
};

pub(crate) use self::types::{
    Appointment, AppointmentNotes, AppointmentPage, Cancel, Cancellation, NewAppointment, Nothing, Places, PlanPart,
    Reschedule, cancellation, places, plan_part, to_json,
};
use self::types::{including, references};
use super::include::{self, Included};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Body, Content, Handler, Operation, handler},
    reply::Reply,
};

const READ: Access = Access::Scopes(&[Scope::PatientsRead]);
const WRITE: Access = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);

const REVERT_SUMMARY: &str = "Takes the last transition back, within 24 hours; later with the scope admin";
const REVOKE_SUMMARY: &str = "Revokes the appointment's manage link; the answer has the next one";

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "appointments", summary, access, handler).answer(200, "Appointment")
    };
    let book = Access::Scopes(&[Scope::BookingsWrite]);
    let (collection, resource) = ("/v1/appointments", "/v1/appointments/{id}");
    let patch_summary = "Changes the clinic's note, external id and own pairs (null for none)";
    let mut operations = vec![
        operation("book_appointment", Method::POST, collection, "Books a slot for a patient", book, handler!(create))
            .json_body("NewAppointment")
            .answer(201, "Appointment"),
        operation(
            "list_appointments",
            Method::GET,
            collection,
            "Lists appointments, earliest first, or by their last change",
            READ,
            handler!(list::list),
        )
        .params(&list::PARAMS)
        .content(Content::JsonCsvOrNdjson("AppointmentPage")),
        operation("get_appointment", Method::GET, resource, "Returns one appointment", READ, handler!(get))
            .params(&[include::OF_VISITS]),
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
    let actions: [(&str, &str, &str, Handler); 7] = [
        ("confirm_appointment", "confirm", "Confirms that the patient will come", handler!(confirm)),
        ("arrive_appointment", "arrive", "Records that the patient has arrived", handler!(arrive)),
        ("start_appointment", "start", "Records that the visit has begun", handler!(start)),
        ("complete_appointment", "complete", "Records that the visit is completed", handler!(complete)),
        ("no_show_appointment", "no_show", "Records that the patient did not come", handler!(no_show)),
        ("revert_appointment", "revert", REVERT_SUMMARY, handler!(revert)),
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
        external_id: new.external_id.unwrap_or_default(),
        custom: new.custom,
    };
    let response = call.inner.booking.clone().book_appointment(call.context().forward(request)).await?;
    let path = format!("/v1/appointments/{}", response.get_ref().id);
    Ok(reply(&call, 201, &response)?.location(path))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetAppointmentRequest { id: call.path_param("id") };
    let appointment = call.inner.booking.clone().get_appointment(call.context().request(request)).await?.into_inner();
    let included = Included::load(&call, references(&appointment).into_iter()).await?;
    let reply = Reply::json(200, &including(&call, &appointment, &included))?;
    Ok(reply.version(appointment.version).target(&appointment.id).patient(&appointment.patient_id))
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = GetAppointmentRequest { id: id.clone() };
    let current = call.inner.booking.clone().get_appointment(call.context().request(request)).await?.into_inner();
    let resource = json!({
        "note": convert::optional_text(&current.note),
        "external_id": convert::optional_text(&current.external_id),
        "custom": current.custom,
    });
    let notes: AppointmentNotes = call.merge_patch("AppointmentNotes", resource)?;
    let request = UpdateAppointmentRequest {
        id,
        note: notes.note.unwrap_or_default(),
        if_version: call.if_match_or(current.version)?,
        external_id: notes.external_id.unwrap_or_default(),
        custom: notes.custom,
    };
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

async fn revert(call: Call) -> Result<Reply, Fault> {
    let any_age = call.caller.has(Scope::Admin);
    let request = RevertAppointmentRequest { id: call.path_param("id"), if_version: call.if_match()?, any_age };
    let response = call.inner.booking.clone().revert_appointment(call.context().forward(request)).await?;
    let reverted = &response.get_ref().reverted;
    Ok(reply(&call, 200, &response)?.note(format!("transition={reverted}")))
}

async fn revoke_links(call: Call) -> Result<Reply, Fault> {
    let request = RevokeManageLinkRequest { id: call.path_param("id"), if_version: call.if_match()? };
    let response = call.inner.booking.clone().revoke_manage_link(call.context().forward(request)).await?;
    reply(&call, 200, &response)
}
