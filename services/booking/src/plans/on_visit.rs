//! A plan follows what happens to the appointments of its sessions, in the same transaction.

use careplan::plan::{Event, Plan, Rejection, Visit};
use domain::{
    id::{AppointmentId, LocationId, PatientId, PlanSessionId, PractitionerId, ServiceId},
    time::from_micros,
};
use rpc::Fault;
use uuid::Uuid;

use super::{Stored, of_session};
use crate::{
    Inner,
    store::{batch::Batch, rows::AppointmentRow},
};

/// The visit that an appointment is, for its plan.
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

/// The plan whose session is about to be booked for a patient.
///
/// # Errors
/// Where there is no such session, it is another patient's, or it cannot be booked.
pub(crate) async fn about_to_book(
    inner: &Inner,
    organization: Uuid,
    session: Uuid,
    service: ServiceId,
    patient: Uuid,
) -> Result<Stored, Fault> {
    let pointer = "/plan_session_id";
    let unknown = || Fault::violation(pointer, "unknown_reference", "there is no plan session with this id");
    let stored = of_session(inner, organization, session).await?.ok_or_else(unknown)?;
    if stored.plan.order.patient != PatientId::new(patient) {
        return Err(Fault::violation(pointer, "other_patient", "the plan is another patient's"));
    }
    may_book(&stored.plan, PlanSessionId::new(session), service, pointer)?;
    Ok(stored)
}

/// Refuses a session that cannot be booked with this service.
pub(crate) fn may_book(plan: &Plan, session: PlanSessionId, service: ServiceId, pointer: &str) -> Result<(), Fault> {
    plan.may_book(session, service).map_err(|rejection| refused(rejection, pointer))
}

/// A session that may not be booked or moved, in public words.
pub(crate) fn refused(rejection: Rejection, pointer: &str) -> Fault {
    let code = match rejection {
        Rejection::UnknownSession => "unknown_reference",
        Rejection::OtherService => "other_service",
        Rejection::NotToBook(_) => "not_to_book",
        Rejection::OtherAppointment => "other_appointment",
        Rejection::Closed(_) => "plan_closed",
    };
    Fault::violation(pointer, code, &rejection.to_string())
}

/// Adds to a batch what a visit that is booked or moved makes of its plan.
pub(crate) fn booked(
    inner: &Inner,
    batch: &mut Batch,
    stored: &Stored,
    session: PlanSessionId,
    row: &AppointmentRow,
) -> Result<(), Fault> {
    let visit = visit(row).ok_or_else(|| Fault::internal("an appointment has no time"))?;
    match stored.plan.after(session, Event::Booked(visit)) {
        Some(plan) => stored.with(plan, batch.now_us).put(inner, batch),
        None => Ok(()),
    }
}

/// Adds to a batch what an event at an appointment makes of its plan, where it belongs to one.
pub(crate) async fn add(inner: &Inner, batch: &mut Batch, row: &AppointmentRow, event: Event) -> Result<(), Fault> {
    let Some(session) = row.plan_session_id else { return Ok(()) };
    let Some(stored) = of_session(inner, row.organization_id, session).await? else { return Ok(()) };
    match stored.plan.after(PlanSessionId::new(session), event) {
        Some(plan) => stored.with(plan, batch.now_us).put(inner, batch),
        None => Ok(()),
    }
}
