//! Moving displaced appointments: those of each patient in one transaction, independently of the other patients'.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    appointment::{Actor, Transition},
    fault::Faults,
    id::{Appointment, AppointmentId, PatientId, ProposalId},
};
use rpc::{Context, Fault, Idempotency};
use service::{db_error, idempotency::Begun};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{BookDisplacedRequest, BookDisplacedResponse, MovedPatient, book_displaced_request::Choice},
    convert,
};

use crate::{
    Inner,
    appointments::{
        book::require_prior_visit,
        booking::{Booking, Draft},
        permission,
        reschedule::require_same_service,
        view,
    },
    commit::{self, Attempt, begin},
    plans::stored,
    slots::{
        check::{self, MovingAppointment, SlotRequest},
        reserve::{Holder, reserve},
        zone_changes,
    },
    store::{appointments::AppointmentRow, batch::Batch},
};

const ROUTE: &str = "BookDisplaced";
/// The part of one patient, stored under the request's key and the patient's id.
const PATIENT_ROUTE: &str = "BookDisplaced/patient";
const MOVES_MAX: usize = 500;

pub(crate) async fn book(
    inner: &Arc<Inner>,
    ctx: &Context,
    mut request: BookDisplacedRequest,
) -> Result<Response<BookDisplacedResponse>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    if !request.proposal_id.is_empty() {
        request.moves = proposed_moves(inner, ctx, &request).await?;
    }
    let patients = moves_by_patient(inner, ctx, &request.moves).await?;
    let mut answer = BookDisplacedResponse::default();
    for (patient, moves) in patients {
        let moved = match move_patient(inner, ctx, patient, &moves, request.channel).await {
            Ok(response) => response.into_inner(),
            // No other choice of the caller mends these. The parts that are done are stored under their keys.
            Err(fault) if fault.code.is_failure() => return Err(fault),
            Err(fault) => MovedPatient {
                code: fault.code.as_str().to_owned(),
                detail: fault.detail.clone(),
                ..unmoved(patient, &moves)
            },
        };
        answer.patients.push(moved);
    }
    let batch = Batch::new(ctx.organization.uuid(), inner.clock.now_us());
    commit::answer(inner, ctx, ROUTE, batch, answer).await
}

/// An appointment and the slot that it moves to.
struct Move {
    row: AppointmentRow,
    slot_id: String,
}

fn unmoved(patient: Uuid, moves: &[Move]) -> MovedPatient {
    MovedPatient {
        patient_id: PatientId::new(patient).to_string(),
        appointment_ids: moves.iter().map(|it| AppointmentId::new(it.row.id).to_string()).collect(),
        ..MovedPatient::default()
    }
}

/// The moves of a proposal of the last day: all of them, or those of the appointments that the request names.
async fn proposed_moves(inner: &Inner, ctx: &Context, request: &BookDisplacedRequest) -> Result<Vec<Choice>, Fault> {
    let unknown = |pointer: &str, detail: &str| Fault::violation(pointer, "unknown_reference", detail);
    let expired = || unknown("/proposal_id", "no such proposal is remembered; propose again");
    if !request.moves.is_empty() {
        return Err(Fault::violation("/moves", "unexpected", "give either proposal_id or moves"));
    }
    let id: ProposalId = request.proposal_id.parse().map_err(|_| expired())?;
    let organization = ctx.organization.uuid();
    let found = inner.store.displaced_proposal(organization, id.uuid(), inner.clock.now_us()).await;
    let text = found.map_err(db_error::fault)?.ok_or_else(expired)?;
    let pairs: Vec<(String, String)> = serde_json::from_str(&text).map_err(Fault::internal)?;
    let slots = pairs.iter().map(|(_, slot)| slot.as_str());
    if zone_changes::changed_since(inner, organization, id.uuid(), slots).await? {
        return Err(expired());
    }
    let is_proposed = |named: &String| pairs.iter().any(|(appointment, _)| appointment == named);
    if let Some(at) = request.appointment_ids.iter().position(|named| !is_proposed(named)) {
        return Err(unknown(&format!("/appointment_ids/{at}"), "the proposal moves no such appointment"));
    }
    let is_named =
        |appointment: &String| request.appointment_ids.is_empty() || request.appointment_ids.contains(appointment);
    let chosen = pairs.into_iter().filter(|(appointment, _)| is_named(appointment));
    Ok(chosen.map(|(appointment_id, slot_id)| Choice { appointment_id, slot_id }).collect())
}

