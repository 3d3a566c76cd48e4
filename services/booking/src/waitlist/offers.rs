//! Offers: accepted by booking their hold, passed on when they are declined or expire.

use std::sync::Arc;

use domain::{
    appointment::Actor,
    id::{AppointmentId, HoldId, OfferId, OrganizationId, PatientId, PlanSessionId},
};
use prost::Message;
use rpc::{Code, Context, Fault, Idempotency};
use service::{db_error, idempotency::Begun};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{
        Appointment, BookAppointmentRequest, Offer, OfferContact, RescheduleAppointmentRequest,
        ResolveOfferLinkResponse,
        book_appointment_request::{Time, Who},
    },
    common::BookingChannel,
};

use super::{changes, entries, view};
use crate::{
    Inner,
    appointments::{self, book, reschedule},
    commit::{self, begin},
    holds, manage_links, patients,
    store::{
        batch::{Batch, CommitError, NewChange},
        offers::OfferRow,
        waitlist_entries::EntryRow,
    },
};

const ACCEPT_ROUTE: &str = "AcceptOffer";
const DECLINE_ROUTE: &str = "DeclineOffer";

pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<OfferRow, Fault> {
    let id: OfferId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.offer(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    found.ok_or_else(Fault::not_found)
}

/// The offer that a link is for.
pub(crate) async fn resolve(inner: &Inner, token: &str) -> Result<ResolveOfferLinkResponse, Fault> {
    let found = inner.store.offer_by_token(&manage_links::hash(token)).await.map_err(db_error::fault)?;
    let row = found.ok_or_else(Fault::not_found)?;
    Ok(ResolveOfferLinkResponse {
        organization_id: OrganizationId::new(row.organization_id).to_string(),
        offer_id: OfferId::new(row.id).to_string(),
    })
}

/// The present state of an offer and how its patient can be reached.
pub(crate) async fn contact(inner: &Inner, ctx: &Context, id: &str) -> Result<OfferContact, Fault> {
    let row = load(inner, ctx, id).await?;
    let patient = inner.store.patient(row.organization_id, row.patient_id).await.map_err(db_error::fault)?;
    let patient = patients::view::contact(&patient.ok_or_else(Fault::not_found)?)?;
    let mut offer = view::offer_with_link(&inner.links, &row)?;
    if offer.status == "open" && row.expires_at_us <= inner.clock.now_us() {
        offer.status = "expired".to_owned();
    }
    Ok(OfferContact { offer: Some(offer), patient: Some(patient) })
}

/// Accepts an offer. Only one request can make the step to `accepting`; the booking that follows carries the offer's own
/// key, so that a repeated step, after a crash too, has the effect of the first.
pub(crate) async fn accept(inner: &Arc<Inner>, ctx: &Context, id: &str) -> Result<Response<Appointment>, Fault> {
    let _guard = match begin(inner, ctx, ACCEPT_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let row = load(inner, ctx, id).await?;
    let now_us = inner.clock.now_us();
    match row.status.as_str() {
        "accepted" => {
            let booked = Response::new(accepted_appointment(inner, ctx, &row).await?);
            return store_answer(inner, ctx, ACCEPT_ROUTE, None, booked).await;
        }
        "accepting" => {}
        "open" if row.expires_at_us > now_us => {
            let begun = inner.store.transition_offer(&row, "open", "accepting", None, now_us).await;
            if begun.map_err(db_error::fault)?.is_none() {
                return Err(gone());
            }
        }
        _ => return Err(gone()),
    }
    finish_accepting(inner, ctx, &row).await
}

fn gone() -> Fault {
    Fault::new(Code::OfferGone, "the offer has been taken, declined or passed on; the next one may come")
}

/// Books an offer that is being accepted, and publishes it.
pub(super) async fn finish_accepting(
    inner: &Arc<Inner>,
    ctx: &Context,
    row: &OfferRow,
) -> Result<Response<Appointment>, Fault> {
    let found = inner.store.entry(row.organization_id, row.waitlist_id).await.map_err(db_error::fault)?;
    let entry = found.ok_or_else(|| Fault::internal("an offer has no entry"))?;
    let booked = book(inner, ctx, row, &entry).await;
    let now_us = inner.clock.now_us();
    let response = match booked {
        Ok(response) => response,
        // Another request may be booking it, or the outcome is unknown: the job finishes it with the same key.
        Err(fault) if is_undecided(fault.code) => return Err(fault),
        Err(fault) => {
            pass_on(inner, row, "accepting", "expired", "offer_expired").await?;
            return Err(if fault.code == Code::HoldExpired { gone() } else { fault });
        }
    };
    let appointment: AppointmentId = response.get_ref().id.parse().map_err(Fault::internal)?;
    // The entry ends first: after a crash in between, the job finishes the offer that is still being accepted.
    entries::end(inner, &entry, 0, "booked").await?;
    let accepted = inner.store.transition_offer(row, "accepting", "accepted", Some(appointment.uuid()), now_us).await;
    let accepted = accepted.map_err(db_error::fault)?;
    let change = accepted.map(|accepted| changes::of_offer(&accepted, "offer_accepted")).transpose()?;
    if change.is_some() {
        metrics::counter!("waitlist_offers_total", "outcome" => "accepted").increment(1);
    }
    store_answer(inner, ctx, ACCEPT_ROUTE, change, response).await
}

/// Publishes a change and stores the answer under the request's key with it. The request has had its effect by then, and
/// has no second one: where this commit is lost, a repeated request is answered anew.
async fn store_answer<T: Message>(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    change: Option<NewChange>,
    response: Response<T>,
) -> Result<Response<T>, Fault> {
    let organization = ctx.organization.uuid();
    let idempotency = commit::idempotency_record(inner, ctx, route, response.get_ref())?;
    if idempotency.is_some() {
        let changes = change.clone().into_iter().collect();
        let batch = Batch { changes, idempotency, ..Batch::new(organization, inner.clock.now_us()) };
        match commit::commit(inner, batch).await {
            Ok(_) => return Ok(response),
            // Another process has just stored an answer under the same key.
            Err(CommitError::Replay) => {}
            Err(error) => return Err(commit::refused(error)),
        }
    }
    if let Some(change) = change {
        changes::publish(inner, organization, change).await?;
    }
    Ok(response)
}

/// Whether a failure leaves open whether the appointment was booked.
fn is_undecided(code: Code) -> bool {
    code.is_failure() || matches!(code, Code::IdempotencyInProgress | Code::VersionMismatch)
}

async fn book(
    inner: &Arc<Inner>,
    ctx: &Context,
    row: &OfferRow,
    entry: &EntryRow,
) -> Result<Response<Appointment>, Fault> {
    let key = OfferId::new(row.id).to_string();
    let idempotency = Some(Idempotency { key: key.clone(), fingerprint: key });
    // Keys are stored for each caller: it must be the same one each time. The offer's hold is no visitor's.
    let ctx = Context { idempotency, caller: "waitlist".to_owned(), visitor: None, ..ctx.clone() };
    let criteria = entries::criteria(entry)?;
    let hold_id = HoldId::new(row.hold_id).to_string();
    let channel = BookingChannel::Online.into();
    if let Some(appointment) = criteria.appointment {
        let request = RescheduleAppointmentRequest {
            id: AppointmentId::new(appointment).to_string(),
            slot_id: row.slot_id.clone(),
            if_version: 0,
            channel,
            by: Actor::Patient.as_str().to_owned(),
            reason_code: String::new(),
        };
        return reschedule::reschedule(inner, &ctx, request, Some(hold_id)).await;
    }
    let request = BookAppointmentRequest {
        time: Some(Time::HoldId(hold_id)),
        who: Some(Who::PatientId(PatientId::new(row.patient_id).to_string())),
        plan_session_id: criteria.plan_session.map(|id| PlanSessionId::new(id).to_string()).unwrap_or_default(),
        channel,
        ..BookAppointmentRequest::default()
    };
    book::book(inner, &ctx, request).await
}

/// The appointment of an offer that is accepted once more.
async fn accepted_appointment(inner: &Inner, ctx: &Context, row: &OfferRow) -> Result<Appointment, Fault> {
    let id = row.appointment_id.map(|id| AppointmentId::new(id).to_string()).unwrap_or_default();
    let appointment = appointments::load(inner, ctx, &id).await?;
    Ok(appointments::view::to_wire_with_link(&inner.links, &appointment))
}

pub(crate) async fn decline(inner: &Arc<Inner>, ctx: &Context, id: &str) -> Result<Response<Offer>, Fault> {
    let _guard = match begin(inner, ctx, DECLINE_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let row = load(inner, ctx, id).await?;
    if row.status == "open" {
        pass_on(inner, &row, "open", "declined", "offer_declined").await?;
    }
    let row = load(inner, ctx, id).await?;
    if matches!(row.status.as_str(), "accepted" | "accepting") {
        return Err(Fault::new(Code::OfferGone, "the offer was taken; cancel the appointment instead"));
    }
    let response = Response::new(view::offer_with_link(&inner.links, &row)?);
    store_answer(inner, ctx, DECLINE_ROUTE, None, response).await
}

/// Ends the live offer of an entry that is left; answers whether there was one.
///
/// # Errors
/// `offer_gone` while the offer is being accepted: then the appointment comes.
pub(super) async fn withdraw(inner: &Arc<Inner>, entry: &EntryRow) -> Result<bool, Fault> {
    let live = inner.store.live_offer(entry.organization_id, entry.id).await.map_err(db_error::fault)?;
    let Some(row) = live else { return Ok(false) };
    if row.status == "accepting" {
        return Err(Fault::new(Code::OfferGone, "its offer is being taken; cancel the appointment instead"));
    }
    pass_on(inner, &row, &row.status, "withdrawn", "offer_withdrawn").await?;
    Ok(true)
}

/// Ends the live offers of slots at a location that were found by another time zone than this one: their texts name an
/// hour that is wrong now. An offer that is being accepted is left alone: its hold is gone, so it ends by itself.
pub(crate) async fn withdraw_other_zones(
    inner: &Arc<Inner>,
    organization: Uuid,
    location: &str,
    time_zone: &str,
) -> Result<(), Fault> {
    for row in inner.store.live_offers(organization).await.map_err(db_error::fault)? {
        let slot = view::offered_slot(&row)?;
        if slot.location_id == location && slot.time_zone != time_zone && row.status != "accepting" {
            pass_on(inner, &row, &row.status, "withdrawn", "offer_withdrawn").await?;
        }
    }
    Ok(())
}

/// Frees the slot of an offer that ended while its hold was created, and publishes once more that it has ended: the hold's
/// commit published that it was made.
pub(super) async fn release_ended(inner: &Arc<Inner>, made: &OfferRow) -> Result<(), Fault> {
    let found = inner.store.offer(made.organization_id, made.id).await.map_err(db_error::fault)?;
    let row = found.ok_or_else(|| Fault::internal("an offer that ended is gone"))?;
    if holds::end(inner, row.organization_id, row.hold_id).await?.is_some() {
        let change = changes::of_offer(&row, &format!("offer_{}", row.status))?;
        changes::publish(inner, row.organization_id, change).await?;
    }
    Ok(())
}

/// Ends an offer without a booking. Its slot is free for the next entry, and its own entry cools down.
pub(super) async fn pass_on(
    inner: &Arc<Inner>,
    row: &OfferRow,
    from: &str,
    to: &'static str,
    event: &str,
) -> Result<(), Fault> {
    let now_us = inner.clock.now_us();
    let ended = inner.store.transition_offer(row, from, to, None, now_us).await.map_err(db_error::fault)?;
    let Some(ended) = ended else { return Ok(()) };
    holds::end(inner, row.organization_id, row.hold_id).await?;
    let until_us = now_us + i64::from(inner.config.waitlist.rest_minutes) * 60_000_000;
    let cooled = inner.store.cool_down_entry(row.organization_id, row.waitlist_id, until_us, now_us).await;
    cooled.map_err(db_error::fault)?;
    changes::publish(inner, row.organization_id, changes::of_offer(&ended, event)?).await?;
    metrics::counter!("waitlist_offers_total", "outcome" => to).increment(1);
    inner.time_freed.notify_waiters();
    Ok(())
}
