//! Holds: slots kept for a while. A hold is claims with an expiry.

use std::sync::Arc;

use domain::{
    claim::Kind,
    fault::Faults,
    id::HoldId,
    slot::Slot,
    time::{Interval, from_micros},
};
use jiff::{SignedDuration, Timestamp};
use rpc::{Code, Context, Fault};
use service::{db_error, idempotency::Begun};
use sql::feed::Position;
use tonic::Response;
use uuid::Uuid;
use wire::booking::{CreateHoldRequest, Hold, ReleaseHoldRequest, ReleaseHoldResponse};

use crate::{
    Inner,
    commit::{self, Attempt, begin, revision},
    feed::change,
    slots::{
        check::{self, CheckedSlot, HeldResources, MovingAppointment, SlotRequest},
        reserve::{Holder, Reservation, reserve},
    },
    store::{
        batch::{Batch, CommitError, NewChange, NewHold},
        claims::ClaimRow,
    },
};

const ROUTE: &str = "CreateHold";
const TTL_SECONDS_DEFAULT: u32 = 600;
const TTL_SECONDS_MAX: u32 = 1800;
const SLOTS_MAX: usize = 60;

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreateHoldRequest,
) -> Result<Response<Hold>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    validate(&request)?;
    let id = inner.ids.uuid(inner.clock.now());
    create_with(inner, ctx, &request, id, Terms::default()).await
}

/// The terms of a hold that keeps a slot for an offer.
#[derive(Default)]
pub(crate) struct Terms {
    /// Expiry, in place of the request's duration.
    pub(crate) expires_at_us: Option<i64>,
    /// One more change, committed with the hold.
    pub(crate) change: Option<NewChange>,
    /// The appointment that is to move to the slot, and keeps its length.
    pub(crate) moving: Option<MovingAppointment>,
}

/// A new hold as data.
struct HoldDraft {
    id: Uuid,
    expires_at_us: i64,
    /// JSON of the slot ids.
    slots: String,
    change: Option<NewChange>,
}

impl HoldDraft {
    /// The batch that commits the hold. Pure.
    fn at(&self, reservation: &Reservation, now_us: i64) -> Batch {
        let Self { id, expires_at_us, slots, change } = self;
        let created = change::hold_created(*id, &reservation.claims_of(*id), *expires_at_us);
        Batch {
            holds: vec![NewHold { id: *id, expires_at_us: *expires_at_us, slots: slots.clone() }],
            changes: [created].into_iter().chain(change.clone()).collect(),
            ..reservation.batch(now_us)
        }
    }
}

/// Creates a hold with an id and terms of its own.
pub(crate) async fn create_with(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &CreateHoldRequest,
    id: Uuid,
    terms: Terms,
) -> Result<Response<Hold>, Fault> {
    let requests =
        request.slot_ids.iter().map(|slot| SlotRequest { moving: terms.moving, ..SlotRequest::new(slot) }).collect();
    let slots = check::check(inner, ctx, requests, "/slot_ids", request.channel, vec![]).await?;
    if slots.len() > 1 && slots.iter().any(CheckedSlot::is_shared) {
        return Err(Fault::violation("/slot_ids", "group_session", "hold group sessions one at a time"));
    }
    let ttl = if request.ttl_seconds == 0 { TTL_SECONDS_DEFAULT } else { request.ttl_seconds };
    let now = inner.clock.now();
    let expires_at = now.saturating_add(SignedDuration::from_secs(i64::from(ttl))).unwrap_or(Timestamp::MAX);
    let expires_at_us = terms.expires_at_us.unwrap_or(expires_at.as_microsecond());
    let answer = Hold {
        id: HoldId::new(id).to_string(),
        expires_at_us,
        slots: slots.iter().map(|slot| slot.wire.clone()).collect(),
    };
    let slot_ids: Vec<String> = slots.iter().map(|slot| slot.slot.to_string()).collect();
    let slot_ids = serde_json::to_string(&slot_ids).map_err(Fault::internal)?;
    let draft = HoldDraft { id, expires_at_us, slots: slot_ids, change: terms.change };
    let holder = Holder {
        owners: vec![id; slots.len()],
        expires_at_us: Some(expires_at_us),
        channel: request.channel,
        ..Holder::default()
    };
    let mut reservation = reserve(ctx.organization.uuid(), slots, holder);
    loop {
        let batch = draft.at(&reservation, inner.clock.now_us());
        match commit::attempt(inner, ctx, ROUTE, batch, answer.clone()).await? {
            Attempt::Answered(response) | Attempt::Replayed(response) => return Ok(response),
            Attempt::Refused(error) => reservation = reservation.after(error, inner, ctx).await?,
        }
    }
}

fn validate(request: &CreateHoldRequest) -> Result<(), Fault> {
    let mut faults = Faults::new();
    let count = request.slot_ids.len();
    faults.check((1..=SLOTS_MAX).contains(&count), "/slot_ids", "out_of_range", "give 1 to 60 slots");
    let is_short = request.ttl_seconds <= TTL_SECONDS_MAX;
    faults.check(is_short, "/ttl_seconds", "out_of_range", "must lie between 1 and 1800");
    Ok(faults.result()?)
}

