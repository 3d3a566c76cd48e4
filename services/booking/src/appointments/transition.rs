//! Confirm, cancel, arrive, start, complete, no-show: what the status allows, and no more.

use std::sync::Arc;

use ::wire::booking::{self as wire, Appointment, TransitionAppointmentRequest};
use careplan::plan::Event;
use domain::{
    appointment::{Status, Transition},
    fault::{Faults, check_text},
    id::{AppointmentId, PlanSessionId},
};
use rpc::{Code, Context, Fault};
use tonic::Response;

use super::{claims_of, load, shown, starts_at};
use crate::{
    Inner, feed,
    plans::follow,
    store::{batch::Batch, rows::AppointmentRow},
    write::{self, Begun, begin, remember, stale},
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
    write::again(|| once(inner, ctx, &request)).await
}

async fn once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &TransitionAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let (transition, event) = named(request.transition)?;
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(stale());
    }
    let now_us = inner.clock.now_us();
    let row = changed(inner, &old, transition, request, now_us)?;
    let mut batch =
        Batch { organization_id: old.organization_id, now_us, appointments: vec![row.clone()], ..Batch::default() };
    let mut claims = claims_of(inner, old.organization_id, &old).await?;
    if !row.status.parse::<Status>().is_ok_and(Status::claims_time) {
        claims.clear();
        batch.release.push(old.id);
        batch.leave_group = old.group_id.map(feed::leave);
    }
    let appointment = AppointmentId::new(row.id);
    let followed = match transition {
        Transition::Cancel => Some(Event::Cancelled { appointment, forfeits: forfeits(inner, &row) }),
        Transition::Complete => Some(Event::Completed(appointment)),
        Transition::NoShow => {
            let given_back =
                (!inner.config.no_show_forfeits).then(|| PlanSessionId::new(inner.ids.uuid(inner.clock.now())));
            Some(Event::Missed { appointment, given_back })
        }
        _ => None,
    };
    if let Some(event) = followed {
        follow::add(inner, &mut batch, &row, event).await?;
    }
    let answer = shown(inner, &row);
    batch.changes.push(feed::appointment_change(&row, &claims, event));
    batch.idempotency = remember(ctx, ROUTE, &answer);
    write::finish(inner, ctx, ROUTE, batch, answer).await
}

/// The status after a transition, refused where the status before does not allow it.
pub(crate) fn target(row: &AppointmentRow, transition: Transition) -> Result<Status, Fault> {
    let status: Status = row.status.parse().map_err(Fault::internal)?;
    transition.from(status).ok_or_else(|| {
        let allowed: Vec<&str> = status.allowed().into_iter().map(Transition::as_str).collect();
        let may = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
        let detail = format!("an appointment that is {status} allows {may}, not {}", transition.as_str());
        Fault::new(Code::InvalidTransition, detail).with("allowed", allowed.join(","))
    })
}

fn changed(
    inner: &Inner,
    old: &AppointmentRow,
    transition: Transition,
    request: &TransitionAppointmentRequest,
    now_us: i64,
) -> Result<AppointmentRow, Fault> {
    let status = target(old, transition)?;
    let mut row = AppointmentRow {
        version: old.version + 1,
        status: status.as_str().to_owned(),
        updated_at_us: now_us,
        ..old.clone()
    };
    match transition {
        Transition::Confirm => row.confirmed_at_us = old.confirmed_at_us.or(Some(now_us)),
        Transition::NoShow if now_us < old.starts_at_us => {
            let detail = "a visit that has not begun cannot be missed yet; cancel it instead";
            return Err(Fault::new(Code::InvalidTransition, detail));
        }
        Transition::Cancel => {
            let mut faults = Faults::new();
            check_text(&mut faults, "/reason_code", &request.reason_code, 64);
            faults.check(request.reason.chars().count() <= 2000, "/reason", "too_long", "at most 2000 characters");
            faults.result()?;
            row.cancel_reason_code = Some(request.reason_code.clone());
            row.cancel_reason = wire_text(&request.reason);
            row.cancel_by = Some(if request.by.is_empty() { "staff".to_owned() } else { request.by.clone() });
            row.cancel_late = Some(is_late(inner, old, now_us));
        }
        _ => {}
    }
    Ok(row)
}

/// Whether a cancellation now would come within the policy's late window.
pub(crate) fn is_late(inner: &Inner, row: &AppointmentRow, now_us: i64) -> bool {
    let notice = starts_at(row).as_microsecond() - now_us;
    notice < i64::from(inner.config.late_cancellation_minutes) * 60_000_000
}

/// Whether a session is used up by its cancellation: late, and the patient's doing. FHIR's reasons of the patient begin
/// with `pat` ([value set](https://hl7.org/fhir/R4/valueset-appointment-cancellation-reason.html)).
fn forfeits(inner: &Inner, row: &AppointmentRow) -> bool {
    let patients = row.cancel_by.as_deref() == Some("patient")
        || row.cancel_reason_code.as_deref().is_some_and(|code| code.starts_with("pat"));
    inner.config.late_cancellation_forfeits && row.cancel_late == Some(true) && patients
}

fn wire_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
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
