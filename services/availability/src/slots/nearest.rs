//! The open slots nearest to one that was taken: same service, same location.

use calendar::{
    Span,
    tick::{self, PER_DAY},
};
use domain::slot::Slot;
use jiff::{SignedDuration, Timestamp};
use rpc::{Code, Context, Fault};
use wire::availability::{NearestSlotsRequest, NearestSlotsResponse, SearchSlotsRequest};

use super::{
    query::Ask,
    search::{LONGEST, Open, windows},
};
use crate::{Inner, organisations::Org};

const DAYS_BEFORE: i64 = 3;
const DAYS_AFTER: i64 = 28;
const WANTED: usize = 3;
const WANTED_MAX: usize = 20;

pub(crate) async fn nearest(
    inner: &Inner,
    ctx: &Context,
    request: &NearestSlotsRequest,
) -> Result<NearestSlotsResponse, Fault> {
    let slot: Slot =
        request.slot_id.parse().map_err(|error| Fault::violation("slot_id", "invalid_slot", &format!("{error}")))?;
    let wanted = if request.limit == 0 { WANTED } else { WANTED_MAX.min(request.limit as usize) };
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let now = inner.clock.now();
    let start = slot.starts_at;
    let ask = match Ask::read(&org, &around(&slot, request, now), now) {
        Ok(ask) => ask,
        // What is no longer offered has no alternatives.
        Err(fault) if fault.code == Code::ValidationFailed => return Ok(NearestSlotsResponse::default()),
        Err(fault) => return Err(fault),
    };
    let mut found = after(&ask, &org, &slot, wanted).await;
    found.extend(before(&ask, &org, tick::floor(start), wanted));
    let at = tick::floor(start);
    found.sort_by_key(|open| ((open.found.start - at).abs(), open.found));
    found.truncate(wanted);
    found.sort_unstable();
    Ok(NearestSlotsResponse { slots: found.iter().map(|open| ask.shown(open)).collect() })
}

fn around(slot: &Slot, request: &NearestSlotsRequest, now: Timestamp) -> SearchSlotsRequest {
    let days = |count: i64| SignedDuration::from_hours(24 * count);
    let start = slot.starts_at;
    let from = start.saturating_sub(days(DAYS_BEFORE)).unwrap_or(start).max(now);
    let to = start.saturating_add(days(DAYS_AFTER)).unwrap_or(start);
    SearchSlotsRequest {
        service_id: slot.service.to_string(),
        location_ids: vec![slot.location.to_string()],
        from_us: from.as_microsecond(),
        to_us: to.as_microsecond(),
        channel: request.channel,
        moving: request.moving.clone(),
        ..SearchSlotsRequest::default()
    }
}

/// The first starts from the slot's own on, without the slot itself: the feed may not have told yet that it is gone. One
/// that has become longer or shorter since is another.
async fn after(ask: &Ask, org: &Org, slot: &Slot, wanted: usize) -> Vec<Open> {
    let from = tick::floor(slot.starts_at).max(ask.query.window.start);
    let later = Span::new(from, ask.query.window.end);
    let same = |open: &Open| {
        let there = ask.slot(open);
        // A visit that is to move has its own length, whatever its slot said.
        there == *slot || !ask.freed.is_empty() && Slot { minutes: slot.minutes, ..there } == *slot
    };
    let mut found = Vec::new();
    for window in windows(later, LONGEST) {
        let part = ask.find(&org.projection(ask.now), &ask.places, window, wanted + 1);
        found.extend(part.open.into_iter().filter(|open| !same(open)));
        if found.len() >= wanted {
            break;
        }
        tokio::task::yield_now().await;
    }
    found
}

/// The last starts before the slot's own, day by day backwards.
fn before(ask: &Ask, org: &Org, start: tick::Tick, wanted: usize) -> Vec<Open> {
    let mut found = Vec::new();
    for day in 0..DAYS_BEFORE {
        let end = start - day * PER_DAY;
        let window = Span::new(end - PER_DAY, end).and(ask.query.window);
        let part = ask.find(&org.projection(ask.now), &ask.places, window, usize::MAX);
        found.extend(part.open.into_iter().rev().take(wanted));
        if found.len() >= wanted {
            break;
        }
    }
    found
}
