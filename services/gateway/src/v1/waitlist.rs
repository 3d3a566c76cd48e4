//! The waitlist: who would like a time that is taken, and to whom one that came free is offered.

use axum::http::Method;
use domain::{
    slot,
    time::Day,
    waitlist::{EntryStatus, OfferStatus},
};
use jiff::Timestamp;
use rpc::{Context, Fault};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{
    booking::{
        self, GetEntryRequest, GetOfferRequest, JoinWaitlistRequest, ListWaitlistRequest, ResolveManageLinkRequest,
    },
    common::Page,
    convert::optional_text,
};

use super::{CURSOR, LIMIT, appointments, next_cursor, slots::Slot, time};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

/// Hours of the locations' own clocks.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hours {
    /// The visit starts no earlier, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    not_before: Option<String>,
    /// It is over by then, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    not_after: Option<String>,
}

/// What somebody would take.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWait {
    #[schema(max_length = 64)]
    patient_id: String,
    /// What is given; without it, that of `slot_id`.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    service_id: Option<String>,
    /// This very slot, which is taken: stands for its service, location, practitioner and time.
    #[serde(default)]
    #[schema(max_length = 200, nullable = false)]
    slot_id: Option<String>,
    /// Any of these; none: every location.
    #[serde(default)]
    #[schema(max_items = 50)]
    location_ids: Vec<String>,
    /// Only this practitioner.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    practitioner_id: Option<String>,
    /// The visit starts at or after this; without it, from now on.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    from: Option<Timestamp>,
    /// The visit starts before this.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    to: Option<Timestamp>,
    /// Only on these days; none: every day.
    #[serde(default)]
    #[schema(max_items = 7)]
    days: Vec<Day>,
    #[serde(default)]
    hours: Hours,
    /// The session of a plan that it is for.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    plan_session_id: Option<String>,
    /// The patient's later visit, which an earlier one takes the place of.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    appointment_id: Option<String>,
}

/// A free slot that is offered to a patient.
#[derive(Serialize, ToSchema)]
pub(crate) struct Offer {
    id: String,
    version: i64,
    waitlist_id: String,
    patient_id: String,
    #[schema(value_type = OfferStatus)]
    status: String,
    slot: Slot,
    #[schema(format = DateTime)]
    expires_at: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    decided_at: Option<String>,
}

/// An entry of the waitlist.
#[derive(Serialize, ToSchema)]
pub(crate) struct Wait {
    id: String,
    version: i64,
    #[schema(value_type = EntryStatus)]
    status: String,
    patient_id: String,
    service_id: String,
    location_ids: Vec<String>,
    practitioner_id: Option<String>,
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    days: Vec<String>,
    hours: Hours,
    plan_session_id: Option<String>,
    appointment_id: Option<String>,
    /// The newest first.
    offers: Vec<Offer>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A page of the waitlist, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitPage {
    data: Vec<Wait>,
    next_cursor: Option<String>,
}

/// What joining is, and what the same wish or one too many comes to.
const JOINS: &str = "Waits for a time; the same wish again answers 200 with the entry that waits for it already, and 409 \
     `waitlist_limit` says that the patient has as many live entries as one patient may have";
/// What leaving is, and when it is refused.
const LEAVES: &str = "Waits no longer; 409 `offer_gone` while an offer is being taken";

pub(crate) fn operations() -> Vec<Operation> {
    let write = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "waitlist", summary, access, handler)
    };
    let (get, post) = (Method::GET, Method::POST);
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let params = [
        Param::new("patient_id", Type::Id("pat"), "Only theirs"),
        Param::new("status", Type::Word(EntryStatus::WORDS), "Only in this status").repeats(),
        LIMIT,
        CURSOR,
    ];
    let without_body = |operation: Operation| Operation { body_optional: true, ..operation.body("Nothing") };
    let taken = "Takes an offer: books its slot, or moves the patient's later visit to it";
    let entry = "/v1/waitlist/{id}";
    vec![
        operation("join_waitlist", post.clone(), "/v1/waitlist", JOINS, write, handler!(join))
            .body("NewWait")
            .answer(201, "Wait"),
        operation("list_waitlist", get.clone(), "/v1/waitlist", "Who waits", read, handler!(list))
            .params(&params)
            .answer(200, "WaitPage"),
        operation("get_wait", get.clone(), entry, "One entry with its offers", read, handler!(one)).answer(200, "Wait"),
        operation("leave_waitlist", Method::DELETE, entry, LEAVES, write, handler!(leave)).answer(200, "Wait"),
        operation("get_offer", get.clone(), "/v1/offers/{id}", "One offer", read, handler!(offer)).answer(200, "Offer"),
        without_body(operation("accept_offer", post.clone(), "/v1/offers/{id}/accept", taken, write, handler!(accept)))
            .answer(200, "Appointment"),
        without_body(operation(
            "decline_offer",
            post.clone(),
            "/v1/offers/{id}/decline",
            "Leaves an offered slot to the next",
            write,
            handler!(decline),
        ))
        .answer(200, "Offer"),
        operation(
            "offer_link_get",
            get,
            "/v1/offer_links/{token}",
            "What one is offered",
            Access::Open,
            handler!(link_offer),
        )
        .answer(200, "Offer"),
        without_body(operation(
            "offer_link_accept",
            post.clone(),
            "/v1/offer_links/{token}/accept",
            taken,
            Access::Open,
            handler!(link_accept),
        ))
        .answer(200, "Appointment"),
        without_body(operation(
            "offer_link_decline",
            post,
            "/v1/offer_links/{token}/decline",
            "Leaves an offered slot to the next",
            Access::Open,
            handler!(link_decline),
        ))
        .answer(200, "Offer"),
    ]
}

