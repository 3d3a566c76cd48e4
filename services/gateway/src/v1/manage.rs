//! A patient's own link to one appointment. The link's token is the permission; there is no login. The link also searches
//! the slots to which the appointment can move. Browsers are sent to the pages, which make the same calls.

use axum::http::Method;
use domain::appointment::Actor;
use rpc::{Context, Fault};
use tonic::Response;
use wire::{
    availability::{ExplainSlotRequest, SearchSlotsRequest},
    booking::{
        Appointment, GetAppointmentRequest, RescheduleAppointmentRequest, ResolveManageLinkRequest, Transition,
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
    call::Call,
    operation::{Access, Operation, handler},
    page_frame,
    reply::Reply,
};

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "manage", summary, Access::Open, handler).answer(200, "Appointment")
    };
    let confirm = operation(
        "manage_confirm",
        Method::POST,
        "/v1/manage/{token}/confirm",
        "Confirms the link's appointment",
        handler!(confirm),
    )
    .json_body("Nothing")
    .optional_body();
    let search = |id: &str, path: &str, summary: &str, answer, handler| {
        let path = format!("/v1/manage/{{token}}/slots{path}");
        Operation::new(id, Method::GET, &path, "manage", summary, Access::Open, handler).answer(200, answer).public()
    };
    vec![
        search(
            "manage_slots",
            "",
            "Lists the slots to which the link's appointment can move",
            "SlotPage",
            handler!(find),
        )
        .params(&slots::FILTERS)
        .params(&[LIMIT, CURSOR]),
        search(
            "manage_days",
            "/days",
            "Counts the slots to which the link's appointment can move, by day",
            "DayPage",
            handler!(days),
        )
        .params(&slots::FILTERS),
        search(
            "manage_next",
            "/next",
            "Lists the first three slots of each location to which the link's appointment can move",
            "NextPage",
            handler!(next),
        )
        .params(&slots::FILTERS),
        search(
            "manage_explain",
            "/explain",
            "Explains which rules a start satisfies",
            "Explanation",
            handler!(explain),
        )
        .params(&slots::START),
        operation("manage_get", Method::GET, "/v1/manage/{token}", "Returns the link's appointment", handler!(get)),
        confirm,
        operation(
            "manage_cancel",
            Method::POST,
            "/v1/manage/{token}/cancel",
            "Cancels the link's appointment",
            handler!(cancel),
        )
        .json_body("Cancel"),
        operation(
            "manage_reschedule",
            Method::POST,
            "/v1/manage/{token}/reschedule",
            "Moves the link's appointment",
            handler!(reschedule),
        )
        .json_body("Reschedule"),
    ]
}

/// The appointment of the link, and the context of calls on the patient's behalf. With `to_move`, refuses a link by which
/// the appointment cannot move.
///
/// # Errors
/// `not_found`, `link_expired`, or `invalid_transition` where it cannot move.
pub(crate) async fn resolve(call: &mut Call, to_move: bool) -> Result<(Context, String), Fault> {
    let request = ResolveManageLinkRequest { token: call.path_param("token"), to_move };
    let link = call.inner.booking.clone().resolve_manage_link(call.context().request(request)).await?.into_inner();
    let organization = link.organization_id.parse().map_err(Fault::internal)?;
    call.act_as_patient(organization);
    Ok((call.context(), link.appointment_id))
}

/// The search for slots to which the link's appointment can move.
async fn search_request(call: &mut Call) -> Result<(Context, SearchSlotsRequest), Fault> {
    let (ctx, moving) = resolve(call, true).await?;
    let service_id = service(call, &ctx, &moving).await?;
    Ok((ctx, search_to_move(moving, service_id, slots::filter_request(call))))
}

