//! A patient's own link to one appointment: no login, the token is the permission.

use axum::http::Method;
use rpc::{Context, Fault};
use wire::{
    booking::{
        GetAppointmentRequest, RescheduleAppointmentRequest, ResolveManageLinkRequest, Transition,
        TransitionAppointmentRequest,
    },
    common::BookingChannel,
};

use super::appointments::{Cancel, Reschedule, reply};
use crate::{
    call::{Call, Reply},
    operation::{Access, Operation, handler},
};

pub(crate) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "manage", summary, Access::Open, handler).answer(200, "Appointment")
    };
    let confirm = operation(
        "manage_confirm",
        Method::POST,
        "/v1/manage/{token}/confirm",
        "Says that one will come",
        handler!(confirm),
    )
    .body("Nothing");
    vec![
        operation("manage_get", Method::GET, "/v1/manage/{token}", "One's own appointment", handler!(get)),
        Operation { body_optional: true, ..confirm },
        operation(
            "manage_cancel",
            Method::POST,
            "/v1/manage/{token}/cancel",
            "Calls one's own appointment off",
            handler!(cancel),
        )
        .body("Cancel"),
        operation(
            "manage_reschedule",
            Method::POST,
            "/v1/manage/{token}/reschedule",
            "Moves one's own appointment",
            handler!(reschedule),
        )
        .body("Reschedule"),
    ]
}

/// The appointment that the link is for, and the context to act in.
async fn resolve(call: &mut Call) -> Result<(Context, String), Fault> {
    let request = ResolveManageLinkRequest { token: call.part("token") };
    let link = call.inner.booking.clone().resolve_manage_link(call.context().request(request)).await?.into_inner();
    let organization = link.organization_id.parse().map_err(Fault::internal)?;
    call.by_link(organization);
    Ok((call.context(), link.appointment_id))
}

async fn get(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, id) = resolve(&mut call).await?;
    let response = call.inner.booking.clone().get_appointment(ctx.request(GetAppointmentRequest { id })).await?;
    reply(&call, 200, &response)
}

async fn confirm(call: Call) -> Result<Reply, Fault> {
    transition(call, Transition::Confirm, None).await
}

async fn cancel(call: Call) -> Result<Reply, Fault> {
    let body: Cancel = call.read()?;
    transition(call, Transition::Cancel, Some(body)).await
}

async fn transition(mut call: Call, transition: Transition, cancel: Option<Cancel>) -> Result<Reply, Fault> {
    let (ctx, id) = resolve(&mut call).await?;
    let (reason_code, reason) = cancel.map(|cancel| (cancel.reason_code, cancel.reason)).unwrap_or_default();
    let request = TransitionAppointmentRequest {
        id,
        transition: transition as i32,
        if_version: call.if_version()?,
        reason_code,
        reason: reason.unwrap_or_default(),
        by: "patient".to_owned(),
    };
    let response = call.inner.booking.clone().transition_appointment(ctx.forward(request)).await?;
    reply(&call, 200, &response)
}

async fn reschedule(mut call: Call) -> Result<Reply, Fault> {
    let body: Reschedule = call.read()?;
    let (ctx, id) = resolve(&mut call).await?;
    let request = RescheduleAppointmentRequest {
        id,
        slot_id: body.slot_id,
        if_version: call.if_version()?,
        channel: BookingChannel::Online as i32,
        by: "patient".to_owned(),
        reason_code: body.reason_code.unwrap_or_default(),
    };
    let response = call.inner.booking.clone().reschedule_appointment(ctx.forward(request)).await?;
    reply(&call, 200, &response)
}