/// What is wished for, with what a slot stands for filled in.
fn wish(body: NewWait, now: Timestamp) -> Result<JoinWaitlistRequest, Fault> {
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

/// The slot stands for what the caller has not named.
fn of_slot(mut fault: Fault) -> Fault {
    let filled = ["/service_id", "/location_ids", "/practitioner_id"];
    for violation in &mut fault.violations {
        if filled.iter().any(|name| violation.pointer.starts_with(name)) {
            violation.pointer = "/slot_id".to_owned();
        }
    }
    fault
}

fn shown(it: booking::WaitlistEntry) -> Wait {
    let wish = it.wish.unwrap_or_default();
    Wait {
        id: it.id,
        version: it.version,
        status: it.status,
        patient_id: wish.patient_id,
        service_id: wish.service_id,
        location_ids: wish.location_ids,
        practitioner_id: optional_text(&wish.practitioner_id),
        from: time::utc(wish.from_us),
        to: time::utc(wish.to_us),
        days: wish.days,
        hours: Hours { not_before: optional_text(&wish.not_before), not_after: optional_text(&wish.not_after) },
        plan_session_id: optional_text(&wish.plan_session_id),
        appointment_id: optional_text(&wish.appointment_id),
        offers: it.offers.into_iter().map(offer_shown).collect(),
        created_at: time::utc(it.created_at_us),
        updated_at: time::utc(it.updated_at_us),
    }
}

fn offer_shown(it: booking::Offer) -> Offer {
    let slot = it.slot.unwrap_or_default();
    let zone = slot.time_zone.clone();
    Offer {
        id: it.id,
        version: it.version,
        waitlist_id: it.waitlist_id,
        patient_id: it.patient_id,
        status: it.status,
        slot: Slot::from(&slot),
        expires_at: time::shown(it.expires_at_us, &zone),
        created_at: time::shown(it.created_at_us, &zone),
        decided_at: time::optional(it.decided_at_us, &zone),
    }
}

fn entry_reply(status: u16, response: tonic::Response<booking::WaitlistEntry>) -> Result<Reply, Fault> {
    let replied = Reply::empty(status).after(&response);
    let entry = shown(response.into_inner());
    let (id, patient) = (entry.id.clone(), entry.patient_id.clone());
    let json = Reply::json(status, &entry)?;
    let made = Reply { revision: replied.revision, replayed: replied.replayed, ..json };
    Ok(made.version(entry.version).target(&id).patient(&patient))
}

async fn join(call: Call) -> Result<Reply, Fault> {
    let body: NewWait = call.read()?;
    let by_slot = body.slot_id.is_some();
    let request = wish(body, call.inner.clock.now())?;
    let joined = call.inner.waitlist.clone().join_waitlist(call.context().forward(request)).await;
    let response = joined.map_err(|status| if by_slot { of_slot(status.into()) } else { status.into() })?;
    let path = format!("/v1/waitlist/{}", response.get_ref().id);
    let status = if response.get_ref().joined_before { 200 } else { 201 };
    Ok(entry_reply(status, response)?.location(path))
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListWaitlistRequest {
        patient_id: params.text_or_empty("patient_id"),
        statuses: params.all("status"),
        page: Some(Page { limit: params.number("limit"), cursor: params.text_or_empty("cursor") }),
    };
    let answer = call.inner.waitlist.clone().list_waitlist(call.context().request(request)).await?.into_inner();
    let data = answer.entries.into_iter().map(shown).collect();
    Reply::json(200, &WaitPage { data, next_cursor: next_cursor(answer.next_cursor) })
}

async fn one(call: Call) -> Result<Reply, Fault> {
    let request = GetEntryRequest { id: call.part("id") };
    entry_reply(200, call.inner.waitlist.clone().get_entry(call.context().request(request)).await?)
}

async fn leave(call: Call) -> Result<Reply, Fault> {
    let request = GetEntryRequest { id: call.part("id") };
    entry_reply(200, call.inner.waitlist.clone().leave_waitlist(call.context().request(request)).await?)
}

fn offer_reply(response: tonic::Response<booking::Offer>) -> Result<Reply, Fault> {
    let replied = Reply::empty(200).after(&response);
    let it = response.into_inner();
    let (id, patient, version) = (it.id.clone(), it.patient_id.clone(), it.version);
    let json = Reply::json(200, &offer_shown(it))?.version(version).target(&id).patient(&patient);
    Ok(Reply { revision: replied.revision, replayed: replied.replayed, ..json })
}

async fn offer(call: Call) -> Result<Reply, Fault> {
    let request = GetOfferRequest { id: call.part("id") };
    offer_reply(call.inner.waitlist.clone().get_offer(call.context().request(request)).await?)
}

async fn accept(call: Call) -> Result<Reply, Fault> {
    let (ctx, id) = (call.context(), call.part("id"));
    accepted(&call, &ctx, id).await
}

async fn accepted(call: &Call, ctx: &Context, id: String) -> Result<Reply, Fault> {
    let response = call.inner.waitlist.clone().accept_offer(ctx.forward(GetOfferRequest { id })).await?;
    appointments::reply(call, 200, &response)
}

async fn decline(call: Call) -> Result<Reply, Fault> {
    let request = GetOfferRequest { id: call.part("id") };
    offer_reply(call.inner.waitlist.clone().decline_offer(call.context().forward(request)).await?)
}

/// The offer that a patient's link is for, and the context to act in.
async fn resolve(call: &mut Call) -> Result<(Context, String), Fault> {
    let request = ResolveManageLinkRequest { token: call.part("token") };
    let link = call.inner.waitlist.clone().resolve_offer_link(call.context().request(request)).await?.into_inner();
    call.by_link(link.organization_id.parse().map_err(Fault::internal)?);
    Ok((call.context(), link.offer_id))
}

async fn link_offer(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, id) = resolve(&mut call).await?;
    offer_reply(call.inner.waitlist.clone().get_offer(ctx.request(GetOfferRequest { id })).await?)
}

async fn link_accept(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, id) = resolve(&mut call).await?;
    accepted(&call, &ctx, id).await
}

async fn link_decline(mut call: Call) -> Result<Reply, Fault> {
    let (ctx, id) = resolve(&mut call).await?;
    offer_reply(call.inner.waitlist.clone().decline_offer(ctx.forward(GetOfferRequest { id })).await?)
}
