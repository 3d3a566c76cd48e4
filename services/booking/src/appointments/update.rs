//! Changing what the clinic keeps about an appointment: its note, its external id and its own pairs.

use std::sync::Arc;

use domain::{
    custom::{check_external_id, check_pairs},
    fault::{Faults, check_note},
};
use rpc::{Context, Fault};
use service::idempotency::Begun;
use tonic::Response;
use wire::booking::{Appointment, UpdateAppointmentRequest};

use super::{NOTE_MAX, claims_of, load, view};
use crate::{
    Inner,
    commit::{self, begin},
    feed::change,
    store::{appointments::AppointmentRow, batch::Batch},
};

const ROUTE: &str = "UpdateAppointment";

pub(crate) async fn update(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: UpdateAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    check_note(&mut faults, "/note", &request.note, NOTE_MAX);
    check_external_id(&mut faults, "/external_id", &request.external_id);
    check_pairs(&mut faults, "/custom", &request.custom);
    faults.result()?;
    commit::retry_stale(|| update_once(inner, ctx, &request)).await
}

async fn update_once(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: &UpdateAppointmentRequest,
) -> Result<Response<Appointment>, Fault> {
    let old = load(inner, ctx, &request.id).await?;
    if request.if_version != 0 && request.if_version != old.version {
        return Err(commit::version_mismatch());
    }
    let now_us = inner.clock.now_us();
    let claims = claims_of(inner, &old).await?;
    let row = AppointmentRow {
        version: old.version + 1,
        note: request.note.clone(),
        external_id: request.external_id.clone(),
        custom: serde_json::to_string(&request.custom).map_err(Fault::internal)?,
        updated_at_us: now_us,
        ..old
    };
    let answer = view::to_wire_with_link(&inner.links, &row);
    let batch = Batch {
        // The change carries the new version without the note: consumers compare versions.
        changes: vec![change::of_appointment(&row, &claims, "noted")],
        appointments: vec![row],
        ..Batch::new(ctx.organization.uuid(), now_us)
    };
    commit::answer(inner, ctx, ROUTE, batch, answer).await
}
