//! Holds: slots kept for a while. A hold is a claim with an expiry, nothing more.

use std::sync::Arc;

use domain::{fault::Faults, id::HoldId};
use jiff::{SignedDuration, Timestamp};
use rpc::{Code, Context, Fault};
use sql::feed::Position;
use tonic::Response;
use uuid::Uuid;
use wire::booking::{CreateHoldRequest, Hold, ReleaseHoldRequest, ReleaseHoldResponse};

use crate::{
    Inner, feed, ground,
    store::batch::{Batch, NewChange, NewHold, Refusal},
    taking::{Taken, Taker, take},
    write::{self, Begun, begin, remember, revision},
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
    make(inner, ctx, &request, id, None, None).await
}

/// Lays a hold, until an instant that may be given, and tells one more change with it.
pub(crate) async fn make(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &CreateHoldRequest,
    id: Uuid,
    until_us: Option<i64>,
    change: Option<NewChange>,
) -> Result<Response<Hold>, Fault> {
    let mut grounds = ground::check(inner, ctx, &request.slot_ids, "/slot_ids", request.channel, vec![]).await?;
    let groups = grounds.iter().filter(|ground| ground.capacity > 1).count();
    if groups > 0 && grounds.len() > 1 {
        let detail = "hold group sessions one at a time";
        return Err(Fault::violation("/slot_ids", "group_session", detail));
    }
    let now = inner.clock.now();
    let ttl = if request.ttl_seconds == 0 { TTL_SECONDS_DEFAULT } else { request.ttl_seconds };
    let expires_at = now.saturating_add(SignedDuration::from_secs(i64::from(ttl))).unwrap_or(Timestamp::MAX);
    let expires_at_us = until_us.unwrap_or(expires_at.as_microsecond());
    let answer = Hold {
        id: HoldId::new(id).to_string(),
        expires_at_us,
        slots: grounds.iter().map(|ground| ground.shown.clone()).collect(),
    };
    let slots = serde_json::to_string(&request.slot_ids).map_err(Fault::internal)?;
    let owners = vec![id; grounds.len()];
    let taker = Taker { owners: &owners, patient: None, expires_at_us: Some(expires_at_us), channel: request.channel };
    let taken = take(inner, ctx, &mut grounds, taker, |batch, _, claims| {
        batch.holds.push(NewHold { id, expires_at_us, slots: slots.clone() });
        batch.changes.push(feed::hold_made(id, claims, expires_at_us));
        batch.changes.extend(change.clone());
        batch.idempotency = remember(ctx, ROUTE, &answer);
        Ok(())
    });
    match taken.await? {
        Taken::Done(position) => Ok(rpc::respond(answer, &revision(position), false)),
        Taken::Replay => write::replayed(inner, ctx, ROUTE).await,
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
    let groups = inner.store.hold_groups(organization, id).await.map_err(write::failure)?;
    let batch = Batch {
        organization_id: organization,
        now_us: inner.clock.now_us(),
        release: vec![id],
        drop_holds: vec![id],
        leave_group: groups.first().map(|group| feed::leave(*group)),
        changes: vec![feed::hold_released(id)],
        ..Batch::default()
    };
    match write::commit(inner, batch).await {
        Ok(position) => Ok(Some(position)),
        Err(Refusal::HoldGone) => Ok(None),
        Err(other) => Err(write::refused(other)),
    }
}

/// A live hold: its id and its slots.
///
/// # Errors
/// `hold_expired` where it has ended.
pub(crate) async fn live(inner: &Inner, ctx: &Context, text: &str) -> Result<(Uuid, Vec<String>), Fault> {
    let gone = || Fault::new(Code::HoldExpired, "the hold has expired or was used; search and hold again");
    let id: HoldId =
        text.parse().map_err(|_| Fault::violation("/hold_id", "invalid_id", "give the id of a hold: hold_…"))?;
    let row = inner.store.hold(ctx.organization.uuid(), id.uuid()).await.map_err(write::failure)?.ok_or_else(gone)?;
    if row.expires_at_us <= inner.clock.now_us() {
        return Err(gone());
    }
    Ok((id.uuid(), serde_json::from_str(&row.slots).map_err(Fault::internal)?))
}

/// The slot of a live hold of one slot, with the hold's id.
pub(crate) async fn of_one_slot(inner: &Inner, ctx: &Context, text: &str) -> Result<(Uuid, String), Fault> {
    let (id, slots) = live(inner, ctx, text).await?;
    match <[String; 1]>::try_from(slots) {
        Ok([slot]) => Ok((id, slot)),
        Err(_) => {
            Err(Fault::violation("/hold_id", "several_slots", "this hold keeps several slots; book them as a series"))
        }
    }
}
