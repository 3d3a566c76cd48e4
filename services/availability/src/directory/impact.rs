//! The effects of a change of the directory: the starts that it opens, and the appointments beyond a service's places.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    directory::{Body, Kind},
    id::{AppointmentId, LocationId, ServiceId},
};
use jiff::{SignedDuration, Timestamp, civil::Date};
use uuid::Uuid;
use wire::availability::Opening;

use crate::{
    index::{Index, directory::Entry},
    occupancy::Occupancy,
    slots::{
        filters::SlotFilters,
        query::{QuerySpec, SlotQuery},
    },
};

/// The days from now on that are compared.
const DAYS: i64 = 28;
const OPENINGS_MAX: usize = 1000;

/// The number of starts that exist after a change and not before, by date, location and service, on the staff's channel.
pub(super) fn openings(occupancy: &Occupancy, before: &Arc<Index>, after: &Arc<Index>, now: Timestamp) -> Vec<Opening> {
    let mut opened = BTreeMap::new();
    for service in after.directory.live(Kind::Service) {
        let known = count_starts(occupancy, before, service.id, now);
        for ((date, location), starts) in count_starts(occupancy, after, service.id, now) {
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

/// The starts of a service by local date and location; none where the service is not in use.
fn count_starts(
    occupancy: &Occupancy,
    index: &Arc<Index>,
    service: Uuid,
    now: Timestamp,
) -> BTreeMap<(Date, Uuid), u32> {
    let spec = QuerySpec {
        service: ServiceId::new(service),
        minutes: None,
        from: now,
        to: now.saturating_add(SignedDuration::from_hours(24 * DAYS)).unwrap_or(now),
        online: false,
        patient: None,
        limit: usize::MAX,
    };
    let mut starts = BTreeMap::new();
    let Some(query) = SlotQuery::new(index.clone(), &spec, &SlotFilters::default(), now) else { return starts };
    for day in query.count_days(occupancy, query.remaining()) {
        let location = &index.locations[day.location as usize];
        *starts.entry((location.zone.date(day.first), location.id)).or_insert(0) += day.starts;
    }
    starts
}

/// The upcoming appointments beyond the places of a service's sessions; none for an entry of another kind.
pub(super) fn over_capacity(occupancy: &Occupancy, entry: &Entry, now: Timestamp) -> Vec<String> {
    let Body::Service(service) = &entry.body else { return vec![] };
    let beyond = occupancy.over_capacity(entry.id, service.capacity, now.as_microsecond());
    beyond.into_iter().map(|id| AppointmentId::new(id).to_string()).collect()
}
