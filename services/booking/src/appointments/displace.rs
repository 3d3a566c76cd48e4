//! Marking appointments as displaced, and as possible again.

use std::sync::Arc;

use careplan::plan::Event;
use domain::{appointment::Status, id::AppointmentId};
use rpc::{Context, Fault};
use service::db_error;
use wire::booking::{SetDisplacedRequest, SetDisplacedResponse, set_displaced_request::Item};

use super::claims_of;
use crate::{
    Inner, commit,
    feed::change,
    plans::on_visit,
    store::{
        appointments::AppointmentRow,
        batch::{Batch, CommitError},
    },
};

/// Most appointments in one call.
const ITEMS_MAX: usize = 1000;
/// Most tries for one appointment whose write lost to another one.
const TRIES_MAX: usize = 3;

/// Marks each appointment, in a transaction of its own. Repeating a mark changes nothing.
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
        for _ in 0..TRIES_MAX {
            match set_once(inner, ctx, item).await? {
                Marked::Changed => changed += 1,
                Marked::Unchanged => {}
                // Another change of the same plan was faster: read the appointment again.
                Marked::Stale => continue,
            }
            break;
        }
    }
    Ok(SetDisplacedResponse { changed })
}

enum Marked {
    Changed,
    Unchanged,
    /// Another write came between.
    Stale,
}

async fn set_once(inner: &Arc<Inner>, ctx: &Context, item: &Item) -> Result<Marked, Fault> {
    let Ok(id) = item.appointment_id.parse::<AppointmentId>() else { return Ok(Marked::Unchanged) };
    let found = inner.store.appointment(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    let Some(old) = found else { return Ok(Marked::Unchanged) };
    let is_ahead = old.status.parse::<Status>().is_ok_and(Status::is_upcoming);
    // While a location's zone changes, the caller may still know the old one.
    let is_other_zone = !item.time_zone.is_empty() && item.time_zone != old.time_zone;
    if old.displaced == item.displaced || old.version > item.seen_version || !is_ahead || is_other_zone {
        return Ok(Marked::Unchanged);
    }
    let now_us = inner.clock.now_us();
    let row =
        AppointmentRow { version: old.version + 1, displaced: item.displaced, updated_at_us: now_us, ..old.clone() };
    let claims = claims_of(inner, &row).await?;
    let event = if item.displaced { "displaced" } else { "replaced" };
    let mut batch = Batch {
        changes: vec![change::of_appointment(&row, &claims, event)],
        appointments: vec![row.clone()],
        ..Batch::new(row.organization_id, now_us)
    };
    let event = Event::Displaced { appointment: id, displaced: item.displaced };
    on_visit::add_event(inner, &mut batch, &row, event).await?;
    match commit::commit(inner, batch).await {
        Ok(_) => Ok(Marked::Changed),
        Err(CommitError::VersionMismatch) => Ok(Marked::Stale),
        Err(other) => Err(commit::refused(other)),
    }
}
