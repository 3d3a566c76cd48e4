//! Appointments.

mod types;

use axum::http::Method;
use domain::appointment::Status;
use rpc::Fault;
use serde_json::json;
use wire::{
    booking::{
        self, BookAppointmentRequest, GetAppointmentRequest, ListAppointmentsRequest, RescheduleAppointmentRequest,
        Transition, TransitionAppointmentRequest, UpdateAppointmentRequest,
        book_appointment_request::{Time, Who},
    },
    common::Page,
    convert,
};

pub(crate) use self::types::{
    Appointment, AppointmentNotes, AppointmentPage, Cancel, NewAppointment, Nothing, Reschedule, shown,
};
use super::{CURSOR, LIMIT, directory::merge, next_cursor};
use crate::{
    auth::Scope,
    call::{Call, Reply, read},
    operation::{Access, Operation, Param, Type, handler},
};

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
        Param::new("status", Type::Word(Status::WORDS), "Only in this status").repeats(),
        Param::new("from", Type::Instant, "Starts at or after this"),
        Param::new("to", Type::Instant, "Starts before this"),
        Param::new("displaced", Type::Boolean, "Only displaced ones, or only others"),
        LIMIT,
        CURSOR,
    ];
    let (all, one) = ("/v1/appointments", "/v1/appointments/{id}");
    let noted = "Changes the clinic's note (`{\"note\": \"…\"}`, null for none)";
    let mut operations = vec![
        operation("book_appointment", Method::POST, all, "Books a slot for a patient", book, handler!(book_one))
            .body("NewAppointment")
            .answer(201, "Appointment"),
        operation("list_appointments", Method::GET, all, "Appointments, earliest first", READ, handler!(self::list))
            .params(&list)
            .answer(200, "AppointmentPage"),
        operation("get_appointment", Method::GET, one, "One appointment", READ, handler!(get)),
        operation("patch_appointment", Method::PATCH, one, noted, WRITE, handler!(patch)).body("MergePatch"),
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
        channel: call.channel(new.channel),
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

async fn patch(call: Call) -> Result<Reply, Fault> {
    let id = call.part("id");
    let request = GetAppointmentRequest { id: id.clone() };
    let present = call.inner.booking.clone().get_appointment(call.context().request(request)).await?.into_inner();
    let mut merged = json!({"note": convert::optional_text(&present.note)});
    merge(&mut merged, &call.body);
    call.inner.schemas.check_merged("AppointmentNotes", &call.body, &merged)?;
    let notes: AppointmentNotes = read(&merged)?;
    let if_version = match call.if_version()? {
        0 => present.version,
        version => version,
    };
    let request = UpdateAppointmentRequest { id, note: notes.note.unwrap_or_default(), if_version };
    reply(&call, 200, &call.inner.booking.clone().update_appointment(call.context().request(request)).await?)
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
        by: "staff".to_owned(),
        reason_code: body.reason_code.unwrap_or_default(),
    };
    let response = call.inner.booking.clone().reschedule_appointment(call.context().forward(request)).await?;
    reply(&call, 200, &response)
}
