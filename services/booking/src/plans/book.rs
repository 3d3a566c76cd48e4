//! Booking a series: every session's claims, appointment and change, and the plan, in one transaction.

use std::sync::Arc;

use careplan::plan::Event;
use domain::{
    fault::Faults,
    id::{PlanSession, PlanSessionId},
    slot::Slot,
};
use prost::Message;
use rpc::{Code, Context, Fault};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{self as wire_booking, BookPlanRequest, SeriesConflict, SlotTaken, book_plan_request::Choice},
    convert,
};

use super::{Stored, follow, load, propose, shown};
use crate::{
    Inner,
    appointments::book::{New, prior, row},
    feed,
    ground::{self, Ground},
    holds, manage,
    taking::{Taken, Taker, take},
    write::{self, Begun, begin, remember, revision},
};

const ROUTE: &str = "BookPlan";
const SESSIONS_MAX: usize = 60;

pub(super) async fn book(
    inner: &Arc<Inner>,
    ctx: &Context,
    mut request: BookPlanRequest,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let stored = load(inner, ctx, &request.id).await?;
    if !request.proposal_id.is_empty() {
        if !request.sessions.is_empty() {
            return Err(Fault::violation("/sessions", "unexpected", "give either proposal_id or sessions"));
        }
        let chosen = propose::remembered(inner, ctx, &stored.plan, &request.proposal_id).await?;
        let choice = |(plan_session_id, slot_id)| Choice { plan_session_id, slot_id };
        request.sessions = chosen.into_iter().map(choice).collect();
    }
    let sessions = checked(&request)?;
    match lay(inner, ctx, &request, &sessions, &stored).await {
        Err(fault) if fault.code == Code::SlotTaken => Err(conflict(inner, ctx, &request, &stored, &fault).await),
        other => other,
    }
}

fn checked(request: &BookPlanRequest) -> Result<Vec<PlanSessionId>, Fault> {
    let mut faults = Faults::new();
    let count = request.sessions.len();
    faults.check((1..=SESSIONS_MAX).contains(&count), "/sessions", "out_of_range", "give 1 to 60 sessions");
    let mut sessions = Vec::with_capacity(count);
    for (at, choice) in request.sessions.iter().enumerate() {
        let pointer = format!("/sessions/{at}/plan_session_id");
        if let Some(id) = convert::id::<PlanSession>(&mut faults, &pointer, &choice.plan_session_id) {
            faults.check(!sessions.contains(&id), pointer, "duplicate", "each session once");
            sessions.push(id);
        }
    }
    faults.result()?;
    Ok(sessions)
}

async fn lay(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &BookPlanRequest,
    sessions: &[PlanSessionId],
    stored: &Stored,
) -> Result<Response<wire_booking::Plan>, Fault> {
    for (at, (session, choice)) in sessions.iter().zip(&request.sessions).enumerate() {
        // A malformed slot id is named as such when the slots are checked.
        if let Ok(slot) = choice.slot_id.parse::<Slot>() {
            follow::may_book(&stored.plan, *session, slot.service, &format!("/sessions/{at}/plan_session_id"))?;
        }
    }
    let slot_ids: Vec<String> = request.sessions.iter().map(|choice| choice.slot_id.clone()).collect();
    let hold = match request.hold_id.as_str() {
        "" => None,
        text => Some(holds::live(inner, ctx, text).await?.0),
    };
    let ignored = hold.map(|_| request.hold_id.clone()).into_iter().collect();
    let mut grounds = ground::check(inner, ctx, &slot_ids, "/sessions", request.channel, ignored).await?;
    let patient = stored.plan.order.patient.uuid();
    for (at, ground) in grounds.iter().enumerate() {
        if grounds.len() > 1 && ground.capacity > 1 {
            let detail = "book group sessions one at a time";
            return Err(Fault::violation(&format!("/sessions/{at}/slot_id"), "group_session", detail));
        }
        if !comes_before(&grounds, ground) {
            prior(inner, ctx, ground, patient).await?;
        }
    }
    let now = inner.clock.now();
    let owners: Vec<Uuid> = sessions.iter().map(|_| inner.ids.uuid(now)).collect();
    let taker = Taker { owners: &owners, patient: Some(patient), expires_at_us: None, channel: request.channel };
    let (mut answer, mut failed) = (wire_booking::Plan::default(), None);
    let taken = take(inner, ctx, &mut grounds, taker, |batch, laid, claims| {
        let mut plan = stored.plan.clone();
        for ((owner, session), laid) in owners.iter().zip(sessions).zip(laid) {
            let new = New { id: *owner, patient, plan_session: Some(session.uuid()), note: "" };
            let row = row(ctx, &new, batch.now_us, laid);
            let own: Vec<_> = claims.iter().filter(|claim| claim.owner == *owner).cloned().collect();
            batch.changes.push(feed::appointment_change(&row, &own, "booked"));
            batch.links.push(manage::link(inner, &row));
            let event = follow::visit(&row).map(Event::Booked);
            plan = event.and_then(|event| plan.after(*session, event)).unwrap_or(plan);
            batch.appointments.push(row);
        }
        batch.consume_hold = hold;
        batch.release.extend(hold);
        batch.changes.extend(hold.map(feed::hold_released));
        let next = stored.with(plan, batch.now_us);
        answer = shown(&next);
        batch.idempotency = remember(ctx, ROUTE, &answer);
        match next.change() {
            Ok(change) => batch.plans = vec![change],
            Err(fault) => failed = Some(fault),
        }
    });
    match taken.await? {
        _ if failed.is_some() => Err(failed.unwrap_or_else(Fault::not_found)),
        Taken::Done(position) => {
            metrics::counter!("bookings_total", "outcome" => "series").increment(1);
            Ok(rpc::respond(answer, &revision(position), false))
        }
        Taken::Replay => write::replayed(inner, ctx, ROUTE).await,
    }
}

/// Whether what must come before a slot comes before it in the same series.
fn comes_before(grounds: &[Ground], ground: &Ground) -> bool {
    ground.requires_prior.is_some_and(|service| {
        let is_it = |other: &Ground| other.slot.service.uuid() == service && other.visit.end() <= ground.visit.start();
        grounds.iter().any(is_it)
    })
}

/// A `series_conflict`: what is gone, and the cheapest series now.
async fn conflict(inner: &Inner, ctx: &Context, request: &BookPlanRequest, stored: &Stored, fault: &Fault) -> Fault {
    let taken = fault.extra.as_ref().and_then(|extra| SlotTaken::decode(extra.value.as_slice()).ok());
    // The proposal is a courtesy: without it the answer is still right.
    let fresh = propose::proposals(inner, ctx, &stored.plan, 1, request.channel).await.unwrap_or_default();
    let detail = SeriesConflict {
        slot_ids: taken.map(|taken| taken.slot_ids).unwrap_or_default(),
        proposal: fresh.into_iter().next(),
    };
    Fault::new(
        Code::SeriesConflict,
        "someone else has part of this series; `slot_ids` are gone, `proposal` is the best one now",
    )
    .with_extra(&detail)
}
