//! The open slots nearest to one that was taken: same service, same location.

use domain::slot::Slot;
use jiff::SignedDuration;
use rpc::{Context, Fault};
use wire::availability::{NearestSlotsRequest, NearestSlotsResponse, SearchSlotsRequest};

use super::ask::Ask;
use crate::Inner;

const DAYS_BEFORE: i64 = 3;
const DAYS_AFTER: i64 = 28;
const LOOKED_AT_MAX: u32 = 200;

pub(crate) fn nearest(
    inner: &Inner,
    ctx: &Context,
    request: &NearestSlotsRequest,
) -> Result<NearestSlotsResponse, Fault> {
    let slot: Slot =
        request.slot_id.parse().map_err(|error| Fault::violation("slot_id", "invalid_slot", &format!("{error}")))?;
    let limit = if request.limit == 0 { 3 } else { request.limit.min(20) } as usize;
    let now = inner.clock.now();
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let days = |count: i64| SignedDuration::from_hours(24 * count);
    let question = |from: jiff::Timestamp, to: jiff::Timestamp| SearchSlotsRequest {
        service_id: slot.service.to_string(),
        location_ids: vec![slot.location.to_string()],
        from_us: from.as_microsecond(),
        to_us: to.as_microsecond(),
        limit: LOOKED_AT_MAX,
        channel: request.channel,
        ..SearchSlotsRequest::default()
    };
    let start = slot.starts_at;
    let before = start.saturating_sub(days(DAYS_BEFORE)).unwrap_or(start).max(now);
    let after = start.saturating_add(days(DAYS_AFTER)).unwrap_or(start);
    let projection = org.projection(now);
    let mut found = Vec::new();
    for (from, to) in [(before, start), (start, after)].into_iter().filter(|(from, to)| from < to) {
        let ask = Ask::read(&org, &question(from, to), now)?;
        let (open, _) = ask.run(&projection, &ask.query);
        found.extend(open.iter().map(|open| ask.shown(open)));
    }
    found.sort_by_key(|slot| (slot.starts_at_us - start.as_microsecond()).abs());
    found.truncate(limit);
    found.sort_by_key(|slot| slot.starts_at_us);
    Ok(NearestSlotsResponse { slots: found })
}
