//! `SearchDays`: the number of open starts and the first one, for each location and local date.

use std::collections::BTreeMap;

use calendar::tick::{self, Tick};
use rpc::{Context, Fault};
use wire::availability::{SearchDaysResponse, SearchSlotsRequest, search_days_response};

use super::{
    list::{Resolved, resolve},
    search::{WINDOW_MAX, windows},
};
use crate::Inner;

pub(crate) async fn search_days(
    inner: &Inner,
    ctx: &Context,
    request: &SearchSlotsRequest,
) -> Result<SearchDaysResponse, Fault> {
    let Resolved { organisation, mut query, revision } = resolve(inner, ctx, request)?;
    query.rewind();
    let mut days: BTreeMap<(i64, u32), (u32, Tick)> = BTreeMap::new();
    for window in windows(query.remaining(), WINDOW_MAX) {
        for part in query.count_days(&organisation.occupancy(query.now), window) {
            let (starts, first) = days.entry((part.day, part.location)).or_insert((0, part.first));
            *starts += part.starts;
            *first = part.first.min(*first);
        }
        tokio::task::yield_now().await;
    }
    let days = days.into_iter().map(|((_, location), (open_slots, first))| {
        let location = &query.index.locations[location as usize];
        search_days_response::Day {
            date: location.zone.date(first).to_string(),
            location_id: location.public_id.clone(),
            open_slots,
            first_starts_at_us: tick::instant(first).as_microsecond(),
            time_zone: location.body.time_zone.clone(),
        }
    });
    Ok(SearchDaysResponse { days: days.collect(), revision })
}
