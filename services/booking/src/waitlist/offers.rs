//! Offers: made with a hold, taken by booking it, passed on when they are declined or run out.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    appointment::Actor,
    id::{AppointmentId, HoldId, OfferId, OrganizationId, PatientId, PlanSessionId, WaitlistId},
};
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use rpc::{Code, Context, Fault, Idempotency};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tonic::Response;
use uuid::Uuid;
use wire::{
    availability::Slot,
    booking::{
        Appointment, BookAppointmentRequest, Offer, OfferContact, RescheduleAppointmentRequest,
        ResolveOfferLinkResponse,
        book_appointment_request::{Time, Who},
    },
    common::BookingChannel,
};

use super::{Wish, entries, offer_change, tell};
use crate::{
    Inner,
    appointments::{self, book, reschedule},
    commit::{self, Begun, begin, remember},
    holds, patients,
    store::{
        batch::{Batch, NewChange, Refusal},
        rows::{EntryRow, OfferRow},
    },
};

const ACCEPT: &str = "AcceptOffer";
const DECLINE: &str = "DeclineOffer";

/// A slot as it was offered.
#[derive(Serialize, Deserialize)]
pub(super) struct Offered {
    service_id: String,
    practitioner_id: String,
    location_id: String,
    starts_at_us: i64,
    ends_at_us: i64,
    time_zone: String,
}

impl Offered {
    pub(super) fn of(slot: &Slot) -> Self {
        Self {
            service_id: slot.service_id.clone(),
            practitioner_id: slot.practitioner_id.clone(),
            location_id: slot.location_id.clone(),
            starts_at_us: slot.starts_at_us,
            ends_at_us: slot.ends_at_us,
            time_zone: slot.time_zone.clone(),
        }
    }
}

/// The slot of an offer.
pub(super) fn slot_of(row: &OfferRow) -> Result<Slot, Fault> {
    let offered: Offered =
        serde_json::from_str(&row.slot).map_err(|_| Fault::internal("a stored offer cannot be read"))?;
    Ok(Slot {
        slot_id: row.slot_id.clone(),
        service_id: offered.service_id,
        practitioner_id: offered.practitioner_id,
        location_id: offered.location_id,
        starts_at_us: offered.starts_at_us,
        ends_at_us: offered.ends_at_us,
        time_zone: offered.time_zone,
        places_left: 1,
    })
}

/// A status as the public sees it: one that is being taken is open until it is taken.
pub(super) fn public(status: &str) -> &str {
    if matches!(status, "making" | "accepting") { "open" } else { status }
}

/// The token of an offer's link: as that of a manage link, over other words.
pub(super) fn token(inner: &Inner, organization: Uuid, offer: Uuid) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&inner.link_key) else { return String::new() };
    mac.update(b"offer");
    mac.update(organization.as_bytes());
    mac.update(offer.as_bytes());
    URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..16])
}

pub(super) fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

pub(super) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<OfferRow, Fault> {
    let id: OfferId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.offer(ctx.organization.uuid(), id.uuid()).await.map_err(commit::failure)?;
    found.ok_or_else(Fault::not_found)
}

/// An offer for the wire, with the token of its link.
pub(super) fn shown(inner: &Inner, row: &OfferRow) -> Result<Offer, Fault> {
    Ok(Offer { token: token(inner, row.organization_id, row.id), ..listed(row)? })
}

