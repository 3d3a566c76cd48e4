//! Booking one slot for one patient.

use std::sync::Arc;

use domain::{
    appointment::Status,
    fault::{Faults, check_note},
    id::PlanSessionId,
};
use rpc::{Code, Context, Fault};
use tonic::Response;
use uuid::Uuid;
use wire::booking::{
    Appointment, BookAppointmentRequest,
    book_appointment_request::{Time, Who},
};

use super::{shown, update::NOTE_MAX, wall_clock};
use crate::{
    Inner,
    commit::{self, Begun, begin, remember, revision},
    feed::change,
    holds, manage_links,
    patients::matching,
    plans::on_visit,
    slots::check::{self, Ground, Wanted},
    slots::claims::Laid,
    slots::reserve::{Taken, Taker, take},
    store::rows::AppointmentRow,
};

const ROUTE: &str = "BookAppointment";

/// Books: availability's rules first, then one transaction.
pub(crate) async fn book(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: BookAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let plan_session = checked(&request)?;
    // Again where the patient said something of themselves in two bookings at once.
    commit::again(|| once(inner, ctx, &request, plan_session)).await
}

async fn once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &BookAppointmentRequest,
    plan_session: Option<Uuid>,
) -> Result<Response<Appointment>, Fault> {
    let known = match &request.who {
        Some(Who::PatientId(id)) => Some(matching::by_id(inner, ctx, id).await?),
        _ => None,
    };
    let Found { mut ground, hold, ignored } = ground_of(inner, ctx, request).await?;
    let patient = match (known, &request.who) {
        (Some(known), _) => known,
        (None, Some(Who::Patient(details))) => {
            matching::by_details(inner, ctx, details, &ground.time_zone, request.channel).await?
        }
        (None, _) => return Err(Fault::violation("/patient", "missing", "give a patient_id or a patient")),
    };
    prior(inner, ctx, &ground, patient.id).await?;
    let plan = match plan_session {
        Some(session) => {
            let service = ground.slot.service;
            let stored = on_visit::about_to_book(inner, ctx.organization.uuid(), session, service, patient.id).await?;
            Some((PlanSessionId::new(session), stored))
        }
        None => None,
    };
    let now = inner.clock.now();
    let id = inner.ids.uuid(now);
    let channel = request.channel;
    let taker = Taker { owners: &[id], patient: Some(patient.id), expires_at_us: None, channel, ignored: &ignored };
    let mut answer = Appointment::default();
    let taken = take(inner, ctx, std::slice::from_mut(&mut ground), taker, |batch, laid, claims| {
        let new = New { id, patient: patient.id, plan_session, note: &request.note };
        let row = row(ctx, &new, batch.now_us, &laid[0]);
        answer = shown(inner, &row);
        batch.changes.push(change::of_appointment(&row, claims, "booked"));
        batch.links.push(manage_links::link(inner, &row));
        if let Some((session, stored)) = &plan {
            on_visit::booked(inner, batch, stored, *session, &row)?;
        }
        batch.appointments.push(row);
        batch.patients.extend(patient.new.clone());
        batch.change_patients.extend(patient.changed.clone());
        batch.idempotency = remember(ctx, ROUTE, &answer);
        batch.consume_hold = hold;
        batch.release.extend(hold);
        batch.changes.extend(hold.map(change::hold_released));
        Ok(())
    });
    match taken.await? {
        Taken::Done(position) => {
            metrics::counter!("bookings_total", "outcome" => "booked").increment(1);
            Ok(rpc::respond(answer, &revision(position), false))
        }
        Taken::Replay => commit::replayed(inner, ctx, ROUTE).await,
    }
}

fn checked(request: &BookAppointmentRequest) -> Result<Option<Uuid>, Fault> {
    let mut faults = Faults::new();
    faults.check(request.time.is_some(), "/slot_id", "missing", "give a slot_id or a hold_id");
    faults.check(request.who.is_some(), "/patient", "missing", "give a patient_id or a patient");
    check_note(&mut faults, "/note", &request.note, NOTE_MAX);
    let session: Option<PlanSessionId> =
        wire::convert::optional_id(&mut faults, "/plan_session_id", &request.plan_session_id);
    if let Some(Who::Patient(details)) = &request.who
        && let Err(found) = wire::convert::patient::from_wire(details, "/patient", None)
    {
        for fault in found.into_vec() {
            faults.push(fault.pointer, fault.code, fault.detail);
        }
    }
    faults.result()?;
    Ok(session.map(PlanSessionId::uuid))
}

/// The ground of what is booked, and the hold that keeps it.
struct Found {
    ground: Ground,
    hold: Option<Uuid>,
    /// Whose claims count as free.
    ignored: Vec<String>,
}

async fn ground_of(inner: &Inner, ctx: &Context, request: &BookAppointmentRequest) -> Result<Found, Fault> {
    let (wanted, hold, ignored) = match &request.time {
        Some(Time::HoldId(text)) => {
            let (id, wanted) = holds::of_one_slot(inner, ctx, text).await?;
            (wanted, Some(id), vec![text.clone()])
        }
        Some(Time::SlotId(slot_id)) => (Wanted::new(slot_id), None, vec![]),
        None => return Err(Fault::violation("/slot_id", "missing", "give a slot_id or a hold_id")),
    };
    let grounds = check::check(inner, ctx, vec![wanted], "/slot_id", request.channel, ignored.clone()).await?;
    let ground = grounds.into_iter().next().ok_or_else(|| Fault::internal("availability left the slot out"))?;
    Ok(Found { ground, hold, ignored })
}

/// Refuses where another service must come first and has not.
pub(crate) async fn prior(inner: &Inner, ctx: &Context, ground: &Ground, patient: Uuid) -> Result<(), Fault> {
    let Some(service) = ground.requires_prior else { return Ok(()) };
    let starts_at_us = ground.visit.start().as_microsecond();
    let had = inner.store.had_before(ctx.organization.uuid(), patient, service, starts_at_us).await;
    if had.map_err(commit::failure)? {
        return Ok(());
    }
    let detail = "book an evaluation first, or choose a slot after the one that is booked";
    Err(Fault::new(Code::EvaluationRequired, detail))
}

/// What is new about an appointment, apart from its slot.
pub(crate) struct New<'a> {
    pub(crate) id: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) plan_session: Option<Uuid>,
    pub(crate) note: &'a str,
}

/// A new appointment of a slot that was laid.
pub(crate) fn row(ctx: &Context, new: &New<'_>, now_us: i64, (ground, laid): &(Ground, Laid)) -> AppointmentRow {
    AppointmentRow {
        organization_id: ctx.organization.uuid(),
        id: new.id,
        version: 1,
        status: Status::Booked.as_str().to_owned(),
        service_id: ground.slot.service.uuid(),
        practitioner_id: ground.slot.practitioner.uuid(),
        location_id: ground.slot.location.uuid(),
        room_id: laid.room,
        group_id: laid.group.as_ref().map(|(group, _)| group.id),
        starts_at_us: ground.visit.start().as_microsecond(),
        ends_at_us: ground.visit.end().as_microsecond(),
        time_zone: ground.time_zone.clone(),
        starts_local: wall_clock(ground.visit, &ground.time_zone),
        patient_id: new.patient,
        plan_session_id: new.plan_session,
        displaced: false,
        confirmed_at_us: None,
        cancel_reason_code: None,
        cancel_reason: None,
        cancel_by: None,
        cancel_late: None,
        rescheduled_late: false,
        note: new.note.to_owned(),
        previous_starts_at_us: None,
        link_generation: 0,
        created_at_us: now_us,
        updated_at_us: now_us,
    }
}
