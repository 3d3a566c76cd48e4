//! The waitlist, and the offers of freed slots.

pub(super) mod types;

use axum::http::Method;
use domain::{slot, waitlist::EntryStatus};
use jiff::Timestamp;
use rpc::{Context, Fault};
use types::{Hours, NewWaitlistEntry, Offer, WaitlistEntry, WaitlistPage};
use wire::{
    booking::{
        self, GetEntryRequest, GetOfferRequest, JoinWaitlistRequest, ListWaitlistRequest, ResolveManageLinkRequest,
    },
    convert::optional_text,
};

use super::{CURSOR, LIMIT, appointments, next_cursor, slots::Slot, time};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Handler, Operation, handler},
    page_frame,
    params::{Param, Type},
    reply::Reply,
};

const JOIN_SUMMARY: &str = "Joins the waitlist. An equal live entry is returned with 200; 409 `waitlist_limit` when the patient has the most \
     live entries";
const LEAVE_SUMMARY: &str = "Leaves the waitlist; 409 `offer_gone` while an offer is being accepted";
const ACCEPT_SUMMARY: &str = "Accepts an offer: books its slot, or moves the patient's later appointment to it";

fn operation(id: &str, method: Method, path: &str, summary: &str, access: Access, handler: Handler) -> Operation {
    Operation::new(id, method, path, "waitlist", summary, access, handler)
}

fn without_fields(operation: Operation) -> Operation {
    operation.json_body("Nothing").optional_body()
}

pub(super) fn operations() -> Vec<Operation> {
    let write = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let params = [
        Param::new("patient_id", Type::Id("pat"), "Of this patient"),
        Param::new("status", Type::Word(EntryStatus::WORDS), "In this status").repeated(),
        LIMIT,
        CURSOR,
    ];
    let entry = "/v1/waitlist/{id}";
    vec![
        operation("join_waitlist", Method::POST, "/v1/waitlist", JOIN_SUMMARY, write, handler!(join))
            .json_body("NewWaitlistEntry")
            .answer(201, "WaitlistEntry"),
        operation(
            "list_waitlist",
            Method::GET,
            "/v1/waitlist",
            "Lists waitlist entries, newest first",
            read,
            handler!(list),
        )
        .params(&params)
        .answer(200, "WaitlistPage"),
        operation("get_wait", Method::GET, entry, "Returns one waitlist entry with its offers", read, handler!(get))
            .answer(200, "WaitlistEntry"),
        operation("leave_waitlist", Method::DELETE, entry, LEAVE_SUMMARY, write, handler!(leave))
            .answer(200, "WaitlistEntry"),
        operation("get_offer", Method::GET, "/v1/offers/{id}", "Returns one offer", read, handler!(get_offer))
            .answer(200, "Offer"),
        without_fields(operation(
            "accept_offer",
            Method::POST,
            "/v1/offers/{id}/accept",
            ACCEPT_SUMMARY,
            write,
            handler!(accept),
        ))
        .answer(200, "Appointment"),
        without_fields(operation(
            "decline_offer",
            Method::POST,
            "/v1/offers/{id}/decline",
            "Declines an offer, so that the slot is offered to the next patient",
            write,
            handler!(decline),
        ))
        .answer(200, "Offer"),
    ]
    .into_iter()
    .chain(link_operations())
    .collect()
}

/// The operations of a patient's link to an offer.
fn link_operations() -> [Operation; 3] {
    [
        operation(
            "offer_link_get",
            Method::GET,
            "/v1/offer_links/{token}",
            "Returns the link's offer",
            Access::Open,
            handler!(get_by_link),
        )
        .answer(200, "Offer"),
        without_fields(operation(
            "offer_link_accept",
            Method::POST,
            "/v1/offer_links/{token}/accept",
            ACCEPT_SUMMARY,
            Access::Open,
            handler!(accept_by_link),
        ))
        .answer(200, "Appointment"),
        without_fields(operation(
            "offer_link_decline",
            Method::POST,
            "/v1/offer_links/{token}/decline",
            "Declines an offer, so that the slot is offered to the next patient",
            Access::Open,
            handler!(decline_by_link),
        ))
        .answer(200, "Offer"),
    ]
}

