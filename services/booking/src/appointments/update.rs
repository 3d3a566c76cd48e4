//! What the clinic notes about an appointment.

use std::sync::Arc;

use domain::fault::{Faults, check_note};
use rpc::{Context, Fault};
use tonic::Response;
use wire::booking::{Appointment, UpdateAppointmentRequest};

use super::{claims_of, load, shown};
use crate::{
    Inner,
    commit::{self, Begun, begin, remember, stale},
    feed::change,
    store::{batch::Batch, rows::AppointmentRow},
};

const ROUTE: &str = "UpdateAppointment";
/// Most characters of a note, and of a reason in words.
pub(crate) const NOTE_MAX: usize = 2000;

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdateAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    check_note(&mut faults, "/note", &request.note, NOTE_MAX);
    faults.result()?;
    commit::again(|| once(inner, ctx, &request)).await
}

async fn once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &UpdateAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(stale());
    }
    let now_us = inner.clock.now_us();
    let claims = claims_of(inner, old.organization_id, &old).await?;
    let row = AppointmentRow { version: old.version + 1, note: request.note.clone(), updated_at_us: now_us, ..old };
    let answer = shown(inner, &row);
    let batch = Batch {
        organization_id: row.organization_id,
        now_us,
        // The feed tells the new version, without the note: whoever follows an appointment compares versions.
        changes: vec![change::of_appointment(&row, &claims, "noted")],
        appointments: vec![row],
        idempotency: remember(ctx, ROUTE, &answer),
        ..Batch::default()
    };
    commit::finish(inner, ctx, ROUTE, batch, answer).await
}