pub(crate) async fn release(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReleaseHoldRequest,
) -> Result<Response<ReleaseHoldResponse>, Fault> {
    let id: HoldId = request.id.parse().map_err(|_| Fault::not_found())?;
    Ok(match end(inner, ctx.organization.uuid(), id.uuid()).await? {
        Some(position) => rpc::respond(ReleaseHoldResponse {}, &revision(position), false),
        None => Response::new(ReleaseHoldResponse {}),
    })
}

/// Ends a hold and frees its claims. `None` where the hold is gone already: then nothing is written.
pub(crate) async fn end(inner: &Arc<Inner>, organization: Uuid, id: Uuid) -> Result<Option<Position>, Fault> {
    let groups = inner.store.groups_of_hold(organization, id).await.map_err(db_error::fault)?;
    let batch = Batch {
        release: vec![id],
        drop_holds: vec![id],
        leave_group: groups.first().map(|group| change::leave_group(*group)),
        changes: vec![change::hold_released(id)],
        ..Batch::new(organization, inner.clock.now_us())
    };
    match commit::commit(inner, batch).await {
        Ok(position) => Ok(Some(position)),
        Err(CommitError::HoldGone) => Ok(None),
        Err(other) => Err(commit::refused(other)),
    }
}

/// A live hold: its id and its slots, each with the resources that the hold keeps for it.
///
/// # Errors
/// `hold_expired` where the hold has ended.
pub(crate) async fn live(inner: &Inner, ctx: &Context, text: &str) -> Result<(Uuid, Vec<SlotRequest>), Fault> {
    let expired = || Fault::new(Code::HoldExpired, "the hold has expired or was used; search and hold again");
    let id: HoldId =
        text.parse().map_err(|_| Fault::violation("/hold_id", "invalid_id", "give the id of a hold: hold_…"))?;
    let (organization, id) = (ctx.organization.uuid(), id.uuid());
    let row = inner.store.hold(organization, id).await.map_err(db_error::fault)?.ok_or_else(expired)?;
    if row.expires_at_us <= inner.clock.now_us() {
        return Err(expired());
    }
    let mut claims = inner.store.claims_of(organization, id).await.map_err(db_error::fault)?;
    // The practitioner of a group session is claimed by the session, not by the hold.
    for place in claims.clone().iter().filter(|claim| claim.kind == Kind::Place.number()) {
        let session = inner.store.claims_of(organization, place.resource).await.map_err(db_error::fault)?;
        claims.extend(session.into_iter().filter(|claim| claim.kind == Kind::Practitioner.number()));
    }
    let slots: Vec<String> = serde_json::from_str(&row.slots).map_err(Fault::internal)?;
    let requests = slots.iter().map(|text| {
        let held = take_held(&text.parse().ok()?, &mut claims)?;
        Some(SlotRequest { held: Some(held), ..SlotRequest::new(text) })
    });
    // A hold without claims was released, or expired, at this very moment.
    Ok((id, requests.collect::<Option<_>>().ok_or_else(expired)?))
}

/// The slot of a live hold of one slot, with the hold's id.
pub(crate) async fn live_single(inner: &Inner, ctx: &Context, text: &str) -> Result<(Uuid, SlotRequest), Fault> {
    let (id, slots) = live(inner, ctx, text).await?;
    match <[SlotRequest; 1]>::try_from(slots) {
        Ok([slot]) => Ok((id, slot)),
        Err(_) => {
            Err(Fault::violation("/hold_id", "several_slots", "this hold keeps several slots; book them as a series"))
        }
    }
}

/// The resources that a hold's claims keep for one of its slots. Removes the room and the unit from the claims, so that
/// the next slot gets others.
fn take_held(slot: &Slot, claims: &mut Vec<ClaimRow>) -> Option<HeldResources> {
    let (from_us, to_us) = (slot.starts_at.as_microsecond(), slot.ends_at().as_microsecond());
    let covers = |claim: &&ClaimRow| claim.starts_at_us <= from_us && to_us <= claim.ends_at_us;
    let is_kind = |claim: &&ClaimRow, kind: Kind| claim.kind == kind.number();
    let is_practitioner =
        |claim: &&ClaimRow| is_kind(claim, Kind::Practitioner) && claim.resource == slot.practitioner.uuid();
    let busy = claims.iter().filter(covers).find(is_practitioner)?;
    let (starts_at_us, ends_at_us) = (busy.starts_at_us, busy.ends_at_us);
    let place = claims.iter().find(|claim| is_kind(claim, Kind::Place) && claim.starts_at_us == from_us);
    let place = place.map(|claim| claim.unit).filter(|_| slot.shared);
    let mut remove = |kind: Kind| {
        let is_same = |claim: &ClaimRow| (claim.starts_at_us, claim.ends_at_us) == (starts_at_us, ends_at_us);
        let at = claims.iter().position(|claim| claim.kind == kind.number() && is_same(claim))?;
        Some(claims.remove(at))
    };
    let (room, unit) = (remove(Kind::Room), remove(Kind::Equipment));
    Some(HeldResources {
        busy: Interval::new(from_micros(starts_at_us)?, from_micros(ends_at_us)?)?,
        room: room.map(|claim| claim.resource),
        unit: unit.map(|claim| (claim.resource, claim.unit)),
        place,
    })
}
