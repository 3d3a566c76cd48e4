//! How a plan follows the appointments of its sessions, in the same transaction.

use careplan::plan::{Event, Plan, Rejection, Reverted, Visit};
use domain::{
    id::{AppointmentId, LocationId, PatientId, PlanSessionId, PractitionerId, ServiceId},
    time::from_micros,
};
use rpc::{Code, Fault};
use uuid::Uuid;

use super::stored::{StoredPlan, of_session};
use crate::{
    Inner,
    store::{appointments::AppointmentRow, batch::Batch},
};

/// An appointment as its plan sees it; `None` where its time cannot be read.
pub(crate) fn visit(row: &AppointmentRow) -> Option<Visit> {
    Some(Visit {
        appointment: AppointmentId::new(row.id),
        starts_at: from_micros(row.starts_at_us)?,
        ends_at: from_micros(row.ends_at_us)?,
        practitioner: PractitionerId::new(row.practitioner_id),
        location: LocationId::new(row.location_id),
        on: row.starts_local.get(..10)?.parse().ok()?,
        displaced: row.displaced,
    })
}

/// The plan whose session is to be booked for a patient.
///
/// # Errors
/// `validation_failed` for an unknown session, a session of another patient, and one that cannot be booked.
pub(crate) async fn plan_to_book(
    inner: &Inner,
    organization: Uuid,
    session: Uuid,
    service: ServiceId,
    patient: Uuid,
) -> Result<StoredPlan, Fault> {
    let pointer = "/plan_session_id";
    let unknown = || Fault::violation(pointer, "unknown_reference", "there is no plan session with this id");
    let stored = of_session(inner, organization, session).await?.ok_or_else(unknown)?;
    if stored.plan.order.patient != PatientId::new(patient) {
        return Err(Fault::violation(pointer, "other_patient", "the plan is another patient's"));
    }
    require_bookable(&stored.plan, PlanSessionId::new(session), service, pointer)?;
    Ok(stored)
}

/// Refuses a session that cannot be booked with this service.
pub(crate) fn require_bookable(
    plan: &Plan,
    session: PlanSessionId,
    service: ServiceId,
    pointer: &str,
) -> Result<(), Fault> {
    plan.may_book(session, service).map_err(|rejection| rejected(rejection, pointer))
}

/// The fault for a session that may not be booked or moved.
pub(crate) fn rejected(rejection: Rejection, pointer: &str) -> Fault {
    let code = match rejection {
        Rejection::UnknownSession => "unknown_reference",
        Rejection::OtherService => "other_service",
        Rejection::NotToBook(_) => "not_to_book",
        Rejection::OtherAppointment => "other_appointment",
        Rejection::Closed(_) => "plan_closed",
    };
    Fault::violation(pointer, code, &rejection.to_string())
}

/// Adds to a batch the change that an event makes to the appointment's plan, where it has one.
pub(crate) async fn add_event(
    inner: &Inner,
    batch: &mut Batch,
    row: &AppointmentRow,
    event: Event,
) -> Result<(), Fault> {
    let Some(session) = row.plan_session_id else { return Ok(()) };
    let Some(stored) = of_session(inner, row.organization_id, session).await? else { return Ok(()) };
    match stored.plan.after(PlanSessionId::new(session), event) {
        Some(plan) => stored.with(plan, batch.now_us).put(batch, inner.config.at_risk_days),
        None => Ok(()),
    }
}

/// Adds to a batch the plan as if the last event of an appointment had not been, where the appointment has a plan.
///
/// # Errors
/// `plan_conflict` where the plan has changed since, so that it cannot be.
pub(crate) async fn revert_event(
    inner: &Inner,
    batch: &mut Batch,
    row: &AppointmentRow,
    event: Reverted,
) -> Result<(), Fault> {
    let Some(session) = row.plan_session_id else { return Ok(()) };
    let Some(stored) = of_session(inner, row.organization_id, session).await? else { return Ok(()) };
    let visit = visit(row).ok_or_else(|| Fault::internal("an appointment has no time"))?;
    let service = ServiceId::new(row.service_id);
    match stored.plan.reverted(PlanSessionId::new(session), visit, service, event) {
        Ok(Some(plan)) => stored.with(plan, batch.now_us).put(batch, inner.config.at_risk_days),
        Ok(None) => Ok(()),
        Err(contradiction) => Err(Fault::new(Code::PlanConflict, contradiction.to_string())),
    }
}
