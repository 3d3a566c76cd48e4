//! Moving displaced appointments: each patient's in one transaction, whatever becomes of the others'.

use std::{collections::BTreeMap, sync::Arc};

use careplan::plan::Event;
use domain::{
    appointment::{Actor, Transition},
    fault::Faults,
    id::{Appointment, PatientId, PlanId, PlanSessionId, ProposalId},
};
use rpc::{Code, Context, Fault, Idempotency};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{BookDisplacedRequest, BookDisplacedResponse, MovedPatient, book_displaced_request::Choice},
    convert,
};

use crate::{
    Inner,
    appointments::{
        self,
        book::prior,
        permission,
        reschedule::{self, same_service},
    },
    commit::{self, Begun, begin, finish, remember, revision},
    plans::{self, Stored, on_visit},
    rezone,
    slots::check::{self, Wanted},
    slots::reserve::{Taken, Taker, take},
    store::{batch::Batch, rows::AppointmentRow},
};

const ROUTE: &str = "BookDisplaced";
/// The part of one patient, kept under the request's key and the patient's id.
const PART: &str = "BookDisplaced/patient";
const MOVES_MAX: usize = 500;

pub(super) async fn book(
    inner: &Arc<Inner>,
    ctx: &Context,
    mut request: BookDisplacedRequest,
) -> Result<Response<BookDisplacedResponse>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    if !request.proposal_id.is_empty() {
        request.moves = remembered(inner, ctx, &request).await?;
    }
    let patients = read(inner, ctx, &request.moves).await?;
    let mut answer = BookDisplacedResponse::default();
    for (patient, moves) in patients {
        let moved = match part(inner, ctx, patient, &moves, request.channel).await {
            Ok(response) => response.into_inner(),
            // What nobody can mend by choosing otherwise ends the whole; the parts that are done are kept by their keys.
            Err(fault) if fault.code == Code::Internal || fault.code == Code::Overloaded => return Err(fault),
            Err(fault) => MovedPatient {
                appointments: vec![],
                code: fault.code.as_str().to_owned(),
                detail: fault.detail.clone(),
                ..unmoved(patient, &moves)
            },
        };
        answer.patients.push(moved);
    }
    let batch = Batch {
        organization_id: ctx.organization.uuid(),
        now_us: inner.clock.now_us(),
        idempotency: remember(ctx, ROUTE, &answer),
        ..Batch::default()
    };
    finish(inner, ctx, ROUTE, batch, answer).await
}

/// An appointment and the slot that it moves to.
struct Moving {
    row: AppointmentRow,
    slot_id: String,
}

fn unmoved(patient: Uuid, moves: &[Moving]) -> MovedPatient {
    MovedPatient {
        patient_id: PatientId::new(patient).to_string(),
        appointment_ids: moves.iter().map(|it| appointments::listed(&it.row).id).collect(),
        ..MovedPatient::default()
    }
}

/// The moves of a proposal of the last day: all of them, or those of the appointments that are named.
async fn remembered(inner: &Inner, ctx: &Context, request: &BookDisplacedRequest) -> Result<Vec<Choice>, Fault> {
    let unknown = |pointer: &str, detail: &str| Fault::violation(pointer, "unknown_reference", detail);
    let gone = || unknown("/proposal_id", "no such proposal is remembered; propose again");
    if !request.moves.is_empty() {
        return Err(Fault::violation("/moves", "unexpected", "give either proposal_id or moves"));
    }
    let id: ProposalId = request.proposal_id.parse().map_err(|_| gone())?;
    let found = inner.store.moves(ctx.organization.uuid(), id.uuid(), inner.clock.now_us()).await;
    let text = found.map_err(commit::failure)?.ok_or_else(gone)?;
    let pairs: Vec<(String, String)> = serde_json::from_str(&text).map_err(Fault::internal)?;
    // Chosen by hours of the day that are others now.
    if rezone::since(inner, ctx.organization.uuid(), id.uuid(), pairs.iter().map(|(_, slot)| slot.as_str())).await? {
        return Err(gone());
    }
    let known = |named: &String| pairs.iter().any(|(appointment, _)| appointment == named);
    if let Some(at) = request.appointment_ids.iter().position(|named| !known(named)) {
        return Err(unknown(&format!("/appointment_ids/{at}"), "the proposal moves no such appointment"));
    }
    let wanted =
        |appointment: &String| request.appointment_ids.is_empty() || request.appointment_ids.contains(appointment);
    let chosen = pairs.into_iter().filter(|(appointment, _)| wanted(appointment));
    Ok(chosen.map(|(appointment_id, slot_id)| Choice { appointment_id, slot_id }).collect())
}

