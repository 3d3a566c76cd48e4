//! Open slots, by page, by day, and the next three of each location.

use std::collections::BTreeMap;

use calendar::{search::Query, tick};
use domain::id::LocationId;
use rpc::{Context, Fault};
use wire::availability::{
    NextSlotsResponse, SearchDaysResponse, SearchSlotsRequest, SearchSlotsResponse, next_slots_response,
    search_days_response,
};

use super::ask::{Ask, cursor_after};
use crate::Inner;

/// Starts that a month view counts at the most.
const COUNTED_MAX: usize = 1_000_000;

pub(crate) fn slots(inner: &Inner, ctx: &Context, request: &SearchSlotsRequest) -> Result<SearchSlotsResponse, Fault> {
    let now = inner.clock.now();
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    // Read first: the answer may be fresher than it says, never staler.
    let revision = inner.revision(ctx.organization);
    let ask = Ask::read(&org, request, now)?;
    let (open, searched_until) = ask.run(&org.projection(now), &ask.query);
    let full = searched_until < ask.query.window.end;
    Ok(SearchSlotsResponse {
        next_cursor: open.last().filter(|_| full).map(|last| cursor_after(&last.found)).unwrap_or_default(),
        slots: open.iter().map(|open| ask.shown(open)).collect(),
        searched_until_us: tick::instant(searched_until).as_microsecond(),
        revision,
    })
}

pub(crate) fn days(inner: &Inner, ctx: &Context, request: &SearchSlotsRequest) -> Result<SearchDaysResponse, Fault> {
    let now = inner.clock.now();
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let revision = inner.revision(ctx.organization);
    let ask = Ask::read(&org, request, now)?;
    let query = Query { limit: COUNTED_MAX, after: None, ..ask.query.clone() };
    let (open, _) = ask.run(&org.projection(now), &query);
    let mut days: BTreeMap<(i64, u32), (u32, i64)> = BTreeMap::new();
    for open in &open {
        let local = ask.model.places[open.found.place as usize].zone.local(open.found.start);
        let day = days.entry((local.day, open.found.place)).or_insert((0, open.found.start));
        day.0 += 1;
        day.1 = day.1.min(open.found.start);
    }
    let days = days.into_iter().map(|((_, place), (open_slots, first))| {
        let place = &ask.model.places[place as usize];
        search_days_response::Day {
            date: place.zone.date(first).to_string(),
            location_id: LocationId::new(place.id).to_string(),
            open_slots,
            first_starts_at_us: tick::instant(first).as_microsecond(),
            time_zone: place.location.time_zone.clone(),
        }
    });
    Ok(SearchDaysResponse { days: days.collect(), revision })
}

pub(crate) fn next(inner: &Inner, ctx: &Context, request: &SearchSlotsRequest) -> Result<NextSlotsResponse, Fault> {
    let now = inner.clock.now();
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let revision = inner.revision(ctx.organization);
    let ask = Ask::read(&org, request, now)?;
    let projection = org.projection(now);
    let query = Query { limit: 3, after: None, ..ask.query.clone() };
    let mut locations = Vec::new();
    for place in ask.places.clone().into_iter().filter(|place| ask.wants_place(*place)) {
        let (open, _) = ask.at(place).run(&projection, &query);
        locations.push(next_slots_response::Location {
            location_id: LocationId::new(ask.model.places[place as usize].id).to_string(),
            slots: open.iter().map(|open| ask.shown(open)).collect(),
        });
    }
    Ok(NextSlotsResponse { locations, revision })
}
