//! Confirm, cancel, arrive, start, complete, no-show: what the status and the time allow, and no more.

use std::sync::Arc;

use ::wire::booking::{self as wire, Appointment, TransitionAppointmentRequest};
use careplan::plan::Event;
use domain::{
    appointment::{Status, Transition},
    fault::{Faults, check_note, check_text},
    id::{AppointmentId, PlanSessionId},
};
use rpc::{Context, Fault};
use tonic::Response;

use super::{
    claims_of, load,
    permission::{by, is_late, target},
    shown,
    update::NOTE_MAX,
};
use crate::{
    Inner,
    commit::{self, Begun, begin, remember, stale},
    feed::change,
    plans::on_visit,
    reasons::{self, Cause},
    store::{batch::Batch, rows::AppointmentRow},
};

const ROUTE: &str = "TransitionAppointment";

pub(crate) async fn transition(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: TransitionAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    commit::again(|| once(inner, ctx, &request)).await
}

async fn once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &TransitionAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let (transition, event) = named(request.transition)?;
    let by = by(&request.by)?;
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(stale());
    }
    let now_us = inner.clock.now_us();
    let status = target(&old, transition, by, now_us)?;
    let cause = match transition {
        Transition::Cancel => {
            checked(request)?;
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
            row.cancel_reason_code = Some(request.reason_code.clone());
            row.cancel_reason = (!request.reason.is_empty()).then(|| request.reason.clone());
            row.cancel_by = Some(by.as_str().to_owned());
            // Who moved a visit away at the last moment and then calls it off has dodged nothing.
            let late = is_late(inner, &old, cause, now_us) || (cause.is_patients && old.rescheduled_late);
            row.cancel_late = Some(late);
        }
        _ => {}
    }
    let mut batch =
        Batch { organization_id: old.organization_id, now_us, appointments: vec![row.clone()], ..Batch::default() };
    let mut claims = claims_of(inner, old.organization_id, &old).await?;
    if !row.status.parse::<Status>().is_ok_and(Status::claims_time) {
        claims.clear();
        batch.release.push(old.id);
        batch.leave_group = old.group_id.map(change::leave_group);
    }
    let appointment = AppointmentId::new(row.id);
    let followed = match transition {
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
    };
    if let Some(event) = followed {
        on_visit::add(inner, &mut batch, &row, event).await?;
    }
    let answer = shown(inner, &row);
    batch.changes.push(change::of_appointment(&row, &claims, event));
    batch.idempotency = remember(ctx, ROUTE, &answer);
    commit::finish(inner, ctx, ROUTE, batch, answer).await
}

fn checked(request: &TransitionAppointmentRequest) -> Result<(), Fault> {
    let mut faults = Faults::new();
    check_text(&mut faults, "/reason_code", &request.reason_code, 64);
    check_note(&mut faults, "/reason", &request.reason, NOTE_MAX);
    Ok(faults.result()?)
}

fn named(number: i32) -> Result<(Transition, &'static str), Fault> {
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
