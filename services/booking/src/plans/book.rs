//! Booking a series: every session's claims, appointment and change, and the plan, in one transaction. A session that has
//! an appointment already moves with it.

use std::sync::Arc;

use careplan::plan::Event;
use domain::{
    appointment::{Actor, Transition},
    fault::Faults,
    id::{Appointment, AppointmentId, PlanSession, PlanSessionId},
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

use super::{
    Stored, load, on_visit,
    propose::{self, Asked},
    shown,
};
use crate::{
    Inner,
    appointments::{
        self,
        book::{New, prior, row},
        permission, reschedule,
    },
    commit::{self, Begun, begin, remember, revision},
    feed::change,
    holds, manage_links,
    slots::check::{self, Ground, Moving, Wanted},
    slots::reserve::{Taken, Taker, take},
    store::rows::AppointmentRow,
};

const ROUTE: &str = "BookPlan";
const SESSIONS_MAX: usize = 60;

/// A session and, where it has one, the appointment that moves.
struct Chosen {
    session: PlanSessionId,
    old: Option<AppointmentRow>,
}

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
    let (mut stretch_days, mut prefer) = (0, None);
    if !request.proposal_id.is_empty() {
        if !request.sessions.is_empty() {
            return Err(Fault::violation("/sessions", "unexpected", "give either proposal_id or sessions"));
        }
        let kept = propose::remembered(inner, ctx, &stored.plan, &request.proposal_id).await?;
        let choice = |it: propose::Kept| Choice {
            plan_session_id: it.session,
            slot_id: it.slot,
            appointment_id: it.appointment,
        };
        request.sessions = kept.sessions.into_iter().map(choice).collect();
        (stretch_days, prefer) = (kept.stretch_days, kept.prefer);
    }
    let chosen = chosen(inner, ctx, &request, &stored).await?;
    match lay(inner, ctx, &request, &chosen, &stored).await {
        Err(fault) if matches!(fault.code, Code::SlotTaken | Code::SlotChanged) => {
            let repair = chosen.iter().any(|chosen| chosen.old.is_some());
            let asked = Asked { limit: 1, channel: request.channel, stretch_days, prefer, repair };
            Err(conflict(inner, ctx, &stored, &fault, asked).await)
        }
        other => other,
    }
}

/// Reads what is chosen; refuses sessions that cannot be booked, and appointments that cannot move.
async fn chosen(
    inner: &Inner,
    ctx: &Context,
    request: &BookPlanRequest,
    stored: &Stored,
) -> Result<Vec<Chosen>, Fault> {
    let mut faults = Faults::new();
    let count = request.sessions.len();
    faults.check((1..=SESSIONS_MAX).contains(&count), "/sessions", "out_of_range", "give 1 to 60 sessions");
    let mut sessions: Vec<(PlanSessionId, Option<AppointmentId>)> = Vec::with_capacity(count);
    for (at, choice) in request.sessions.iter().enumerate() {
        let pointer = |field: &str| format!("/sessions/{at}/{field}");
        let moving =
            convert::optional_id::<Appointment>(&mut faults, &pointer("appointment_id"), &choice.appointment_id);
        let at = pointer("plan_session_id");
        if let Some(id) = convert::id::<PlanSession>(&mut faults, &at, &choice.plan_session_id) {
            faults.check(!sessions.iter().any(|(known, _)| *known == id), at, "duplicate", "each session once");
            sessions.push((id, moving));
        }
    }
    faults.result()?;
    let mut chosen = Vec::with_capacity(count);
    for (at, ((session, moving), choice)) in sessions.into_iter().zip(&request.sessions).enumerate() {
        let pointer = format!("/sessions/{at}/plan_session_id");
        // A malformed slot id is named as such when the slots are checked.
        let old = match (moving, choice.slot_id.parse::<Slot>().ok()) {
            (Some(appointment), Some(slot)) => {
                let movable = stored.plan.may_move(session, appointment, slot.service);
                movable.map_err(|rejection| on_visit::refused(rejection, &pointer))?;
                let row = appointments::load(inner, ctx, &choice.appointment_id).await?;
                permission::target(&row, Transition::Reschedule, Actor::Staff, inner.clock.now_us())?;
                let there = (row.starts_at_us, row.practitioner_id, row.location_id);
                let same = there == (slot.starts_at.as_microsecond(), slot.practitioner.uuid(), slot.location.uuid());
                if same && !row.displaced {
                    return Err(Fault::violation(&pointer, "not_to_book", "its appointment is at this time already"));
                }
                Some(row)
            }
            (None, Some(slot)) => {
                on_visit::may_book(&stored.plan, session, slot.service, &pointer)?;
                None
            }
            (_, None) => None,
        };
        chosen.push(Chosen { session, old });
    }
    Ok(chosen)
}

