//! Booking one slot for one patient.

use std::sync::Arc;

use domain::{
    custom::{check_external_id, check_pairs},
    fault::{Faults, check_note},
    id::PlanSessionId,
};
use rpc::{Code, Context, Fault};
use service::{db_error, idempotency::Begun};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{
        Appointment, BookAppointmentRequest,
        book_appointment_request::{Time, Who},
    },
    common::BookingChannel,
};

use super::{
    NOTE_MAX, blocked,
    booking::{Booking, Draft},
    record::NewAppointment,
    view,
};
use crate::{
    Inner,
    commit::{self, Attempt, begin},
    holds,
    patients::matching::{self, MatchedPatient},
    plans::on_visit,
    slots::{
        check::{self, CheckedSlot, SlotRequest},
        reserve::{Holder, reserve},
    },
    store::batch::CommitError,
    verifications::{self, Knowledge},
};

const ROUTE: &str = "BookAppointment";

/// Checks availability's rules, then books in one transaction.
pub(crate) async fn book(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: BookAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    verifications::refuse_id(ctx, &request)?;
    let plan_session = validate(ctx, &request)?;
    // Two bookings at once may both change the patient's record.
    commit::retry_stale(|| book_once(inner, ctx, &request, plan_session)).await
}

async fn book_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &BookAppointmentRequest,
    plan_session: Option<Uuid>,
) -> Result<Response<Appointment>, Fault> {
    let known = match &request.who {
        Some(Who::PatientId(id)) => Some(matching::by_id(inner, ctx, id).await?),
        _ => None,
    };
    let RequestedSlot { slot, hold, ignored } = requested_slot(inner, ctx, request).await?;
    let patient = match known {
        Some(known) => known,
        None => matched_patient(inner, ctx, request, &slot).await?,
    };
    let warnings = blocked::check(inner, ctx, &patient, &slot.time_zone, request.channel)?;
    let knowledge = verifications::knowledge(inner, ctx, request, &patient, &slot)?;
    match knowledge {
        Knowledge::Unknown if slot.requires_prior.is_some() => return Err(evaluation_required()),
        _ => require_prior_visit(inner, ctx, &slot, patient.id).await?,
    }
    let message_counts = verifications::message_counts(inner, ctx, &patient);
    let organization = ctx.organization.uuid();
    let plan = match plan_session {
        Some(session) => {
            Some(on_visit::plan_to_book(inner, organization, session, slot.slot.service, patient.id).await?)
        }
        None => None,
    };
    let id = inner.ids.uuid(inner.clock.now());
    let patient_id = patient.id;
    let new = NewAppointment {
        plan_session,
        note: request.note.clone(),
        external_id: request.external_id.clone(),
        custom: serde_json::to_string(&request.custom).map_err(Fault::internal)?,
        ..NewAppointment::of(id, patient_id, ctx, request.channel)
    };
    let booking = Booking {
        plans: plan.into_iter().collect(),
        patient: Some(patient),
        hold,
        ..Booking::new(inner, vec![Draft::New(new)])
    };
    let holder = Holder {
        owners: vec![id],
        patient: Some(patient_id),
        channel: request.channel,
        ignored,
        hold,
        stranger: knowledge != Knowledge::All,
        ..Holder::default()
    };
    let mut reservation = reserve(organization, vec![slot], holder);
    loop {
        let mut booked = booking.at(&reservation, inner.clock.now_us())?;
        booked.batch.message_counts.clone_from(&message_counts);
        let mut answer = view::to_wire_with_link(&inner.links, &booked.appointments[0]);
        answer.warnings.clone_from(&warnings);
        match commit::attempt(inner, ctx, ROUTE, booked.batch, answer).await? {
            Attempt::Answered(response) => {
                metrics::counter!("bookings_total", "outcome" => "booked").increment(1);
                return Ok(response);
            }
            Attempt::Replayed(response) => return Ok(response),
            Attempt::Refused(CommitError::MessageLimit(kind)) => {
                return Err(verifications::too_many(&kind, inner.clock.now_us()));
            }
            Attempt::Refused(error) => reservation = reservation.after(error, inner, ctx).await?,
        }
    }
}

fn validate(ctx: &Context, request: &BookAppointmentRequest) -> Result<Option<Uuid>, Fault> {
    let mut faults = Faults::new();
    faults.check(request.time.is_some(), "/slot_id", "missing", "give a slot_id or a hold_id");
    faults.check(request.who.is_some(), "/patient", "missing", "give a patient_id or a patient");
    check_note(&mut faults, "/note", &request.note, NOTE_MAX);
    check_external_id(&mut faults, "/external_id", &request.external_id);
    check_pairs(&mut faults, "/custom", &request.custom);
    let session: Option<PlanSessionId> =
        wire::convert::optional_id(&mut faults, "/plan_session_id", &request.plan_session_id);
    if let Some(Who::Patient(details)) = &request.who {
        let by_staff = ctx.visitor.is_none() && request.channel == BookingChannel::Staff as i32;
        let has_phone = by_staff || !details.phone.is_empty();
        faults.check(has_phone, "/patient/phone", "missing", "give a telephone number; only staff book without one");
        if let Err(found) = wire::convert::patient::from_wire(details, "/patient", None) {
            faults.extend(found);
        }
    }
    faults.result()?;
    Ok(session.map(PlanSessionId::uuid))
}

/// The slot of a request, and the hold that keeps it.
struct RequestedSlot {
    slot: CheckedSlot,
    hold: Option<Uuid>,
    /// Public ids of the owners whose claims count as free.
    ignored: Vec<String>,
}

async fn requested_slot(
    inner: &Inner,
    ctx: &Context,
    request: &BookAppointmentRequest,
) -> Result<RequestedSlot, Fault> {
    let (slot, hold, ignored) = match &request.time {
        Some(Time::HoldId(text)) => {
            let (id, slot) = holds::live_single(inner, ctx, text).await?;
            (slot, Some(id), vec![text.clone()])
        }
        Some(Time::SlotId(slot_id)) => (SlotRequest::new(slot_id), None, vec![]),
        None => return Err(Fault::violation("/slot_id", "missing", "give a slot_id or a hold_id")),
    };
    let slot = check::check_one(inner, ctx, slot, request.channel, ignored.clone()).await?;
    Ok(RequestedSlot { slot, hold, ignored })
}

async fn matched_patient(
    inner: &Inner,
    ctx: &Context,
    request: &BookAppointmentRequest,
    slot: &CheckedSlot,
) -> Result<MatchedPatient, Fault> {
    match &request.who {
        Some(Who::Patient(details)) => {
            matching::by_details(inner, ctx, details, &slot.time_zone, request.channel).await
        }
        _ => Err(Fault::violation("/patient", "missing", "give a patient_id or a patient")),
    }
}

/// Refuses a slot whose service requires a prior appointment of another service that the patient has not had.
pub(crate) async fn require_prior_visit(
    inner: &Inner,
    ctx: &Context,
    slot: &CheckedSlot,
    patient: Uuid,
) -> Result<(), Fault> {
    let Some(service) = slot.requires_prior else { return Ok(()) };
    let starts_at_us = slot.interval.start().as_microsecond();
    let found = inner.store.has_prior_visit(ctx.organization.uuid(), patient, service, starts_at_us).await;
    if found.map_err(db_error::fault)? {
        return Ok(());
    }
    Err(evaluation_required())
}

fn evaluation_required() -> Fault {
    let detail = "book an evaluation first, or choose a slot after the one that is booked";
    Fault::new(Code::EvaluationRequired, detail)
}