/// The same with these filters.
pub(crate) fn search_to_move(moving: String, service_id: String, filters: SearchSlotsRequest) -> SearchSlotsRequest {
    let channel = BookingChannel::Online as i32;
    // The front end that booked for the patient has the link, too, and has perhaps proved nothing.
    let for_stranger = true;
    SearchSlotsRequest { service_id, channel, moving, for_stranger, ..filters }
}

async fn service(call: &Call, ctx: &Context, appointment: &str) -> Result<String, Fault> {
    let request = GetAppointmentRequest { id: appointment.to_owned() };
    let appointment = call.inner.booking.clone().get_appointment(ctx.request(request)).await?;
    Ok(appointment.into_inner().service_id)
}

async fn find(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, request) = search_request(&mut call).await?;
    slots::search(&call, &ctx, request).await
}

async fn days(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, request) = search_request(&mut call).await?;
    slots::search_days(&call, &ctx, request).await
}

async fn next(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, request) = search_request(&mut call).await?;
    slots::search_next(&call, &ctx, request).await
}

async fn explain(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, moving) = resolve(&mut call, true).await?;
    let service_id = service(&call, &ctx, &moving).await?;
    let channel = BookingChannel::Online as i32;
    let request = ExplainSlotRequest { service_id, channel, moving, ..slots::start_request(&call) };
    slots::explain(&call, &ctx, request).await
}

async fn get(mut call: Call) -> Result<Reply, Fault> {
    if let Some(page) = page_frame::redirection(&call, "/m") {
        return Ok(page);
    }
    let (ctx, id) = resolve(&mut call, false).await?;
    let response = call.inner.booking.clone().get_appointment(ctx.request(GetAppointmentRequest { id })).await?;
    reply(&call, 200, &response)
}

async fn confirm(call: Call) -> Result<Reply, Fault> {
    transition(call, Transition::Confirm, None).await
}

async fn cancel(call: Call) -> Result<Reply, Fault> {
    let body: Cancel = call.parse_body()?;
    transition(call, Transition::Cancel, Some(body)).await
}

async fn transition(mut call: Call, transition: Transition, cancel: Option<Cancel>) -> Result<Reply, Fault> {
    let (ctx, id) = resolve(&mut call, false).await?;
    let (reason_code, reason) = cancel.map(|cancel| (cancel.reason_code, cancel.reason)).unwrap_or_default();
    let request = TransitionAppointmentRequest {
        id,
        transition: transition as i32,
        if_version: call.if_match()?,
        reason_code,
        reason: reason.unwrap_or_default(),
        ..TransitionAppointmentRequest::default()
    };
    reply(&call, 200, &change(&call, &ctx, request).await?)
}

/// Confirms or cancels the link's appointment as its patient.
///
/// # Errors
/// Those of booking.
pub(crate) async fn change(
    call: &Call,
    ctx: &Context,
    request: TransitionAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let request = TransitionAppointmentRequest { by: Actor::Patient.as_str().to_owned(), ..request };
    Ok(call.inner.booking.clone().transition_appointment(ctx.forward(request)).await?)
}

async fn reschedule(mut call: Call) -> Result<Reply, Fault> {
    let body: Reschedule = call.parse_body()?;
    let (ctx, id) = resolve(&mut call, false).await?;
    let request = RescheduleAppointmentRequest {
        id,
        slot_id: body.slot_id,
        if_version: call.if_match()?,
        reason_code: body.reason_code.unwrap_or_default(),
        ..RescheduleAppointmentRequest::default()
    };
    reply(&call, 200, &move_to(&call, &ctx, request).await?)
}

/// Moves the link's appointment as its patient.
///
/// # Errors
/// Those of booking.
pub(crate) async fn move_to(
    call: &Call,
    ctx: &Context,
    request: RescheduleAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let (channel, by) = (BookingChannel::Online as i32, Actor::Patient.as_str().to_owned());
    let request = RescheduleAppointmentRequest { channel, by, ..request };
    Ok(call.inner.booking.clone().reschedule_appointment(ctx.forward(request)).await?)
}
