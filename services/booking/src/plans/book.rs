//! Booking a series: the appointments of every session and the plan in one transaction. A session that has an appointment
//! already moves it.

use std::sync::Arc;

use domain::{
    appointment::{Actor, Transition},
    fault::Faults,
    id::{Appointment, AppointmentId, PlanSession, PlanSessionId},
    slot::Slot,
};
use prost::Message;
use rpc::{Code, Context, Fault};
use service::idempotency::Begun;
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{self as wire_booking, BookPlanRequest, SeriesConflict, SlotTaken, book_plan_request::Choice},
    convert,
};

use super::{
    on_visit,
    propose::{self, SeriesQuery},
    stored::{StoredPlan, load},
    view,
};
use crate::{
    Inner,
    appointments::{
        self,
        book::require_prior_visit,
        booking::{Booking, Draft},
        permission,
        record::NewAppointment,
    },
    commit::{self, Attempt, begin},
    holds,
    slots::{
        check::{self, CheckedSlot, MovingAppointment, SlotRequest},
        reserve::{Holder, reserve},
    },
    store::appointments::AppointmentRow,
};

const ROUTE: &str = "BookPlan";
const SESSIONS_MAX: usize = 60;

/// A session to book and, where it has one, the appointment that moves.
struct ChosenSession {
    id: PlanSessionId,
    old: Option<AppointmentRow>,
}

pub(crate) async fn book(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: BookPlanRequest,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    commit::retry_stale(|| book_once(inner, ctx, request.clone())).await
}

async fn book_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    mut request: BookPlanRequest,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let stored = load(inner, ctx, &request.id).await?;
    let (mut stretch_days, mut prefer) = (0, None);
    if !request.proposal_id.is_empty() {
        if !request.sessions.is_empty() {
            return Err(Fault::violation("/sessions", "unexpected", "give either proposal_id or sessions"));
        }
        let proposal = propose::stored_proposal(inner, ctx, &stored.plan, &request.proposal_id).await?;
        let choice = |session: propose::ProposedSlot| Choice {
            plan_session_id: session.session,
            slot_id: session.slot,
            appointment_id: session.appointment,
        };
        request.sessions = proposal.sessions.into_iter().map(choice).collect();
        (stretch_days, prefer) = (proposal.stretch_days, proposal.prefer);
    }
    let sessions = chosen_sessions(inner, ctx, &request, &stored).await?;
    match book_sessions(inner, ctx, &request, &sessions, &stored).await {
        Err(fault) if matches!(fault.code, Code::SlotTaken | Code::SlotChanged) => {
            let repair = sessions.iter().any(|session| session.old.is_some());
            let query = SeriesQuery { limit: 1, channel: request.channel, stretch_days, prefer, repair };
            Err(series_conflict(inner, ctx, &stored, &fault, query).await)
        }
        outcome => outcome,
    }
}

/// Reads the chosen sessions.
///
/// # Errors
/// `validation_failed` for sessions that cannot be booked, `invalid_transition` for appointments that cannot move.
async fn chosen_sessions(
    inner: &Inner,
    ctx: &Context,
    request: &BookPlanRequest,
    stored: &StoredPlan,
) -> Result<Vec<ChosenSession>, Fault> {
    let ids = session_ids(request)?;
    let mut sessions = Vec::with_capacity(ids.len());
    for (at, ((id, moving), choice)) in ids.into_iter().zip(&request.sessions).enumerate() {
        let pointer = format!("/sessions/{at}/plan_session_id");
        // A malformed slot id is refused when the slots are checked.
        let old = match (moving, choice.slot_id.parse::<Slot>().ok()) {
            (Some(appointment), Some(slot)) => {
                let movable = stored.plan.may_move(id, appointment, slot.service);
                movable.map_err(|rejection| on_visit::rejected(rejection, &pointer))?;
                let row = appointments::load(inner, ctx, &choice.appointment_id).await?;
                permission::check_transition(&row, Transition::Reschedule, Actor::Staff, inner.clock.now_us())?;
                let now = (row.starts_at_us, row.practitioner_id, row.location_id);
                let is_same = now == (slot.starts_at.as_microsecond(), slot.practitioner.uuid(), slot.location.uuid());
                if is_same && !row.displaced {
                    return Err(Fault::violation(&pointer, "not_to_book", "its appointment is at this time already"));
                }
                Some(row)
            }
            (None, Some(slot)) => {
                on_visit::require_bookable(&stored.plan, id, slot.service, &pointer)?;
                None
            }
            (_, None) => None,
        };
        sessions.push(ChosenSession { id, old });
    }
    Ok(sessions)
}

/// The sessions of a request, each with the appointment that moves.
fn session_ids(request: &BookPlanRequest) -> Result<Vec<(PlanSessionId, Option<AppointmentId>)>, Fault> {
    let mut faults = Faults::new();
    let count = request.sessions.len();
    faults.check((1..=SESSIONS_MAX).contains(&count), "/sessions", "out_of_range", "give 1 to 60 sessions");
    let mut ids: Vec<(PlanSessionId, Option<AppointmentId>)> = Vec::with_capacity(count);
    for (at, choice) in request.sessions.iter().enumerate() {
        let pointer = |field: &str| format!("/sessions/{at}/{field}");
        let moving =
            convert::optional_id::<Appointment>(&mut faults, &pointer("appointment_id"), &choice.appointment_id);
        let at = pointer("plan_session_id");
        if let Some(id) = convert::id::<PlanSession>(&mut faults, &at, &choice.plan_session_id) {
            faults.check(!ids.iter().any(|(known, _)| *known == id), at, "duplicate", "each session once");
            ids.push((id, moving));
        }
    }
    faults.result()?;
    Ok(ids)
}

