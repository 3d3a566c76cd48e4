//! Confirm, cancel, arrive, start, complete and no-show, as the status and the time allow.

use std::sync::Arc;

use ::wire::booking::{self as wire, Appointment, TransitionAppointmentRequest};
use careplan::plan::Event;
use domain::{
    appointment::{Actor, Transition},
    fault::{Faults, check_note, check_text},
    id::{AppointmentId, PlanSessionId},
};
use rpc::{Context, Fault};
use service::idempotency::Begun;
use tonic::Response;

use super::{
    NOTE_MAX, claims_of, load,
    permission::{check_transition, is_late, parse_by},
    record, view,
};
use crate::{
    Inner,
    commit::{self, begin},
    feed::change,
    plans::on_visit,
    reasons::{self, Cause},
    slots::freed::FreedClaims,
    store::{appointments::AppointmentRow, batch::Batch},
};

const ROUTE: &str = "TransitionAppointment";

pub(crate) async fn transition(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: TransitionAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    commit::retry_stale(|| transition_once(inner, ctx, &request)).await
}

async fn transition_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &TransitionAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let (transition, event) = parse_transition(request.transition)?;
    let by = parse_by(&request.by)?;
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(commit::version_mismatch());
    }
    let now_us = inner.clock.now_us();
    let status = check_transition(&old, transition, by, now_us)?;
    let cause = match transition {
        Transition::Cancel => {
            validate_reason(request)?;
            reasons::cause(inner, old.organization_id, by, &request.reason_code).await?
        }
        _ => Cause::CLINIC,
    };
    let mut row = AppointmentRow {
        version: old.version + 1,
        status: status.as_str().to_owned(),
        updated_at_us: now_us,
        ..old.clone()
    };
    match transition {
        Transition::Confirm => row.confirmed_at_us = old.confirmed_at_us.or(Some(now_us)),
        Transition::Cancel => {
            // A patient who moved the appointment at the last moment and then cancels it is late all the same.
            let late = is_late(inner, &old, cause, now_us) || (cause.is_patients && old.rescheduled_late);
            row.cancelled_at_us = Some(now_us);
            cancel(&mut row, request, by, late);
        }
        Transition::Arrive => row.arrived_at_us = Some(now_us),
        Transition::Start => row.started_at_us = Some(now_us),
        Transition::Complete => row.completed_at_us = Some(now_us),
        Transition::NoShow => row.noshow_at_us = Some(now_us),
        Transition::Reschedule => {}
    }
    let mut batch = Batch::new(old.organization_id, now_us);
    let mut claims = claims_of(inner, &old).await?;
    if !status.claims_time() {
        row.freed_claims = Some(FreedClaims::record(inner, &old, std::mem::take(&mut claims)).await?);
        record::release(&mut batch, &old);
    }
    batch.appointments.push(row.clone());
    if let Some(event) = plan_event(inner, &row, transition, cause) {
        on_visit::add_event(inner, &mut batch, &row, event).await?;
    }
    let answer = view::to_wire_with_link(&inner.links, &row);
    batch.changes.push(change::of_appointment(&row, &claims, event));
    commit::answer(inner, ctx, ROUTE, batch, answer).await
}

fn cancel(row: &mut AppointmentRow, request: &TransitionAppointmentRequest, by: Actor, late: bool) {
    row.cancel_reason_code = Some(request.reason_code.clone());
    row.cancel_reason = (!request.reason.is_empty()).then(|| request.reason.clone());
    row.cancel_by = Some(by.as_str().to_owned());
    row.cancel_late = Some(late);
}

/// The event that a transition is to the appointment's plan.
fn plan_event(inner: &Inner, row: &AppointmentRow, transition: Transition, cause: Cause) -> Option<Event> {
    let appointment = AppointmentId::new(row.id);
    match transition {
        Transition::Cancel => {
            Some(Event::Cancelled { appointment, forfeits: row.cancel_late == Some(true) && cause.forfeits })
        }
        Transition::Complete => Some(Event::Completed(appointment)),
        Transition::NoShow => {
            let given_back =
                (!inner.config.no_show_forfeits).then(|| PlanSessionId::new(inner.ids.uuid(inner.clock.now())));
            Some(Event::Missed { appointment, given_back })
        }
        _ => None,
    }
}

fn validate_reason(request: &TransitionAppointmentRequest) -> Result<(), Fault> {
    let mut faults = Faults::new();
    check_text(&mut faults, "/reason_code", &request.reason_code, 64);
    check_note(&mut faults, "/reason", &request.reason, NOTE_MAX);
    Ok(faults.result()?)
}

/// Reads a transition, and the event that the feed has for it.
fn parse_transition(number: i32) -> Result<(Transition, &'static str), Fault> {
    Ok(match wire::Transition::try_from(number).unwrap_or_default() {
        wire::Transition::Confirm => (Transition::Confirm, "confirmed"),
        wire::Transition::Cancel => (Transition::Cancel, "cancelled"),
        wire::Transition::Arrive => (Transition::Arrive, "arrived"),
        wire::Transition::Start => (Transition::Start, "started"),
        wire::Transition::Complete => (Transition::Complete, "completed"),
        wire::Transition::NoShow => (Transition::NoShow, "no_show"),
        wire::Transition::Unspecified => {
            return Err(Fault::violation("/transition", "missing", "say which transition"));
        }
    })
}
