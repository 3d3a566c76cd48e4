//! Moving an appointment to another slot: the new time is taken and the old one freed together, or nothing changes.

use std::sync::Arc;

use domain::{
    appointment::{Status, Transition},
    id::{AppointmentId, PlanSessionId},
    slot::Slot,
};
use rpc::{Context, Fault};
use tonic::Response;
use wire::booking::{Appointment, RescheduleAppointmentRequest};

use super::{
    book::prior,
    load,
    permission::{by, is_late, target},
    shown, wall_clock,
};
use crate::{
    Inner,
    commit::{self, Begun, begin, remember, revision, stale},
    feed::change,
    holds, manage_links,
    plans::{self, on_visit},
    reasons,
    slots::check::{self, Ground, Moving, Wanted},
    slots::claims::Laid,
    slots::reserve::{Taken, Taker, take},
    store::{
        batch::Batch,
        rows::{AppointmentRow, ClaimRow},
    },
};

const ROUTE: &str = "RescheduleAppointment";

/// Moves an appointment, which keeps its length; with a hold, to the slot that it keeps.
pub(crate) async fn reschedule(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RescheduleAppointmentRequest,
    hold: Option<String>,
) -> Result<Response<Appointment>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    commit::again(|| once(inner, ctx, &request, hold.as_deref())).await
}

async fn once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &RescheduleAppointmentRequest,
    hold: Option<&str>,
) -> Result<Response<Appointment>, Fault> {
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(stale());
    }
    let (by, now_us) = (by(&request.by)?, inner.clock.now_us());
    target(&old, Transition::Reschedule, by, now_us)?;
    let cause = reasons::cause(inner, old.organization_id, by, &request.reason_code).await?;
    // Whoever takes a time that the clinic offers gives nothing up at the clinic's cost.
    let late = hold.is_none() && is_late(inner, &old, cause, now_us);
    same_service(&request.slot_id, &old)?;
    let (held, wanted) = match hold {
        Some(text) => holds::of_one_slot(inner, ctx, text).await.map(|(id, wanted)| (Some(id), wanted))?,
        None => (None, Wanted::new(&request.slot_id)),
    };
    let wanted = Wanted { moving: Some(Moving::of(&old)), ..wanted };
    let ignored: Vec<String> =
        hold.map(str::to_owned).into_iter().chain([AppointmentId::new(old.id).to_string()]).collect();
    let channel = request.channel;
    let mut grounds = check::check(inner, ctx, vec![wanted], "/slot_id", channel, ignored.clone()).await?;
    prior(inner, ctx, &grounds[0], old.patient_id).await?;
    let (owners, patient) = ([old.id], Some(old.patient_id));
    let taker = Taker { owners: &owners, patient, expires_at_us: None, channel, ignored: &ignored };
    let plan = match old.plan_session_id {
        Some(session) => plans::of_session(inner, old.organization_id, session).await?.map(|plan| (session, plan)),
        None => None,
    };
    let mut answer = Appointment::default();
    let taken = take(inner, ctx, &mut grounds, taker, |batch, laid, claims| {
        let row = moved(&old, &laid[0], batch.now_us);
        let row = AppointmentRow { rescheduled_late: late || old.rescheduled_late, ..row };
        answer = shown(inner, &row);
        if let Some((session, stored)) = &plan {
            on_visit::booked(inner, batch, stored, PlanSessionId::new(*session), &row)?;
        }
        put(inner, batch, &old, row, claims);
        batch.idempotency = remember(ctx, ROUTE, &answer);
        batch.consume_hold = held;
        batch.release.extend(held);
        batch.changes.extend(held.map(change::hold_released));
        Ok(())
    });
    match taken.await? {
        Taken::Done(position) => Ok(rpc::respond(answer, &revision(position), false)),
        Taken::Replay => commit::replayed(inner, ctx, ROUTE).await,
    }
}

/// An appointment as it is at another slot that was laid.
pub(crate) fn moved(old: &AppointmentRow, (ground, laid): &(Ground, Laid), now_us: i64) -> AppointmentRow {
    AppointmentRow {
        version: old.version + 1,
        status: Status::Booked.as_str().to_owned(),
        practitioner_id: ground.slot.practitioner.uuid(),
        location_id: ground.slot.location.uuid(),
        room_id: laid.room,
        group_id: laid.group.as_ref().map(|(group, _)| group.id),
        starts_at_us: ground.visit.start().as_microsecond(),
        ends_at_us: ground.visit.end().as_microsecond(),
        time_zone: ground.time_zone.clone(),
        starts_local: wall_clock(ground.visit, &ground.time_zone),
        displaced: false,
        confirmed_at_us: None,
        previous_starts_at_us: Some(old.starts_at_us),
        updated_at_us: now_us,
        ..old.clone()
    }
}

/// Adds a move to a batch: the old time is freed, the change told.
pub(crate) fn put(inner: &Inner, batch: &mut Batch, old: &AppointmentRow, row: AppointmentRow, claims: &[ClaimRow]) {
    put_as(inner, batch, old, row, claims, "rescheduled");
}

/// The same, told as another event.
pub(crate) fn put_as(
    inner: &Inner,
    batch: &mut Batch,
    old: &AppointmentRow,
    row: AppointmentRow,
    claims: &[ClaimRow],
    event: &str,
) {
    batch.release.push(old.id);
    if let Some(group) = old.group_id {
        batch.leave_group = Some(change::leave_group(group));
    }
    batch.links.push(manage_links::link(inner, &row));
    batch.changes.push(change::of_appointment(&row, claims, event));
    batch.appointments.push(row);
}

/// Refuses a slot of another service than the appointment's own.
pub(crate) fn same_service(slot_id: &str, old: &AppointmentRow) -> Result<(), Fault> {
    let same = slot_id.parse::<Slot>().is_ok_and(|slot| slot.service.uuid() == old.service_id);
    // A malformed slot id is named as such when the slot is checked.
    if same || slot_id.parse::<Slot>().is_err() {
        return Ok(());
    }
    Err(Fault::violation("/slot_id", "other_service", "choose a slot of the appointment's own service"))
}