/// The entry to create. A `slot_id` fills in its service, location, practitioner and time.
fn join_request(body: NewWaitlistEntry, now: Timestamp) -> Result<JoinWaitlistRequest, Fault> {
    let mut request = JoinWaitlistRequest {
        patient_id: body.patient_id,
        service_id: body.service_id.unwrap_or_default(),
        location_ids: body.location_ids,
        practitioner_id: body.practitioner_id.unwrap_or_default(),
        from_us: body.from.unwrap_or(now).as_microsecond(),
        to_us: body.to.map_or(0, Timestamp::as_microsecond),
        days: body.days.iter().map(|day| day.as_str().to_owned()).collect(),
        not_before: body.hours.not_before.unwrap_or_default(),
        not_after: body.hours.not_after.unwrap_or_default(),
        plan_session_id: body.plan_session_id.unwrap_or_default(),
        appointment_id: body.appointment_id.unwrap_or_default(),
    };
    if let Some(text) = body.slot_id {
        let slot: slot::Slot =
            text.parse().map_err(|error| Fault::violation("/slot_id", "invalid_slot", &format!("{error}")))?;
        request.service_id = slot.service.to_string();
        request.location_ids = vec![slot.location.to_string()];
        request.practitioner_id = slot.practitioner.to_string();
        request.from_us = slot.starts_at.as_microsecond();
        request.to_us = request.from_us + 1;
    } else if request.to_us == 0 {
        return Err(Fault::violation("/to", "missing", "say until when, or give the slot_id of a slot that is taken"));
    }
    Ok(request)
}

/// Points at `slot_id` for a fault in a field that it filled in.
fn point_at_slot(mut fault: Fault) -> Fault {
    let filled = ["/service_id", "/location_ids", "/practitioner_id"];
    for violation in &mut fault.violations {
        if filled.iter().any(|name| violation.pointer.starts_with(name)) {
            violation.pointer = "/slot_id".to_owned();
        }
    }
    fault
}

fn to_json(entry: booking::WaitlistEntry) -> WaitlistEntry {
    let criteria = entry.wish.unwrap_or_default();
    let patient_id = criteria.patient_id;
    let offers = entry.offers.into_iter().map(|offer| offer_to_json(offer, patient_id.clone())).collect();
    WaitlistEntry {
        id: entry.id,
        version: entry.version,
        status: entry.status,
        patient_id,
        service_id: criteria.service_id,
        location_ids: criteria.location_ids,
        practitioner_id: optional_text(&criteria.practitioner_id),
        from: time::utc(criteria.from_us),
        to: time::utc(criteria.to_us),
        days: criteria.days,
        hours: Hours { not_before: optional_text(&criteria.not_before), not_after: optional_text(&criteria.not_after) },
        plan_session_id: optional_text(&criteria.plan_session_id),
        appointment_id: optional_text(&criteria.appointment_id),
        offers,
        created_at: time::utc(entry.created_at_us),
        updated_at: time::utc(entry.updated_at_us),
    }
}

/// An offer for an answer; `patient_id` is the patient's id for the caller.
fn offer_to_json(offer: booking::Offer, patient_id: String) -> Offer {
    let slot = offer.slot.unwrap_or_default();
    let zone = slot.time_zone.clone();
    Offer {
        id: offer.id,
        version: offer.version,
        waitlist_id: offer.waitlist_id,
        patient_id,
        status: offer.status,
        slot: Slot::from(&slot),
        expires_at: time::local(offer.expires_at_us, &zone),
        created_at: time::local(offer.created_at_us, &zone),
        decided_at: time::optional(offer.decided_at_us, &zone),
    }
}

fn entry_reply(status: u16, response: tonic::Response<booking::WaitlistEntry>) -> Result<Reply, Fault> {
    let (metadata, entry, _) = response.into_parts();
    let entry = to_json(entry);
    let reply = Reply::json(status, &entry)?.write_metadata(&metadata);
    Ok(reply.version(entry.version).target(&entry.id).patient(&entry.patient_id))
}

