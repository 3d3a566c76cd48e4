//! Holds: slots kept for a while. A hold is claims with an expiry.
//!
//! A hold that a front end makes for a visitor is limited (`visitor.rs`) and belongs to its maker alone (`live.rs`). Staff list
//! all holds (`list.rs`), book them and release them.

pub(crate) mod list;
mod live;
mod visitor;

use std::sync::Arc;

use domain::{fault::Faults, id::HoldId};
use jiff::{SignedDuration, Timestamp};
use rpc::{Context, Fault, Visitor};
use service::{db_error, idempotency::Begun};
use sql::feed::Position;
use tonic::Response;
use uuid::Uuid;
use wire::booking::{CreateHoldRequest, Hold, ReleaseHoldRequest, ReleaseHoldResponse};

pub(crate) use self::live::{live, live_single};
use crate::{
    Inner,
    commit::{self, Attempt, begin, revision},
    config::{HOLD_SECONDS_MAX, Holds},
    feed::change,
    slots::{
        check::{self, CheckedSlot, MovingAppointment, SlotRequest},
        reserve::{Holder, Reservation, reserve},
    },
    store::{
        batch::{Batch, CommitError, NewChange, NewHold},
        visitors::VisitorHold,
    },
};

const ROUTE: &str = "CreateHold";
const TTL_SECONDS_DEFAULT: u32 = 600;
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
    create_with(inner, ctx, &request, id, Terms { visitor: ctx.visitor.clone(), ..Terms::default() }).await
}

/// The terms of a hold for a visitor, or of one that keeps a slot for an offer.
#[derive(Default)]
pub(crate) struct Terms {
    /// The visitor whose limits hold; `None` for staff and offers.
    pub(crate) visitor: Option<Visitor>,
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
    caller: String,
    visitor: Option<VisitorHold>,
}

impl HoldDraft {
    /// The batch that commits the hold. Pure.
    fn at(&self, reservation: &Reservation, now_us: i64) -> Batch {
        let Self { id, expires_at_us, slots, change, caller, visitor } = self;
        let created = change::hold_created(*id, &reservation.claims_of(*id), *expires_at_us);
        let hold = NewHold {
            id: *id,
            expires_at_us: *expires_at_us,
            slots: slots.clone(),
            caller: caller.clone(),
            visitor: visitor.as_ref().map(|hold| hold.visitor.clone()).unwrap_or_default(),
        };
        Batch {
            holds: vec![hold],
            visitor_hold: visitor.clone(),
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
    let (moving, with_day) = (terms.moving, terms.visitor.is_some());
    let requests =
        request.slot_ids.iter().map(|slot| SlotRequest { moving, with_day, ..SlotRequest::new(slot) }).collect();
    let slots = check::check(inner, ctx, requests, "/slot_ids", request.channel, vec![]).await?;
    if slots.len() > 1 && slots.iter().any(CheckedSlot::is_shared) {
        return Err(Fault::violation("/slot_ids", "group_session", "hold group sessions one at a time"));
    }
    let limits = inner.config.holds(ctx.organization);
    let seconds = seconds(request.ttl_seconds, terms.visitor.is_some(), limits);
    let now = inner.clock.now();
    let expires_at = now.saturating_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX);
    let expires_at_us = terms.expires_at_us.unwrap_or(expires_at.as_microsecond());
    let answer = Hold {
        id: HoldId::new(id).to_string(),
        expires_at_us,
        slots: slots.iter().map(|slot| slot.wire.clone()).collect(),
        ..Hold::default()
    };
    let slot_ids: Vec<String> = slots.iter().map(|slot| slot.slot.to_string()).collect();
    let slot_ids = serde_json::to_string(&slot_ids).map_err(Fault::internal)?;
    let visitor = terms.visitor.map(|visitor| visitor::hold(limits, ctx, &visitor, (id, expires_at_us), &slots));
    let caller = ctx.caller.clone();
    let draft = HoldDraft { id, expires_at_us, slots: slot_ids, change: terms.change, caller, visitor };
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
            Attempt::Refused(CommitError::HoldLimit(limit, until_us)) => {
                return Err(visitor::refused(limit, until_us, inner.clock.now_us()));
            }
            Attempt::Refused(error) => reservation = reservation.after(error, inner, ctx).await?,
        }
    }
}

/// How long a hold lasts. That of a visitor ends early rather than being refused, and its answer says when.
fn seconds(requested: u32, for_visitor: bool, limits: &Holds) -> u32 {
    match (requested, for_visitor) {
        (0, false) => TTL_SECONDS_DEFAULT,
        (0, true) => limits.seconds,
        (seconds, false) => seconds,
        (seconds, true) => seconds.min(limits.seconds),
    }
}

fn validate(request: &CreateHoldRequest) -> Result<(), Fault> {
    let mut faults = Faults::new();
    let count = request.slot_ids.len();
    faults.check((1..=SLOTS_MAX).contains(&count), "/slot_ids", "out_of_range", "give 1 to 60 slots");
    let is_short = request.ttl_seconds <= HOLD_SECONDS_MAX;
    faults.check(is_short, "/ttl_seconds", "out_of_range", "must lie between 1 and 1800");
    Ok(faults.result()?)
}

pub(crate) async fn release(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReleaseHoldRequest,
) -> Result<Response<ReleaseHoldResponse>, Fault> {
    let id: HoldId = request.id.parse().map_err(|_| Fault::not_found())?;
    if ctx.visitor.is_some()
        && let Some(row) = inner.store.hold(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?
    {
        live::require_own(ctx, &row)?;
    }
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
