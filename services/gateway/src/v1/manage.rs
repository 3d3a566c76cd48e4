//! A patient's own link to one appointment: no login, the token is the permission. It finds the times to which the
//! appointment can move, too.

use axum::http::Method;
use rpc::{Context, Fault};
use wire::{
    availability::{ExplainSlotRequest, SearchSlotsRequest},
    booking::{
        GetAppointmentRequest, RescheduleAppointmentRequest, ResolveManageLinkRequest, Transition,
        TransitionAppointmentRequest,
    },
    common::BookingChannel,
};

use super::{
    CURSOR, LIMIT,
    appointments::{Cancel, Reschedule, reply},
    slots,
};
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
    let search = |id: &str, path: &str, summary: &str, answer, handler| {
        let path = format!("/v1/manage/{{token}}/slots{path}");
        Operation::new(id, Method::GET, &path, "manage", summary, Access::Open, handler).answer(200, answer)
    };
    vec![
        search("manage_slots", "", "Times to which one's own appointment can move", "SlotPage", handler!(find))
            .params(&slots::FILTERS)
            .params(&[LIMIT, CURSOR]),
        search("manage_days", "/days", "The same by day, for a month view", "DayPage", handler!(days))
            .params(&slots::FILTERS),
        search("manage_next", "/next", "The next three of each location", "NextPage", handler!(next))
            .params(&slots::FILTERS),
        search("manage_explain", "/explain", "Which rule hides a start", "Explanation", handler!(explain))
            .params(&slots::START),
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

/// The question for times to which the link's own appointment can move.
async fn question(call: &mut Call) -> Result<(Context, SearchSlotsRequest), Fault> {
    let (ctx, moving) = resolve(call).await?;
    let service_id = service(call, &ctx, &moving).await?;
    let channel = BookingChannel::Online as i32;
    Ok((ctx, SearchSlotsRequest { service_id, channel, moving, ..slots::filtered(call) }))
}

async fn service(call: &Call, ctx: &Context, appointment: &str) -> Result<String, Fault> {
    let request = GetAppointmentRequest { id: appointment.to_owned() };
    let appointment = call.inner.booking.clone().get_appointment(ctx.request(request)).await?;
    Ok(appointment.into_inner().service_id)
}

async fn find(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, request) = question(&mut call).await?;
    slots::page(&call, &ctx, request).await
}

async fn days(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, request) = question(&mut call).await?;
    slots::by_day(&call, &ctx, request).await
}

async fn next(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, request) = question(&mut call).await?;
    slots::first(&call, &ctx, request).await
}

async fn explain(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, moving) = resolve(&mut call).await?;
    let service_id = service(&call, &ctx, &moving).await?;
    let channel = BookingChannel::Online as i32;
    let request = ExplainSlotRequest { service_id, channel, moving, ..slots::start(&call) };
    slots::rules(&call, &ctx, request).await
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
