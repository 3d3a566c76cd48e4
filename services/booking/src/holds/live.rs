//! A live hold, with the resources that it keeps for each of its slots.

use domain::{
    claim::Kind,
    id::HoldId,
    slot::Slot,
    time::{Interval, from_micros},
};
use rpc::{Code, Context, Fault, Visitor};
use service::db_error;
use uuid::Uuid;

use crate::{
    Inner,
    slots::check::{HeldResources, SlotRequest},
    store::{claims::ClaimRow, holds::HoldRow},
};

/// Refuses a visitor who has not made a hold. Staff may use every hold.
///
/// A visitor without a name is known by an address, which may change while the visitor types: then the key alone counts.
pub(super) fn require_own(ctx: &Context, row: &HoldRow) -> Result<(), Fault> {
    let Some(visitor) = &ctx.visitor else { return Ok(()) };
    let made_by: Option<Visitor> = row.visitor.parse().ok();
    let is_same = made_by.is_some_and(|maker| if maker.named { maker == *visitor } else { !visitor.named });
    if is_same && row.caller == ctx.caller { Ok(()) } else { Err(Fault::not_found()) }
}

/// A live hold: its id and its slots, each with the resources that the hold keeps for it.
///
/// # Errors
/// `hold_expired` where the hold has ended; `not_found` for a visitor who has not made it.
pub(crate) async fn live(inner: &Inner, ctx: &Context, text: &str) -> Result<(Uuid, Vec<SlotRequest>), Fault> {
    let expired = || Fault::new(Code::HoldExpired, "the hold has expired or was used; search and hold again");
    let id: HoldId =
        text.parse().map_err(|_| Fault::violation("/hold_id", "invalid_id", "give the id of a hold: hold_…"))?;
    let (organization, id) = (ctx.organization.uuid(), id.uuid());
    let row = inner.store.hold(organization, id).await.map_err(db_error::fault)?.ok_or_else(expired)?;
    require_own(ctx, &row)?;
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
