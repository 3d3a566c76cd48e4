//! What a change of the directory would open: the starts of every service, counted before and after.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    directory::Kind,
    id::{LocationId, ServiceId},
};
use jiff::{SignedDuration, Timestamp, civil::Date};
use uuid::Uuid;
use wire::{
    availability::{Opening, SearchSlotsRequest},
    common::BookingChannel,
};

use crate::{index::Model, occupancy::Projection, slots::query::Ask};

const DAYS: i64 = 28;
const OPENINGS_MAX: usize = 1000;

/// By date, location and service the starts that are there after a change and not before, as staff would see them.
pub(crate) fn opened(projection: &Projection, before: &Arc<Model>, after: &Arc<Model>, now: Timestamp) -> Vec<Opening> {
    let mut opened = BTreeMap::new();
    for service in after.directory.live(Kind::Service) {
        let known = counted(projection, before, service.id, now);
        for ((date, location), starts) in counted(projection, after, service.id, now) {
            let more = starts.saturating_sub(known.get(&(date, location)).copied().unwrap_or(0));
            if more > 0 {
                opened.insert((date, location, service.id), more);
            }
        }
    }
    let openings = opened.into_iter().map(|((date, location, service), slots)| Opening {
        service_id: ServiceId::new(service).to_string(),
        location_id: LocationId::new(location).to_string(),
        date: date.to_string(),
        slots,
    });
    openings.take(OPENINGS_MAX).collect()
}

/// How many starts a service has by local date and location; none where it is not offered.
fn counted(projection: &Projection, model: &Arc<Model>, service: Uuid, now: Timestamp) -> BTreeMap<(Date, Uuid), u32> {
    let until = now.saturating_add(SignedDuration::from_hours(24 * DAYS)).unwrap_or(now);
    let question = SearchSlotsRequest {
        service_id: ServiceId::new(service).to_string(),
        from_us: now.as_microsecond(),
        to_us: until.as_microsecond(),
        channel: BookingChannel::Staff as i32,
        ..SearchSlotsRequest::default()
    };
    let Ok(ask) = Ask::of(model.clone(), &question, now) else { return BTreeMap::new() };
    let mut counted = BTreeMap::new();
    for day in ask.count(projection, ask.whole()) {
        let place = &model.places[day.place as usize];
        *counted.entry((place.zone.date(day.first), place.id)).or_insert(0) += day.starts;
    }
    counted
}
