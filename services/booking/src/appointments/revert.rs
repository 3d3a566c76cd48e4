//! Taking the last transition of an appointment back: the undo of the desk.

use std::sync::Arc;

use careplan::plan::Reverted;
use domain::{
    appointment::{Actor, LastTransition, REVERT_HOURS, Stamps, Status, Transition},
    time::from_micros,
};
use rpc::{Code, Context, Fault};
use service::idempotency::Begun;
use tonic::Response;
use wire::booking::{Appointment, RevertAppointmentRequest};

use super::{claims_of, load, permission, view};
use crate::{
    Inner,
    commit::{self, Attempt, begin},
    feed::change,
    plans::on_visit,
    slots::freed::Reclaim,
    store::{appointments::AppointmentRow, batch::Batch, claims::ClaimRow},
};

const ROUTE: &str = "RevertAppointment";

pub(crate) async fn revert(
    inner: &Arc<Inner>,
    ctx: &Context,
    mut request: RevertAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    // Where the plan has changed meanwhile, the write is made anew; where the appointment has, its last transition is another
    // one, which nobody asked to take back.
    if request.if_version == 0 {
        request.if_version = load(inner, ctx, &request.id).await?.version;
    }
    commit::retry_stale(|| revert_once(inner, ctx, &request)).await
}

async fn revert_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &RevertAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != old.version {
        return Err(commit::version_mismatch());
    }
    let now_us = inner.clock.now_us();
    let (status, last) = last_transition(&old, now_us)?;
    if !request.any_age && !last.is_recent(inner.clock.now()) {
        let name = last.transition.as_str();
        let detail =
            format!("the last transition, {name}, is older than {REVERT_HOURS} hours; the scope admin takes it back");
        return Err(Fault::new(Code::Forbidden, detail));
    }
    let row = row_before(&old, last, now_us);
    let mut batch = Batch { appointments: vec![row.clone()], ..Batch::new(old.organization_id, now_us) };
    if let Some(event) = plan_event(last.transition) {
        on_visit::revert_event(inner, &mut batch, &row, event).await?;
    }
    if status.claims_time() {
        let claims = claims_of(inner, &old).await?;
        let batch = publish(batch, &row, &claims);
        return commit::answer(inner, ctx, ROUTE, batch, to_wire(inner, &row, last)).await;
    }
    let slot_id = view::slot(&row).map(|slot| slot.to_string()).unwrap_or_default();
    let mut reclaim = Reclaim::of(inner, &old, slot_id).await?;
    loop {
        let mut row = row.clone();
        row.room_id = reclaim.group_room().unwrap_or(row.room_id);
        let mut batch = publish(batch.clone(), &row, reclaim.own());
        reclaim.put(&mut batch);
        match commit::attempt(inner, ctx, ROUTE, batch, to_wire(inner, &row, last)).await? {
            Attempt::Answered(response) | Attempt::Replayed(response) => return Ok(response),
            Attempt::Refused(error) => reclaim = reclaim.after(error, inner, ctx).await?,
        }
    }
}

/// The status of an appointment, and the transition that led to it.
///
/// # Errors
/// `invalid_transition` where nothing has happened to it that can be taken back.
fn last_transition(row: &AppointmentRow, now_us: i64) -> Result<(Status, LastTransition), Fault> {
    let status: Status = row.status.parse().map_err(Fault::internal)?;
    let at = |us: Option<i64>| us.and_then(from_micros);
    let stamps = Stamps {
        confirmed_at: at(row.confirmed_at_us),
        arrived_at: at(row.arrived_at_us),
        started_at: at(row.started_at_us),
        completed_at: at(row.completed_at_us),
        cancelled_at: at(row.cancelled_at_us),
        missed_at: at(row.noshow_at_us),
    };
    let last = LastTransition::of(status, &stamps).ok_or_else(|| {
        let detail =
            format!("an appointment that is {status} has no transition to take back; move it back by reschedule");
        let allowed = permission::allowed(row, status, Actor::Staff, now_us);
        Fault::new(Code::InvalidTransition, detail).with("allowed", allowed)
    })?;
    Ok((status, last))
}

/// The appointment as it was before its last transition. A `displaced` mark stays, and availability renews it.
fn row_before(old: &AppointmentRow, last: LastTransition, now_us: i64) -> AppointmentRow {
    let mut row = AppointmentRow {
        version: old.version + 1,
        status: last.before.as_str().to_owned(),
        updated_at_us: now_us,
        freed_claims: None,
        ..old.clone()
    };
    match last.transition {
        Transition::Confirm => row.confirmed_at_us = None,
        Transition::Arrive => row.arrived_at_us = None,
        Transition::Start => row.started_at_us = None,
        Transition::Complete => row.completed_at_us = None,
        Transition::NoShow => row.noshow_at_us = None,
        Transition::Cancel => {
            row.cancelled_at_us = None;
            (row.cancel_reason_code, row.cancel_reason) = (None, None);
            (row.cancel_by, row.cancel_late) = (None, None);
        }
        Transition::Reschedule => {}
    }
    row
}

/// The event of the appointment's plan that is taken back with a transition.
fn plan_event(transition: Transition) -> Option<Reverted> {
    match transition {
        Transition::Cancel => Some(Reverted::Cancelled),
        Transition::Complete => Some(Reverted::Completed),
        Transition::NoShow => Some(Reverted::Missed),
        _ => None,
    }
}

/// The batch with the change that publishes the appointment as it is.
fn publish(mut batch: Batch, row: &AppointmentRow, claims: &[ClaimRow]) -> Batch {
    batch.appointments = vec![row.clone()];
    batch.changes.push(change::of_appointment(row, claims, "reverted"));
    batch
}

fn to_wire(inner: &Inner, row: &AppointmentRow, last: LastTransition) -> Appointment {
    Appointment { reverted: last.transition.as_str().to_owned(), ..view::to_wire_with_link(&inner.links, row) }
}
