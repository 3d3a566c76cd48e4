//! The live holds of an organisation: one of them, and a list for its staff.

use std::collections::HashMap;

use domain::{fault::Faults, id::HoldId, slot::Slot};
use rpc::{Code, Context, Fault};
use service::{db_error, page};
use wire::{
    availability::{self, EntryKind, GetEntryRequest, entry_body::Body},
    booking::{GetHoldRequest, Hold, ListHoldsRequest, ListHoldsResponse},
};

use super::live;
use crate::{Inner, store::holds::HoldRow};

/// One live hold.
///
/// # Errors
/// `not_found` for one that has ended, and for a visitor who has not made it.
pub(crate) async fn get(inner: &Inner, ctx: &Context, request: GetHoldRequest) -> Result<Hold, Fault> {
    let id: HoldId = request.id.parse().map_err(|_| Fault::not_found())?;
    let row = inner.store.hold(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    let row = row.filter(|row| row.expires_at_us > inner.clock.now_us()).ok_or_else(Fault::not_found)?;
    live::require_own(ctx, &row)?;
    with_slots(inner, ctx, row, &mut HashMap::new()).await
}

/// Lists live holds, the first to expire first.
pub(crate) async fn list(inner: &Inner, ctx: &Context, request: ListHoldsRequest) -> Result<ListHoldsResponse, Fault> {
    let mut faults = Faults::new();
    let page = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, page.limit);
    let after = page::cursor(&mut faults, &page.cursor).unwrap_or_default();
    faults.result()?;
    let now_us = inner.clock.now_us();
    let found = inner.store.live_holds(ctx.organization.uuid(), now_us, after, limit + 1).await;
    let mut rows = found.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (row.expires_at_us, row.id));
    let mut zones = HashMap::new();
    let mut holds = Vec::with_capacity(rows.len());
    for row in rows {
        holds.push(with_slots(inner, ctx, row, &mut zones).await?);
    }
    Ok(ListHoldsResponse { holds, next_cursor })
}

/// The time zones of locations, by their ids.
type Zones = HashMap<String, String>;

/// A hold with its slots in their locations' time zones, which are looked up once.
async fn with_slots(inner: &Inner, ctx: &Context, row: HoldRow, zones: &mut Zones) -> Result<Hold, Fault> {
    let slots = slots_of(&row)?;
    for slot in &slots {
        let location = slot.location.to_string();
        if !zones.contains_key(&location) {
            zones.insert(location.clone(), time_zone(inner, ctx, location).await?);
        }
    }
    Ok(to_wire(row, &slots, zones))
}

fn slots_of(row: &HoldRow) -> Result<Vec<Slot>, Fault> {
    let ids: Vec<String> = serde_json::from_str(&row.slots).map_err(Fault::internal)?;
    Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
}

/// The time zone of a location; UTC for one that is gone.
async fn time_zone(inner: &Inner, ctx: &Context, id: String) -> Result<String, Fault> {
    let request = GetEntryRequest { kind: EntryKind::Location.into(), id, parent_id: String::new() };
    let entry = match inner.directory.clone().get_entry(ctx.request(request)).await.map_err(Fault::from) {
        Ok(entry) => entry.into_inner(),
        Err(fault) if fault.code == Code::NotFound => return Ok("UTC".to_owned()),
        Err(fault) => return Err(fault),
    };
    Ok(match entry.body.and_then(|body| body.body) {
        Some(Body::Location(location)) => location.time_zone,
        _ => "UTC".to_owned(),
    })
}

fn to_wire(row: HoldRow, slots: &[Slot], zones: &Zones) -> Hold {
    let slots = slots.iter().map(|slot| availability::Slot {
        slot_id: slot.to_string(),
        service_id: slot.service.to_string(),
        practitioner_id: slot.practitioner.to_string(),
        location_id: slot.location.to_string(),
        starts_at_us: slot.starts_at.as_microsecond(),
        ends_at_us: slot.ends_at().as_microsecond(),
        time_zone: zones.get(&slot.location.to_string()).cloned().unwrap_or_default(),
        places_left: 0,
    });
    Hold {
        id: HoldId::new(row.id).to_string(),
        expires_at_us: row.expires_at_us,
        slots: slots.collect(),
        created_at_us: row.created_at_us,
        created_by: row.caller,
    }
}