async fn book_sessions(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &BookPlanRequest,
    sessions: &[ChosenSession],
    stored: &StoredPlan,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let (hold, held) = match request.hold_id.as_str() {
        "" => (None, vec![]),
        text => holds::live(inner, ctx, text).await.map(|(id, held)| (Some(id), held))?,
    };
    let slots = slot_requests(request, sessions, &held);
    let moving = request.sessions.iter().map(|choice| choice.appointment_id.clone()).filter(|id| !id.is_empty());
    let ignored: Vec<String> = hold.map(|_| request.hold_id.clone()).into_iter().chain(moving).collect();
    let slots = check::check(inner, ctx, slots, "/sessions", request.channel, ignored.clone()).await?;
    let patient = stored.plan.order.patient.uuid();
    require_single_group(&slots, sessions)?;
    for slot in &slots {
        if !is_prior_in_series(&slots, slot) {
            require_prior_visit(inner, ctx, slot, patient).await?;
        }
    }
    let drafts = sessions.iter().map(|session| draft(inner, ctx, session, patient, request.channel)).collect();
    let booking = Booking { plans: vec![stored.clone()], hold, ..Booking::new(inner, drafts) };
    let holder = Holder {
        owners: booking.owners(),
        patient: Some(patient),
        channel: request.channel,
        ignored,
        hold,
        ..Holder::default()
    };
    let mut reservation = reserve(ctx.organization.uuid(), slots, holder);
    loop {
        let booked = booking.at(&reservation, inner.clock.now_us())?;
        let answer = view::to_wire(inner, &booked.plans[0]);
        match commit::attempt(inner, ctx, ROUTE, booked.batch, answer).await? {
            Attempt::Answered(response) => {
                metrics::counter!("bookings_total", "outcome" => "series").increment(1);
                return Ok(response);
            }
            Attempt::Replayed(response) => return Ok(response),
            Attempt::Refused(error) => reservation = reservation.after(error, inner, ctx).await?,
        }
    }
}

fn slot_requests(request: &BookPlanRequest, sessions: &[ChosenSession], held: &[SlotRequest]) -> Vec<SlotRequest> {
    let slots = request.sessions.iter().zip(sessions).map(|(choice, session)| {
        let held = held.iter().find(|held| held.slot_id == choice.slot_id).and_then(|held| held.held.clone());
        let moving = session.old.as_ref().map(MovingAppointment::of);
        SlotRequest { moving, held, ..SlotRequest::new(&choice.slot_id) }
    });
    slots.collect()
}

fn draft(inner: &Inner, ctx: &Context, session: &ChosenSession, patient: Uuid, channel: i32) -> Draft {
    match &session.old {
        Some(old) => Draft::Moved { from: Box::new(old.clone()), late: false },
        None => Draft::New(NewAppointment {
            plan_session: Some(session.id.uuid()),
            ..NewAppointment::of(inner.ids.uuid(inner.clock.now()), patient, ctx, channel)
        }),
    }
}

/// Refuses a group session among several: it is joined or left one at a time.
fn require_single_group(slots: &[CheckedSlot], sessions: &[ChosenSession]) -> Result<(), Fault> {
    let leaves_group = |session: &ChosenSession| session.old.as_ref().is_some_and(|old| old.group_id.is_some());
    let group = slots.iter().zip(sessions).position(|(slot, session)| slot.is_shared() || leaves_group(session));
    match group.filter(|_| slots.len() > 1) {
        Some(at) => {
            let detail = "book group sessions one at a time";
            Err(Fault::violation(&format!("/sessions/{at}/slot_id"), "group_session", detail))
        }
        None => Ok(()),
    }
}

/// Whether the prior appointment that a slot requires comes before it in the same series.
fn is_prior_in_series(slots: &[CheckedSlot], slot: &CheckedSlot) -> bool {
    slot.requires_prior.is_some_and(|service| {
        let is_prior =
            |other: &CheckedSlot| other.slot.service.uuid() == service && other.interval.end() <= slot.interval.start();
        slots.iter().any(is_prior)
    })
}

/// The fault `series_conflict` or `slot_changed`: it names the lost slots and the cheapest series now, for the same query.
async fn series_conflict(
    inner: &Inner,
    ctx: &Context,
    stored: &StoredPlan,
    fault: &Fault,
    query: SeriesQuery,
) -> Fault {
    let taken = fault.extra.as_ref().and_then(|extra| SlotTaken::decode(extra.value.as_slice()).ok());
    // The proposal is a courtesy: without it the answer is still right.
    let proposals = propose::proposals(inner, ctx, &stored.plan, query).await.unwrap_or_default();
    let conflict = SeriesConflict {
        slot_ids: taken.map(|taken| taken.slot_ids).unwrap_or_default(),
        proposal: proposals.into_iter().next(),
    };
    let (code, detail) = match fault.code {
        Code::SlotChanged => (
            Code::SlotChanged,
            "a service of this series has changed; `slot_ids` are lost, `proposal` is the best one now",
        ),
        _ => (
            Code::SeriesConflict,
            "someone else has part of this series; `slot_ids` are gone, `proposal` is the best one now",
        ),
    };
    Fault::new(code, detail).with_extra(&conflict)
}