/// An offer for the wire, as lists show it.
pub(super) fn listed(row: &OfferRow) -> Result<Offer, Fault> {
    Ok(Offer {
        id: OfferId::new(row.id).to_string(),
        version: row.version,
        waitlist_id: WaitlistId::new(row.waitlist_id).to_string(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        status: public(&row.status).to_owned(),
        slot: Some(slot_of(row)?),
        expires_at_us: row.expires_at_us,
        created_at_us: row.created_at_us,
        decided_at_us: row.decided_at_us.unwrap_or(0),
        token: String::new(),
    })
}

pub(super) async fn resolve(inner: &Inner, token: &str) -> Result<ResolveOfferLinkResponse, Fault> {
    let found = inner.store.offer_by_token(&token_hash(token)).await.map_err(commit::failure)?;
    let row = found.ok_or_else(Fault::not_found)?;
    Ok(ResolveOfferLinkResponse {
        organization_id: OrganizationId::new(row.organization_id).to_string(),
        offer_id: OfferId::new(row.id).to_string(),
    })
}

pub(super) async fn contact(inner: &Inner, ctx: &Context, id: &str) -> Result<OfferContact, Fault> {
    let row = load(inner, ctx, id).await?;
    let patient = inner.store.patient(row.organization_id, row.patient_id).await.map_err(commit::failure)?;
    let patient = patients::reached(&patient.ok_or_else(Fault::not_found)?)?;
    let mut offer = shown(inner, &row)?;
    if offer.status == "open" && row.expires_at_us <= inner.clock.now_us() {
        offer.status = "expired".to_owned();
    }
    Ok(OfferContact { offer: Some(offer), patient: Some(patient) })
}

/// Takes an offer. The step to `accepting` is the one that only one can make; what follows carries the offer's own key, so
/// that a repeated step, after a crash too, has the effect of the first.
pub(super) async fn accept(inner: &Arc<Inner>, ctx: &Context, id: &str) -> Result<Response<Appointment>, Fault> {
    let _running = match begin(inner, ctx, ACCEPT).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let row = load(inner, ctx, id).await?;
    let now_us = inner.clock.now_us();
    match row.status.as_str() {
        "accepted" => return answered(inner, ctx, ACCEPT, None, again(inner, ctx, &row).await?).await,
        "accepting" => {}
        "open" if row.expires_at_us > now_us => {
            let begun = inner.store.move_offer(&row, "open", "accepting", None, now_us).await;
            if begun.map_err(commit::failure)?.is_none() {
                return Err(gone());
            }
        }
        _ => return Err(gone()),
    }
    finish(inner, ctx, &row).await
}

fn gone() -> Fault {
    Fault::new(Code::OfferGone, "the offer has been taken, declined or passed on; the next one may come")
}

/// Books what is being accepted, and says so.
pub(super) async fn finish(inner: &Arc<Inner>, ctx: &Context, row: &OfferRow) -> Result<Response<Appointment>, Fault> {
    let found = inner.store.entry(row.organization_id, row.waitlist_id).await.map_err(commit::failure)?;
    let entry = found.ok_or_else(|| Fault::internal("an offer has no entry"))?;
    let booked = book(inner, ctx, row, &entry).await;
    let now_us = inner.clock.now_us();
    let answer = match booked {
        Ok(answer) => answer,
        // It is being booked by another request, or nobody can say: the sweep takes it up with the same key.
        Err(fault) if is_open_still(fault.code) => return Err(fault),
        Err(fault) => {
            pass_on(inner, row, "accepting", "expired", "offer_expired").await?;
            return Err(if fault.code == Code::HoldExpired { gone() } else { fault });
        }
    };
    let appointment: AppointmentId = answer.get_ref().id.parse().map_err(Fault::internal)?;
    // The entry first: where this breaks off, the sweep finishes what is still being taken.
    entries::end(inner, &entry, 0, "booked").await?;
    let taken = inner.store.move_offer(row, "accepting", "accepted", Some(appointment.uuid()), now_us).await;
    let taken = taken.map_err(commit::failure)?;
    let change = taken.map(|taken| offer_change(&taken, "offer_accepted")).transpose()?;
    if change.is_some() {
        metrics::counter!("waitlist_offers_total", "outcome" => "accepted").increment(1);
    }
    answered(inner, ctx, ACCEPT, change, answer).await
}

/// Tells of a change, and keeps the answer for the request's key with it. What the request asks for is done by then, and
/// has no second effect: where this is lost, a repeated request is answered anew.
async fn answered<T: Message + Default>(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    change: Option<NewChange>,
    answer: Response<T>,
) -> Result<Response<T>, Fault> {
    let organization = ctx.organization.uuid();
    let kept = remember(ctx, route, answer.get_ref());
    if kept.is_some() {
        let changes = change.clone().into_iter().collect();
        let now_us = inner.clock.now_us();
        let batch = Batch { organization_id: organization, now_us, changes, idempotency: kept, ..Batch::default() };
        match commit::commit(inner, batch).await {
            Ok(_) => return Ok(answer),
            Err(Refusal::Replay) => {}
            Err(other) => return Err(commit::refused(other)),
        }
    }
    // Without a key, or where the same key was kept by another process just now.
    if let Some(change) = change {
        tell(inner, organization, change).await?;
    }
    Ok(answer)
}

/// Whether a failure leaves open what becomes of the booking.
fn is_open_still(code: Code) -> bool {
    use Code::{DeadlineExceeded, IdempotencyInProgress, Internal, Overloaded, Unavailable, VersionMismatch};
    matches!(code, IdempotencyInProgress | Unavailable | DeadlineExceeded | Overloaded | VersionMismatch | Internal)
}

async fn book(
    inner: &Arc<Inner>,
    ctx: &Context,
    row: &OfferRow,
    entry: &EntryRow,
) -> Result<Response<Appointment>, Fault> {
    let key = OfferId::new(row.id).to_string();
    let idempotency = Some(Idempotency { key: key.clone(), fingerprint: key });
    // The same caller each time: the key is kept for the caller.
    let ctx = Context { idempotency, caller: "waitlist".to_owned(), ..ctx.clone() };
    let wish: Wish = entries::read(entry)?;
    let hold_id = HoldId::new(row.hold_id).to_string();
    if let Some(appointment) = wish.appointment {
        let request = RescheduleAppointmentRequest {
            id: AppointmentId::new(appointment).to_string(),
            slot_id: row.slot_id.clone(),
            if_version: 0,
            channel: BookingChannel::Online.into(),
            by: Actor::Patient.as_str().to_owned(),
            reason_code: String::new(),
        };
        return reschedule::reschedule(inner, &ctx, request, Some(hold_id)).await;
    }
    let request = BookAppointmentRequest {
        time: Some(Time::HoldId(hold_id)),
        who: Some(Who::PatientId(PatientId::new(row.patient_id).to_string())),
        plan_session_id: wish.plan_session.map(|id| PlanSessionId::new(id).to_string()).unwrap_or_default(),
        note: String::new(),
        channel: BookingChannel::Online.into(),
    };
    book::book(inner, &ctx, request).await
}

/// The answer to whoever accepts once more.
async fn again(inner: &Inner, ctx: &Context, row: &OfferRow) -> Result<Response<Appointment>, Fault> {
    let id = row.appointment_id.map(|id| AppointmentId::new(id).to_string()).unwrap_or_default();
    let appointment = appointments::load(inner, ctx, &id).await?;
    Ok(Response::new(appointments::shown(inner, &appointment)))
}

pub(super) async fn decline(inner: &Arc<Inner>, ctx: &Context, id: &str) -> Result<Response<Offer>, Fault> {
    let _running = match begin(inner, ctx, DECLINE).await? {
        Begun::New(running) => running,
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
    answered(inner, ctx, DECLINE, None, Response::new(shown(inner, &row)?)).await
}

/// Ends the offer of an entry that is left, one that is being made too; tells whether there was one.
///
/// # Errors
/// `offer_gone` where it is being taken: the visit comes, and then there is nothing to leave.
pub(super) async fn withdraw(inner: &Arc<Inner>, entry: &EntryRow) -> Result<bool, Fault> {
    let live = inner.store.live_offer(entry.organization_id, entry.id).await.map_err(commit::failure)?;
    let Some(row) = live else { return Ok(false) };
    if row.status == "accepting" {
        return Err(Fault::new(Code::OfferGone, "its offer is being taken; cancel the appointment instead"));
    }
    pass_on(inner, &row, &row.status, "withdrawn", "offer_withdrawn").await?;
    Ok(true)
}

/// Ends an offer of a slot at a location that was made by another time zone than this one. One that is being taken is left
/// alone: its hold is gone, so it ends by itself.
pub(crate) async fn withdraw_at(
    inner: &Arc<Inner>,
    row: &OfferRow,
    location: &str,
    time_zone: &str,
) -> Result<(), Fault> {
    let slot = slot_of(row)?;
    if slot.location_id != location || slot.time_zone == time_zone || row.status == "accepting" {
        return Ok(());
    }
    pass_on(inner, row, &row.status, "withdrawn", "offer_withdrawn").await
}

/// Frees the slot of an offer that was ended while its hold was laid, and says once more that it has ended: the hold said
/// that it was offered.
pub(super) async fn ended_early(inner: &Arc<Inner>, made: &OfferRow) -> Result<(), Fault> {
    let found = inner.store.offer(made.organization_id, made.id).await.map_err(commit::failure)?;
    let row = found.ok_or_else(|| Fault::internal("an offer that was ended is gone"))?;
    if holds::end(inner, row.organization_id, row.hold_id).await?.is_some() {
        tell(inner, row.organization_id, offer_change(&row, &format!("offer_{}", row.status))?).await?;
    }
    Ok(())
}

/// Ends an offer without a booking: its slot is free for the next, and its patient rests for a while.
pub(super) async fn pass_on(
    inner: &Arc<Inner>,
    row: &OfferRow,
    from: &str,
    to: &'static str,
    event: &str,
) -> Result<(), Fault> {
    let now_us = inner.clock.now_us();
    let Some(ended) = inner.store.move_offer(row, from, to, None, now_us).await.map_err(commit::failure)? else {
        return Ok(());
    };
    holds::end(inner, row.organization_id, row.hold_id).await?;
    let rests_until_us = now_us + i64::from(inner.config.waitlist.rest_minutes) * 60_000_000;
    inner.store.rest(row.organization_id, row.waitlist_id, rests_until_us, now_us).await.map_err(commit::failure)?;
    tell(inner, row.organization_id, offer_change(&ended, event)?).await?;
    metrics::counter!("waitlist_offers_total", "outcome" => to).increment(1);
    inner.freed.notify_waiters();
    Ok(())
}

/// The word of the wire for a new offer's slot, kept with it.
pub(super) fn written(slot: &Slot) -> Result<String, Fault> {
    serde_json::to_string(&Offered::of(slot)).map_err(Fault::internal)
}
