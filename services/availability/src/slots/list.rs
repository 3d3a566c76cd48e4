//! Open slots, by page, by day, and the next three appointments of each location.

use std::{collections::BTreeMap, sync::Arc};

use calendar::tick;
use rpc::{Context, Fault};
use wire::availability::{
    NextSlotsResponse, SearchDaysResponse, SearchSlotsRequest, SearchSlotsResponse, next_slots_response,
    search_days_response,
};

use super::{
    next_available,
    query::Ask,
    search::{LONGEST, windows},
};
use crate::{Inner, organisations::Org};

/// Appointments of each location that say how soon a patient can come: the third is the measure of access.
const NEXT: usize = 3;

/// A question, whose it is, and the revision that its answer is at least as fresh as.
struct Asked {
    org: Arc<Org>,
    ask: Ask,
    revision: String,
}

fn read(inner: &Inner, ctx: &Context, request: &SearchSlotsRequest) -> Result<Asked, Fault> {
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    // Read first: the answer may be fresher than it says, never staler.
    let revision = inner.revision(ctx);
    let ask = Ask::read(&org, request, inner.clock.now())?;
    Ok(Asked { org, ask, revision })
}

pub(crate) async fn slots(
    inner: &Inner,
    ctx: &Context,
    request: &SearchSlotsRequest,
) -> Result<SearchSlotsResponse, Fault> {
    let Asked { org, ask, revision } = read(inner, ctx, request)?;
    let page = ask.page(&org, ask.query.limit).await;
    let last = page.open.last().filter(|_| page.more);
    Ok(SearchSlotsResponse {
        next_cursor: last.map(|last| ask.cursor_after(last)).unwrap_or_default(),
        slots: page.open.iter().map(|open| ask.shown(open)).collect(),
        searched_until_us: tick::instant(page.until).as_microsecond(),
        revision,
    })
}

pub(crate) async fn days(
    inner: &Inner,
    ctx: &Context,
    request: &SearchSlotsRequest,
) -> Result<SearchDaysResponse, Fault> {
    let Asked { org, mut ask, revision } = read(inner, ctx, request)?;
    ask.query.after = None;
    let mut days: BTreeMap<(i64, u32), (u32, tick::Tick)> = BTreeMap::new();
    for window in windows(ask.whole(), LONGEST) {
        for part in ask.count(&org.projection(ask.now), window) {
            let (starts, first) = days.entry((part.day, part.place)).or_insert((0, part.first));
            *starts += part.starts;
            *first = part.first.min(*first);
        }
        tokio::task::yield_now().await;
    }
    let days = days.into_iter().map(|((_, place), (open_slots, first))| {
        let place = &ask.model.places[place as usize];
        search_days_response::Day {
            date: place.zone.date(first).to_string(),
            location_id: place.shown_id.clone(),
            open_slots,
            first_starts_at_us: tick::instant(first).as_microsecond(),
            time_zone: place.location.time_zone.clone(),
        }
    });
    Ok(SearchDaysResponse { days: days.collect(), revision })
}

pub(crate) async fn next(
    inner: &Inner,
    ctx: &Context,
    request: &SearchSlotsRequest,
) -> Result<NextSlotsResponse, Fault> {
    let Asked { org, mut ask, revision } = read(inner, ctx, request)?;
    let mut locations = Vec::with_capacity(ask.places.len());
    for place in ask.places.clone() {
        let appointments = next_available::first_available(&mut ask, &org, place, NEXT).await;
        locations.push(next_slots_response::Location {
            location_id: ask.model.places[place as usize].shown_id.clone(),
            slots: appointments.iter().map(|open| ask.shown(open)).collect(),
        });
    }
    Ok(NextSlotsResponse { locations, revision })
}