async fn moves_by_patient(
    inner: &Inner,
    ctx: &Context,
    choices: &[Choice],
) -> Result<BTreeMap<Uuid, Vec<Move>>, Fault> {
    let mut faults = Faults::new();
    faults.check((1..=MOVES_MAX).contains(&choices.len()), "/moves", "out_of_range", "give 1 to 500 moves");
    let (mut ids, mut patients) = (Vec::new(), BTreeMap::<Uuid, Vec<Move>>::new());
    for (at, choice) in choices.iter().enumerate().take(MOVES_MAX) {
        let pointer = format!("/moves/{at}/appointment_id");
        let Some(id) = convert::id::<Appointment>(&mut faults, &pointer, &choice.appointment_id) else { continue };
        faults.check(!ids.contains(&id), pointer.clone(), "duplicate", "each appointment once");
        ids.push(id);
        let row = inner.store.appointment(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
        match row {
            Some(row) => {
                let slot_id = choice.slot_id.clone();
                patients.entry(row.patient_id).or_default().push(Move { row, slot_id });
            }
            None => faults.push(pointer, "unknown_reference", "there is no appointment with this id"),
        }
    }
    faults.result()?;
    Ok(patients)
}

/// Moves the appointments of one patient, all or none, once for each key of the request.
async fn move_patient(
    inner: &Arc<Inner>,
    ctx: &Context,
    patient: Uuid,
    moves: &[Move],
    channel: i32,
) -> Result<Response<MovedPatient>, Fault> {
    let own_key = |key: &Idempotency| Idempotency { key: format!("{}/{patient}", key.key), ..key.clone() };
    let ctx = &Context { idempotency: ctx.idempotency.as_ref().map(own_key), ..ctx.clone() };
    let _guard = match begin(inner, ctx, PATIENT_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    commit::retry_stale(|| move_once(inner, ctx, patient, moves, channel)).await
}

async fn move_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    patient: Uuid,
    moves: &[Move],
    channel: i32,
) -> Result<Response<MovedPatient>, Fault> {
    for it in moves {
        permission::check_transition(&it.row, Transition::Reschedule, Actor::Staff, inner.clock.now_us())?;
        require_same_service(&it.slot_id, &it.row)?;
    }
    if moves.len() > 1 && moves.iter().any(|it| it.row.group_id.is_some()) {
        return Err(Fault::violation("/moves", "group_session", "move group sessions one at a time"));
    }
    let slots = moves
        .iter()
        .map(|it| SlotRequest { moving: Some(MovingAppointment::of(&it.row)), ..SlotRequest::new(&it.slot_id) });
    let unmoved = unmoved(patient, moves);
    let ignored = unmoved.appointment_ids.clone();
    let slots = check::check(inner, ctx, slots.collect(), "/moves", channel, ignored.clone()).await?;
    for slot in &slots {
        require_prior_visit(inner, ctx, slot, patient).await?;
    }
    let organization = ctx.organization.uuid();
    let sessions = moves.iter().filter_map(|it| it.row.plan_session_id);
    let plans = stored::of_sessions(inner, organization, sessions).await?;
    let drafts = moves.iter().map(|it| Draft::Moved { from: Box::new(it.row.clone()), late: false });
    let booking = Booking { plans, ..Booking::new(inner, drafts.collect()) };
    let holder = Holder { owners: booking.owners(), patient: Some(patient), channel, ignored, ..Holder::default() };
    let mut reservation = reserve(organization, slots, holder);
    loop {
        let booked = booking.at(&reservation, inner.clock.now_us())?;
        let appointments = booked.appointments.iter().map(view::to_wire).collect();
        let answer = MovedPatient { appointments, ..unmoved.clone() };
        match commit::attempt(inner, ctx, PATIENT_ROUTE, booked.batch, answer).await? {
            Attempt::Answered(response) | Attempt::Replayed(response) => return Ok(response),
            Attempt::Refused(error) => reservation = reservation.after(error, inner, ctx).await?,
        }
    }
}
