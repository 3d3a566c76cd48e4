//! Moving an appointment to another slot: the new time is claimed and the old one freed in one transaction.

use std::sync::Arc;

use domain::{appointment::Transition, id::AppointmentId, slot::Slot};
use rpc::{Context, Fault};
use service::idempotency::Begun;
use tonic::Response;
use wire::booking::{Appointment, RescheduleAppointmentRequest};

use super::{
    book::require_prior_visit,
    booking::{Booking, Draft},
    load,
    permission::{check_transition, is_late, parse_by},
    view,
};
use crate::{
    Inner,
    commit::{self, Attempt, begin},
    holds,
    plans::stored,
    reasons,
    slots::{
        check::{self, MovingAppointment, SlotRequest},
        reserve::{Holder, reserve},
    },
    store::appointments::AppointmentRow,
};

const ROUTE: &str = "RescheduleAppointment";

/// Moves an appointment, which keeps its length; with a hold, to the slot that the hold keeps.
pub(crate) async fn reschedule(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RescheduleAppointmentRequest,
    hold_id: Option<String>,
) -> Result<Response<Appointment>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    commit::retry_stale(|| reschedule_once(inner, ctx, &request, hold_id.as_deref())).await
}

async fn reschedule_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &RescheduleAppointmentRequest,
    hold_id: Option<&str>,
) -> Result<Response<Appointment>, Fault> {
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(commit::version_mismatch());
    }
    let (by, now_us) = (parse_by(&request.by)?, inner.clock.now_us());
    check_transition(&old, Transition::Reschedule, by, now_us)?;
    let cause = reasons::cause(inner, old.organization_id, by, &request.reason_code).await?;
    // A patient who accepts a time that the clinic offers gives nothing up at the clinic's cost.
    let late = hold_id.is_none() && is_late(inner, &old, cause, now_us);
    require_same_service(&request.slot_id, &old)?;
    let (hold, slot) = match hold_id {
        Some(text) => holds::live_single(inner, ctx, text).await.map(|(id, slot)| (Some(id), slot))?,
        None => (None, SlotRequest::new(&request.slot_id)),
    };
    let slot = SlotRequest { moving: Some(MovingAppointment::of(&old)), ..slot };
    let ignored: Vec<String> =
        hold_id.map(str::to_owned).into_iter().chain([AppointmentId::new(old.id).to_string()]).collect();
    let slot = check::check_one(inner, ctx, slot, request.channel, ignored.clone()).await?;
    require_prior_visit(inner, ctx, &slot, old.patient_id).await?;
    let plan = match old.plan_session_id {
        Some(session) => stored::of_session(inner, old.organization_id, session).await?,
        None => None,
    };
    let holder = Holder {
        owners: vec![old.id],
        patient: Some(old.patient_id),
        channel: request.channel,
        ignored,
        hold,
        // A link is the front end's that booked, too, which may have proved nothing.
        stranger: ctx.visitor.is_some() && !slot.needling,
        ..Holder::default()
    };
    let mut reservation = reserve(old.organization_id, vec![slot], holder);
    let draft = Draft::Moved { from: Box::new(old), late };
    let booking = Booking { plans: plan.into_iter().collect(), hold, ..Booking::new(inner, vec![draft]) };
    loop {
        let booked = booking.at(&reservation, inner.clock.now_us())?;
        let answer = view::to_wire_with_link(&inner.links, &booked.appointments[0]);
        match commit::attempt(inner, ctx, ROUTE, booked.batch, answer).await? {
            Attempt::Answered(response) | Attempt::Replayed(response) => return Ok(response),
            Attempt::Refused(error) => reservation = reservation.after(error, inner, ctx).await?,
        }
    }
}

/// Refuses a slot of another service than the appointment's own.
pub(crate) fn require_same_service(slot_id: &str, old: &AppointmentRow) -> Result<(), Fault> {
    // A malformed slot id is refused when the slot is checked.
    let is_other = slot_id.parse::<Slot>().is_ok_and(|slot| slot.service.uuid() != old.service_id);
    if is_other {
        return Err(Fault::violation("/slot_id", "other_service", "choose a slot of the appointment's own service"));
    }
    Ok(())
}
