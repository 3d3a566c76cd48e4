//! `NearestSlots`: the open slots nearest to one that is no longer open, of the same service at the same location.

use calendar::{
    Span,
    tick::{self, PER_DAY, Tick},
};
use domain::slot::Slot;
use jiff::{SignedDuration, Timestamp};
use rpc::{Code, Context, Fault};
use wire::availability::{NearestSlotsRequest, NearestSlotsResponse};

use super::{
    filters::SlotFilters,
    query::{QuerySpec, SlotQuery},
    request::{is_online, moving_appointment},
    search::{OpenSlot, WINDOW_MAX, windows},
};
use crate::{Inner, organisations::Organisation};

const DAYS_BEFORE: i64 = 3;
const DAYS_AFTER: i64 = 28;
const LIMIT_DEFAULT: usize = 3;
const LIMIT_MAX: usize = 20;

pub(crate) async fn nearest(
    inner: &Inner,
    ctx: &Context,
    request: &NearestSlotsRequest,
) -> Result<NearestSlotsResponse, Fault> {
    let slot: Slot =
        request.slot_id.parse().map_err(|error| Fault::violation("slot_id", "invalid_slot", &format!("{error}")))?;
    let limit = if request.limit == 0 { LIMIT_DEFAULT } else { LIMIT_MAX.min(request.limit as usize) };
    let organisation = inner.organisations.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    // A slot whose service, location or appointment is gone has no alternatives.
    let Some(query) = query_around(&organisation, &slot, request, inner.clock.now())? else {
        return Ok(NearestSlotsResponse::default());
    };
    let start = tick::floor(slot.starts_at);
    let mut open = open_after(&query, &organisation, &slot, limit).await;
    open.extend(open_before(&query, &organisation, start, limit));
    open.sort_by_key(|open| ((open.start.tick - start).abs(), open.start));
    open.truncate(limit);
    open.sort_unstable();
    Ok(NearestSlotsResponse { slots: open.iter().map(|open| query.to_wire(open)).collect() })
}

/// The search around a slot; `None` where the slot's service or location, or the moving appointment, is not in use.
fn query_around(
    organisation: &Organisation,
    slot: &Slot,
    request: &NearestSlotsRequest,
    now: Timestamp,
) -> Result<Option<SlotQuery>, Fault> {
    let index = organisation.index(now).ok_or_else(Fault::not_found)?;
    let moving = match request.moving.as_str() {
        "" => None,
        appointment => match moving_appointment(organisation, appointment, now) {
            Ok((service, moving)) if service == slot.service => Some(moving),
            Ok(_) => return Ok(None),
            Err(fault) if fault.code == Code::ValidationFailed => return Ok(None),
            Err(fault) => return Err(fault),
        },
    };
    let days = |count: i64| SignedDuration::from_hours(24 * count);
    let start = slot.starts_at;
    let from = start.saturating_sub(days(DAYS_BEFORE)).unwrap_or(start).max(now);
    let to = start.saturating_add(days(DAYS_AFTER)).unwrap_or(start);
    if to <= from || index.location(slot.location.uuid()).is_none() {
        return Ok(None);
    }
    let spec = QuerySpec {
        service: slot.service,
        minutes: moving.as_ref().map(|moving| moving.minutes),
        from,
        to,
        online: is_online(request.channel),
        patient: None,
        limit: LIMIT_MAX,
    };
    let query = SlotQuery::new(index, &spec, &SlotFilters::at(vec![slot.location]), now);
    Ok(query.map(|query| match moving {
        Some(moving) => query.moving(moving),
        None => query,
    }))
}

/// The first open slots from the slot's start on, without the slot itself: the feed may not have delivered its booking
/// yet. A slot whose length has changed is another one.
async fn open_after(query: &SlotQuery, organisation: &Organisation, slot: &Slot, limit: usize) -> Vec<OpenSlot> {
    let from = tick::floor(slot.starts_at).max(query.kernel.window.start);
    let later = Span::new(from, query.kernel.window.end);
    let is_same = |open: &OpenSlot| {
        let own = query.slot(open);
        // A moving visit keeps its length, whatever its slot said.
        own == *slot || !query.freed.is_empty() && Slot { minutes: slot.minutes, ..own } == *slot
    };
    let mut found = Vec::new();
    for window in windows(later, WINDOW_MAX) {
        let page = query.search_window(&organisation.occupancy(query.now), &query.locations, window, limit + 1);
        found.extend(page.slots.into_iter().filter(|open| !is_same(open)));
        if found.len() >= limit {
            break;
        }
        tokio::task::yield_now().await;
    }
    found
}

/// The last open slots before the slot's start, day by day backwards.
fn open_before(query: &SlotQuery, organisation: &Organisation, start: Tick, limit: usize) -> Vec<OpenSlot> {
    let mut found = Vec::new();
    for day in 0..DAYS_BEFORE {
        let end = start - day * PER_DAY;
        let window = Span::new(end - PER_DAY, end).and(query.kernel.window);
        let page = query.search_window(&organisation.occupancy(query.now), &query.locations, window, usize::MAX);
        found.extend(page.slots.into_iter().rev().take(limit));
        if found.len() >= limit {
            break;
        }
    }
    found
}