async fn lay(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &BookPlanRequest,
    chosen: &[Chosen],
    stored: &Stored,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let (hold, held) = match request.hold_id.as_str() {
        "" => (None, vec![]),
        text => holds::live(inner, ctx, text).await.map(|(id, held)| (Some(id), held))?,
    };
    let wanted = request.sessions.iter().zip(chosen).map(|(choice, chosen)| {
        let kept = held.iter().find(|held| held.slot_id == choice.slot_id).and_then(|held| held.kept.clone());
        let moving = chosen.old.as_ref().map(Moving::of);
        Wanted { slot_id: choice.slot_id.clone(), moving, kept }
    });
    let wanted = wanted.collect();
    let moving = request.sessions.iter().map(|choice| choice.appointment_id.clone()).filter(|id| !id.is_empty());
    let ignored: Vec<String> = hold.map(|_| request.hold_id.clone()).into_iter().chain(moving).collect();
    let channel = request.channel;
    let mut grounds = check::check(inner, ctx, wanted, "/sessions", channel, ignored.clone()).await?;
    let patient = stored.plan.order.patient.uuid();
    alone(&grounds, chosen)?;
    for ground in &grounds {
        if !comes_before(&grounds, ground) {
            prior(inner, ctx, ground, patient).await?;
        }
    }
    let now = inner.clock.now();
    let owner = |chosen: &Chosen| chosen.old.as_ref().map_or_else(|| inner.ids.uuid(now), |old| old.id);
    let owners: Vec<Uuid> = chosen.iter().map(owner).collect();
    let taker = Taker { owners: &owners, patient: Some(patient), expires_at_us: None, channel, ignored: &ignored };
    let mut answer = wire_booking::Plan::default();
    let taken = take(inner, ctx, &mut grounds, taker, |batch, laid, claims| {
        let mut plan = stored.plan.clone();
        for ((owner, chosen), laid) in owners.iter().zip(chosen).zip(laid) {
            let own: Vec<_> = claims.iter().filter(|claim| claim.owner == *owner).cloned().collect();
            let row = match &chosen.old {
                Some(old) => reschedule::moved(old, laid, batch.now_us),
                None => {
                    let new = New { id: *owner, patient, plan_session: Some(chosen.session.uuid()), note: "" };
                    row(ctx, &new, batch.now_us, laid)
                }
            };
            let visit = on_visit::visit(&row).ok_or_else(|| Fault::internal("an appointment has no time"))?;
            plan = plan.after(chosen.session, Event::Booked(visit)).unwrap_or(plan);
            match &chosen.old {
                Some(old) => reschedule::put(inner, batch, old, row, &own),
                None => {
                    batch.changes.push(change::of_appointment(&row, &own, "booked"));
                    batch.links.push(manage_links::link(inner, &row));
                    batch.appointments.push(row);
                }
            }
        }
        batch.consume_hold = hold;
        batch.release.extend(hold);
        batch.changes.extend(hold.map(change::hold_released));
        let next = stored.with(plan, batch.now_us);
        answer = shown(inner, &next);
        batch.idempotency = remember(ctx, ROUTE, &answer);
        next.put(inner, batch)
    });
    match taken.await? {
        Taken::Done(position) => {
            metrics::counter!("bookings_total", "outcome" => "series").increment(1);
            Ok(rpc::respond(answer, &revision(position), false))
        }
        Taken::Replay => commit::replayed(inner, ctx, ROUTE).await,
    }
}

/// Refuses a group session among others: it is joined or left one at a time.
fn alone(grounds: &[Ground], chosen: &[Chosen]) -> Result<(), Fault> {
    let left = |chosen: &Chosen| chosen.old.as_ref().is_some_and(|old| old.group_id.is_some());
    let group = grounds.iter().zip(chosen).position(|(ground, chosen)| ground.shared() || left(chosen));
    match group.filter(|_| grounds.len() > 1) {
        Some(at) => {
            let detail = "book group sessions one at a time";
            Err(Fault::violation(&format!("/sessions/{at}/slot_id"), "group_session", detail))
        }
        None => Ok(()),
    }
}

/// Whether what must come before a slot comes before it in the same series.
fn comes_before(grounds: &[Ground], ground: &Ground) -> bool {
    ground.requires_prior.is_some_and(|service| {
        let is_it = |other: &Ground| other.slot.service.uuid() == service && other.visit.end() <= ground.visit.start();
        grounds.iter().any(is_it)
    })
}

/// A `series_conflict`, or a `slot_changed`: which slots are lost, and the cheapest series now, as the lost one was asked
/// for.
async fn conflict(inner: &Inner, ctx: &Context, stored: &Stored, fault: &Fault, asked: Asked) -> Fault {
    let taken = fault.extra.as_ref().and_then(|extra| SlotTaken::decode(extra.value.as_slice()).ok());
    // The proposal is a courtesy: without it the answer is still right.
    let fresh = propose::proposals(inner, ctx, &stored.plan, asked).await.unwrap_or_default();
    let detail = SeriesConflict {
        slot_ids: taken.map(|taken| taken.slot_ids).unwrap_or_default(),
        proposal: fresh.into_iter().next(),
    };
    let (code, words) = match fault.code {
        Code::SlotChanged => (
            Code::SlotChanged,
            "a service of this series has changed; `slot_ids` are lost, `proposal` is the best one now",
        ),
        _ => (
            Code::SeriesConflict,
            "someone else has part of this series; `slot_ids` are gone, `proposal` is the best one now",
        ),
    };
    Fault::new(code, words).with_extra(&detail)
}
