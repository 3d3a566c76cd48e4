//! Holds: slots kept for a while. A hold is a claim with an expiry, nothing more.

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
use sql::feed::Position;
use tonic::Response;
use uuid::Uuid;
use wire::booking::{CreateHoldRequest, Hold, ReleaseHoldRequest, ReleaseHoldResponse};

use crate::{
    Inner,
    commit::{self, Begun, begin, remember, revision},
    feed::change,
    slots::check::{self, Kept, Moving, Wanted},
    slots::reserve::{Taken, Taker, take},
    store::{
        batch::{Batch, NewChange, NewHold, Refusal},
        rows::ClaimRow,
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
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    checked(&request)?;
    let id = inner.ids.uuid(inner.clock.now());
    make(inner, ctx, &request, id, Terms::default()).await
}

/// What a hold for the waitlist has beside others'.
#[derive(Default)]
pub(crate) struct Terms {
    /// Until when it lasts, in place of the request's time.
    pub(crate) until_us: Option<i64>,
    /// One more change that is told with it.
    pub(crate) change: Option<NewChange>,
    /// The appointment that is to move there, and keeps its length.
    pub(crate) moving: Option<Moving>,
}

/// Lays a hold.
pub(crate) async fn make(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &CreateHoldRequest,
    id: Uuid,
    terms: Terms,
) -> Result<Response<Hold>, Fault> {
    let wanted = request.slot_ids.iter().map(|slot| Wanted { moving: terms.moving, ..Wanted::new(slot) }).collect();
    let mut grounds = check::check(inner, ctx, wanted, "/slot_ids", request.channel, vec![]).await?;
    let groups = grounds.iter().filter(|ground| ground.shared()).count();
    if groups > 0 && grounds.len() > 1 {
        let detail = "hold group sessions one at a time";
        return Err(Fault::violation("/slot_ids", "group_session", detail));
    }
    let now = inner.clock.now();
    let ttl = if request.ttl_seconds == 0 { TTL_SECONDS_DEFAULT } else { request.ttl_seconds };
    let expires_at = now.saturating_add(SignedDuration::from_secs(i64::from(ttl))).unwrap_or(Timestamp::MAX);
    let expires_at_us = terms.until_us.unwrap_or(expires_at.as_microsecond());
    let answer = Hold {
        id: HoldId::new(id).to_string(),
        expires_at_us,
        slots: grounds.iter().map(|ground| ground.shown.clone()).collect(),
    };
    let slots: Vec<String> = grounds.iter().map(|ground| ground.slot.to_string()).collect();
    let slots = serde_json::to_string(&slots).map_err(Fault::internal)?;
    let owners = vec![id; grounds.len()];
    let channel = request.channel;
    let taker = Taker { owners: &owners, patient: None, expires_at_us: Some(expires_at_us), channel, ignored: &[] };
    let taken = take(inner, ctx, &mut grounds, taker, |batch, _, claims| {
        batch.holds.push(NewHold { id, expires_at_us, slots: slots.clone() });
        batch.changes.push(change::hold_created(id, claims, expires_at_us));
        batch.changes.extend(terms.change.clone());
        batch.idempotency = remember(ctx, ROUTE, &answer);
        Ok(())
    });
    match taken.await? {
        Taken::Done(position) => Ok(rpc::respond(answer, &revision(position), false)),
        Taken::Replay => commit::replayed(inner, ctx, ROUTE).await,
    }
}

fn checked(request: &CreateHoldRequest) -> Result<(), Fault> {
    let mut faults = Faults::new();
    let count = request.slot_ids.len();
    faults.check((1..=SLOTS_MAX).contains(&count), "/slot_ids", "out_of_range", "give 1 to 60 slots");
    let in_time = request.ttl_seconds <= TTL_SECONDS_MAX;
    faults.check(in_time, "/ttl_seconds", "out_of_range", "must lie between 1 and 1800");
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

/// Ends a hold and frees its claims; `None` where it is gone already, and then nothing is written or told.
pub(crate) async fn end(inner: &Arc<Inner>, organization: Uuid, id: Uuid) -> Result<Option<Position>, Fault> {
    let groups = inner.store.hold_groups(organization, id).await.map_err(commit::failure)?;
    let batch = Batch {
        organization_id: organization,
        now_us: inner.clock.now_us(),
        release: vec![id],
        drop_holds: vec![id],
        leave_group: groups.first().map(|group| change::leave_group(*group)),
        changes: vec![change::hold_released(id)],
        ..Batch::default()
    };
    match commit::commit(inner, batch).await {
        Ok(position) => Ok(Some(position)),
        Err(Refusal::HoldGone) => Ok(None),
        Err(other) => Err(commit::refused(other)),
    }
}

/// A live hold: its id and its slots, each with all that is kept for it.
///
/// # Errors
/// `hold_expired` where it has ended.
pub(crate) async fn live(inner: &Inner, ctx: &Context, text: &str) -> Result<(Uuid, Vec<Wanted>), Fault> {
    let gone = || Fault::new(Code::HoldExpired, "the hold has expired or was used; search and hold again");
    let id: HoldId =
        text.parse().map_err(|_| Fault::violation("/hold_id", "invalid_id", "give the id of a hold: hold_…"))?;
    let organization = ctx.organization.uuid();
    let row = inner.store.hold(organization, id.uuid()).await.map_err(commit::failure)?.ok_or_else(gone)?;
    if row.expires_at_us <= inner.clock.now_us() {
        return Err(gone());
    }
    let mut claims = inner.store.claims_of(organization, id.uuid()).await.map_err(commit::failure)?;
    // A session's practitioner is the session's own.
    for place in claims.clone().iter().filter(|claim| claim.kind == Kind::Place.number()) {
        let session = inner.store.claims_of(organization, place.resource).await.map_err(commit::failure)?;
        claims.extend(session.into_iter().filter(|claim| claim.kind == Kind::Practitioner.number()));
    }
    let slots: Vec<String> = serde_json::from_str(&row.slots).map_err(Fault::internal)?;
    let kept = slots.iter().map(|text| {
        let slot = text.parse().ok()?;
        Some(Wanted { kept: Some(kept(&slot, &mut claims)?), ..Wanted::new(text) })
    });
    // Without its claims it has been let go, or ran out, at this very moment.
    Ok((id.uuid(), kept.collect::<Option<_>>().ok_or_else(gone)?))
}

/// What a hold's claims keep for one of its slots; a room and a unit are taken out, so that the next slot gets another.
fn kept(slot: &Slot, claims: &mut Vec<ClaimRow>) -> Option<Kept> {
    let (from_us, to_us) = (slot.starts_at.as_microsecond(), slot.ends_at().as_microsecond());
    let whole = |claim: &&ClaimRow| claim.starts_at_us <= from_us && to_us <= claim.ends_at_us;
    let of = |claim: &&ClaimRow, kind: Kind| claim.kind == kind.number();
    let person = |claim: &&ClaimRow| of(claim, Kind::Practitioner) && claim.resource == slot.practitioner.uuid();
    let busy = claims.iter().filter(whole).find(person)?;
    let (starts_at_us, ends_at_us) = (busy.starts_at_us, busy.ends_at_us);
    let place = claims.iter().find(|claim| of(claim, Kind::Place) && claim.starts_at_us == from_us);
    let place = place.map(|claim| claim.unit).filter(|_| slot.shared);
    let mut taken = |kind: Kind| {
        let same = |claim: &ClaimRow| (claim.starts_at_us, claim.ends_at_us) == (starts_at_us, ends_at_us);
        let at = claims.iter().position(|claim| claim.kind == kind.number() && same(claim))?;
        Some(claims.remove(at))
    };
    let (room, unit) = (taken(Kind::Room), taken(Kind::Equipment));
    Some(Kept {
        claim: Interval::new(from_micros(starts_at_us)?, from_micros(ends_at_us)?)?,
        room: room.map(|claim| claim.resource),
        unit: unit.map(|claim| (claim.resource, claim.unit)),
        place,
    })
}

/// The slot of a live hold of one slot, with the hold's id.
pub(crate) async fn of_one_slot(inner: &Inner, ctx: &Context, text: &str) -> Result<(Uuid, Wanted), Fault> {
    let (id, slots) = live(inner, ctx, text).await?;
    match <[Wanted; 1]>::try_from(slots) {
        Ok([slot]) => Ok((id, slot)),
        Err(_) => {
            Err(Fault::violation("/hold_id", "several_slots", "this hold keeps several slots; book them as a series"))
        }
    }
}
