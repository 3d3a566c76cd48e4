//! Whether the ground under appointments still stands.

use std::sync::Arc;

use careplan::plan::Event;
use domain::{appointment::Status, id::AppointmentId};
use rpc::{Context, Fault};
use wire::booking::{SetDisplacedRequest, SetDisplacedResponse, set_displaced_request::Item};

use super::claims_of;
use crate::{
    Inner, commit,
    feed::change,
    plans::on_visit,
    store::{
        batch::{Batch, Refusal},
        rows::AppointmentRow,
    },
};

/// Most appointments in one call.
const ITEMS_MAX: usize = 1000;
/// How often one is tried that lost to another write.
const TRIES_MAX: usize = 3;

pub(crate) async fn set_displaced(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: SetDisplacedRequest,
) -> Result<SetDisplacedResponse, Fault> {
    if request.items.len() > ITEMS_MAX {
        return Err(Fault::violation("/items", "too_many", "at most 1000 at a time"));
    }
    let mut changed = 0;
    for item in &request.items {
        // Another change of the same plan may have been faster; what is so is looked at anew.
        let mut done = set(inner, ctx, item).await?;
        for _ in 1..TRIES_MAX {
            done = if done.is_none() { set(inner, ctx, item).await? } else { break };
        }
        changed += u32::from(done.unwrap_or(false));
    }
    Ok(SetDisplacedResponse { changed })
}

/// Level-triggered: says again what is so already to no effect, and gives way to whoever changed it meanwhile.
///
/// Answers whether it changed anything; `None` where another write came between.
async fn set(inner: &Arc<Inner>, ctx: &Context, item: &Item) -> Result<Option<bool>, Fault> {
    let Ok(id) = item.appointment_id.parse::<AppointmentId>() else { return Ok(Some(false)) };
    let found = inner.store.appointment(ctx.organization.uuid(), id.uuid()).await.map_err(commit::failure)?;
    let Some(old) = found else { return Ok(Some(false)) };
    let ahead = old.status.parse::<Status>().is_ok_and(Status::is_ahead);
    // While a location's zone changes, who judges may know the old one still.
    let other_zone = !item.time_zone.is_empty() && item.time_zone != old.time_zone;
    if old.displaced == item.displaced || old.version > item.seen_version || !ahead || other_zone {
        return Ok(Some(false));
    }
    let now_us = inner.clock.now_us();
    let row =
        AppointmentRow { version: old.version + 1, displaced: item.displaced, updated_at_us: now_us, ..old.clone() };
    let claims = claims_of(inner, row.organization_id, &row).await?;
    let event = if item.displaced { "displaced" } else { "replaced" };
    let mut batch = Batch {
        organization_id: row.organization_id,
        now_us,
        changes: vec![change::of_appointment(&row, &claims, event)],
        appointments: vec![row.clone()],
        ..Batch::default()
    };
    let followed = Event::Displaced { appointment: id, displaced: item.displaced };
    on_visit::add(inner, &mut batch, &row, followed).await?;
    match commit::commit(inner, batch).await {
        Ok(_) => Ok(Some(true)),
        Err(Refusal::Stale) => Ok(None),
        Err(other) => Err(commit::refused(other)),
    }
}