/// The moves of each patient.
async fn read(inner: &Inner, ctx: &Context, moves: &[Choice]) -> Result<BTreeMap<Uuid, Vec<Moving>>, Fault> {
    let mut faults = Faults::new();
    faults.check((1..=MOVES_MAX).contains(&moves.len()), "/moves", "out_of_range", "give 1 to 500 moves");
    let (mut ids, mut patients) = (Vec::new(), BTreeMap::<Uuid, Vec<Moving>>::new());
    for (at, choice) in moves.iter().enumerate().take(MOVES_MAX) {
        let pointer = format!("/moves/{at}/appointment_id");
        let Some(id) = convert::id::<Appointment>(&mut faults, &pointer, &choice.appointment_id) else { continue };
        faults.check(!ids.contains(&id), pointer.clone(), "duplicate", "each appointment once");
        ids.push(id);
        let row = inner.store.appointment(ctx.organization.uuid(), id.uuid()).await.map_err(commit::failure)?;
        match row {
            Some(row) => {
                let moving = Moving { row, slot_id: choice.slot_id.clone() };
                patients.entry(moving.row.patient_id).or_default().push(moving);
            }
            None => faults.push(pointer, "unknown_reference", "there is no appointment with this id"),
        }
    }
    faults.result()?;
    Ok(patients)
}

/// Moves the appointments of one patient, all or none, once for each key of the request.
async fn part(
    inner: &Arc<Inner>,
    ctx: &Context,
    patient: Uuid,
    moves: &[Moving],
    channel: i32,
) -> Result<Response<MovedPatient>, Fault> {
    let own = |key: &Idempotency| Idempotency { key: format!("{}/{patient}", key.key), ..key.clone() };
    let ctx = &Context { idempotency: ctx.idempotency.as_ref().map(own), ..ctx.clone() };
    let _running = match begin(inner, ctx, PART).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    for moving in moves {
        permission::target(&moving.row, Transition::Reschedule, Actor::Staff, inner.clock.now_us())?;
        same_service(&moving.slot_id, &moving.row)?;
    }
    if moves.len() > 1 && moves.iter().any(|it| it.row.group_id.is_some()) {
        return Err(Fault::violation("/moves", "group_session", "move group sessions one at a time"));
    }
    let wanted = moves.iter().map(|it| Wanted { moving: Some(check::Moving::of(&it.row)), ..Wanted::new(&it.slot_id) });
    let wanted = wanted.collect();
    let ignored = unmoved(patient, moves).appointment_ids;
    let mut grounds = check::check(inner, ctx, wanted, "/moves", channel, ignored.clone()).await?;
    for ground in &grounds {
        prior(inner, ctx, ground, patient).await?;
    }
    let plans = plans_of(inner, ctx, moves).await?;
    let owners: Vec<Uuid> = moves.iter().map(|it| it.row.id).collect();
    let taker = Taker { owners: &owners, patient: Some(patient), expires_at_us: None, channel, ignored: &ignored };
    let mut answer = MovedPatient::default();
    let taken = take(inner, ctx, &mut grounds, taker, |batch, laid, claims| {
        answer = unmoved(patient, moves);
        let mut changed = plans.clone();
        for (moving, laid) in moves.iter().zip(laid) {
            let own: Vec<_> = claims.iter().filter(|claim| claim.owner == moving.row.id).cloned().collect();
            let row = reschedule::moved(&moving.row, laid, batch.now_us);
            let visit = on_visit::visit(&row).ok_or_else(|| Fault::internal("an appointment has no time"))?;
            for stored in changed.values_mut() {
                let session = row.plan_session_id.map(PlanSessionId::new);
                let next = session.and_then(|session| stored.plan.after(session, Event::Booked(visit)));
                stored.plan = next.unwrap_or_else(|| stored.plan.clone());
            }
            answer.appointments.push(appointments::listed(&row));
            reschedule::put(inner, batch, &moving.row, row, &own);
        }
        batch.idempotency = remember(ctx, PART, &answer);
        for (id, stored) in changed {
            if let Some(before) = plans.get(&id) {
                before.with(stored.plan, batch.now_us).put(inner, batch)?;
            }
        }
        Ok(())
    });
    match taken.await? {
        Taken::Done(position) => Ok(rpc::respond(answer, &revision(position), false)),
        Taken::Replay => commit::replayed(inner, ctx, PART).await,
    }
}

/// The plans that some of the appointments belong to.
async fn plans_of(inner: &Inner, ctx: &Context, moves: &[Moving]) -> Result<BTreeMap<PlanId, Stored>, Fault> {
    let mut plans = BTreeMap::new();
    for session in moves.iter().filter_map(|it| it.row.plan_session_id) {
        if let Some(stored) = plans::of_session(inner, ctx.organization.uuid(), session).await? {
            plans.insert(stored.plan.id, stored);
        }
    }
    Ok(plans)
}