async fn join(call: Call) -> Result<Reply, Fault> {
    let body: NewWaitlistEntry = call.parse_body()?;
    let by_slot = body.slot_id.is_some();
    let request = join_request(body, call.inner.clock.now())?;
    let joined = call.inner.waitlist.clone().join_waitlist(call.context().forward(request)).await;
    let response = joined.map_err(|status| if by_slot { point_at_slot(status.into()) } else { status.into() })?;
    let path = format!("/v1/waitlist/{}", response.get_ref().id);
    let status = if response.get_ref().joined_before { 200 } else { 201 };
    Ok(entry_reply(status, response)?.location(path))
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListWaitlistRequest {
        patient_id: params.text_or_empty("patient_id"),
        statuses: params.all("status"),
        page: call.page(),
    };
    let answer = call.inner.waitlist.clone().list_waitlist(call.context().request(request)).await?.into_inner();
    let data: Vec<WaitlistEntry> = answer.entries.into_iter().map(to_json).collect();
    let rows = data.len();
    Ok(Reply::json(200, &WaitlistPage { data, next_cursor: next_cursor(answer.next_cursor) })?.rows(rows))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetEntryRequest { id: call.path_param("id") };
    entry_reply(200, call.inner.waitlist.clone().get_entry(call.context().request(request)).await?)
}

async fn leave(call: Call) -> Result<Reply, Fault> {
    let request = GetEntryRequest { id: call.path_param("id") };
    entry_reply(200, call.inner.waitlist.clone().leave_waitlist(call.context().request(request)).await?)
}

fn offer_reply(call: &Call, response: tonic::Response<booking::Offer>) -> Result<Reply, Fault> {
    let (metadata, offer, _) = response.into_parts();
    let patient = offer.patient_id.clone();
    let offer = offer_to_json(offer, call.patient_id(&patient));
    let reply = Reply::json(200, &offer)?.write_metadata(&metadata);
    Ok(reply.version(offer.version).target(&offer.id).patient(&patient))
}

async fn get_offer(call: Call) -> Result<Reply, Fault> {
    let request = GetOfferRequest { id: call.path_param("id") };
    offer_reply(&call, call.inner.waitlist.clone().get_offer(call.context().request(request)).await?)
}

async fn accept(call: Call) -> Result<Reply, Fault> {
    let (ctx, id) = (call.context(), call.path_param("id"));
    accept_offer(&call, &ctx, id).await
}

async fn accept_offer(call: &Call, ctx: &Context, id: String) -> Result<Reply, Fault> {
    let response = call.inner.waitlist.clone().accept_offer(ctx.forward(GetOfferRequest { id })).await?;
    appointments::reply(call, 200, &response)
}

async fn decline(call: Call) -> Result<Reply, Fault> {
    let request = GetOfferRequest { id: call.path_param("id") };
    offer_reply(&call, call.inner.waitlist.clone().decline_offer(call.context().forward(request)).await?)
}

/// The offer of a patient's link, and the context of calls on the patient's behalf.
///
/// # Errors
/// `not_found` for an unknown link.
pub(crate) async fn resolve(call: &mut Call) -> Result<(Context, String), Fault> {
    let request = ResolveManageLinkRequest { token: call.path_param("token"), to_move: false };
    let link = call.inner.waitlist.clone().resolve_offer_link(call.context().request(request)).await?.into_inner();
    call.act_as_patient(link.organization_id.parse().map_err(Fault::internal)?);
    Ok((call.context(), link.offer_id))
}

async fn get_by_link(mut call: Call) -> Result<Reply, Fault> {
    if let Some(page) = page_frame::redirection(&call, "/o") {
        return Ok(page);
    }
    let (ctx, id) = resolve(&mut call).await?;
    offer_reply(&call, call.inner.waitlist.clone().get_offer(ctx.request(GetOfferRequest { id })).await?)
}

async fn accept_by_link(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, id) = resolve(&mut call).await?;
    accept_offer(&call, &ctx, id).await
}

async fn decline_by_link(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, id) = resolve(&mut call).await?;
    offer_reply(&call, call.inner.waitlist.clone().decline_offer(ctx.forward(GetOfferRequest { id })).await?)
}
