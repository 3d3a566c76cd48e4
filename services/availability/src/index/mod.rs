//! The directory of one organisation, indexed for search: rosters as bits, zones as tables, rooms and equipment as
//! lists. Pure.
//!
//! An index is immutable. The next one shares with its predecessor every part that was built from the same entries, so
//! that a change of the directory rebuilds only the parts that it touches.

pub(crate) mod directory;
mod locations;
mod practitioners;
mod shifts;
mod travel;

use std::{collections::HashMap, sync::Arc};

use calendar::{
    Span,
    tick::{self, PER_DAY},
};
use domain::directory::{Body, Kind, Service};
use jiff::Timestamp;
use uuid::Uuid;

use self::{
    directory::{Directory, Entry},
    travel::TravelTimes,
};
pub(crate) use self::{
    locations::Location,
    practitioners::{Certification, Practitioner},
    shifts::{Shift, merged},
    travel::distance_km,
};
use crate::config::Travel;

/// Days before today that an index covers: a whole week for a weekly cap, wherever its clock stands.
const DAYS_BEHIND: i64 = 10;
/// Days from today on that an index covers: the longest horizon, and room for the last visit.
const DAYS_AHEAD: i64 = 403;

/// The entries that a part was built from, with their versions. Equal sources build equal parts.
type SourceVersions = Vec<(Uuid, i64)>;

/// Everything that search needs of one organisation's directory.
pub(crate) struct Index {
    pub(crate) directory: Arc<Directory>,
    pub(crate) span: Span,
    pub(crate) locations: Vec<Arc<Location>>,
    pub(crate) practitioners: Vec<Practitioner>,
    pub(crate) shifts: Vec<Shift>,
    pub(crate) travel: Travel,
    pub(crate) travel_times: TravelTimes,
    location_numbers: HashMap<Uuid, u32>,
    practitioner_numbers: HashMap<Uuid, u32>,
    shift_positions: HashMap<(u32, u32), usize>,
}

/// The ticks that an index built at this instant covers.
pub(crate) fn span_at(now: Timestamp) -> Span {
    let today = tick::floor(now).div_euclid(PER_DAY);
    Span::new((today - DAYS_BEHIND) * PER_DAY, (today + DAYS_AHEAD) * PER_DAY)
}

/// Whether a span still serves at `now`. A new one is due each day; one day of delay is tolerated.
pub(crate) fn is_current(span: Span, now: Timestamp) -> bool {
    (0..=PER_DAY).contains(&(span_at(now).start - span.start))
}

/// The entries in use, by their parent.
struct Children<'a>(HashMap<Uuid, Vec<&'a Entry>>);

impl<'a> Children<'a> {
    fn new(directory: &'a Directory) -> Self {
        let mut children: HashMap<Uuid, Vec<&Entry>> = HashMap::new();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.parent().is_some()) {
            for entry in directory.live(kind) {
                if let Some(parent) = entry.parent {
                    children.entry(parent).or_default().push(entry);
                }
            }
        }
        Self(children)
    }

    fn of(&self, parent: Uuid) -> &[&'a Entry] {
        self.0.get(&parent).map_or(&[], Vec::as_slice)
    }
}

impl Index {
    /// Indexes a directory over some ticks and shares the unchanged parts of `previous`.
    pub(crate) fn new(directory: Arc<Directory>, span: Span, travel: Travel, previous: Option<&Self>) -> Self {
        let previous = previous.filter(|previous| previous.span == span);
        let children = Children::new(&directory);
        let locations = locations::build(&directory, &children, span, previous);
        let practitioners = practitioners::build(&directory, &children);
        let location_numbers = (0..).zip(&locations).map(|(number, location)| (location.id, number)).collect();
        let practitioner_numbers =
            (0..).zip(&practitioners).map(|(number, practitioner)| (practitioner.id, number)).collect();
        let shifts = shifts::build(&children, span, &locations, &location_numbers, &practitioners, previous);
        let shift_positions =
            shifts.iter().enumerate().map(|(at, shift)| ((shift.location, shift.practitioner), at)).collect();
        let travel_times = TravelTimes::new(travel, &locations, practitioners.len(), &shifts);
        drop(children);
        Self {
            directory,
            span,
            locations,
            practitioners,
            shifts,
            travel,
            travel_times,
            location_numbers,
            practitioner_numbers,
            shift_positions,
        }
    }

    /// A location in use, with its number.
    pub(crate) fn location(&self, id: Uuid) -> Option<(u32, &Location)> {
        let number = *self.location_numbers.get(&id)?;
        Some((number, &self.locations[number as usize]))
    }

    /// A practitioner in use, with their number.
    pub(crate) fn practitioner(&self, id: Uuid) -> Option<(u32, &Practitioner)> {
        let number = *self.practitioner_numbers.get(&id)?;
        Some((number, &self.practitioners[number as usize]))
    }

    /// The shift of a practitioner at a location, both by their numbers.
    pub(crate) fn shift(&self, location: u32, practitioner: u32) -> Option<&Shift> {
        self.shift_positions.get(&(location, practitioner)).map(|at| &self.shifts[*at])
    }

    /// A service in use.
    pub(crate) fn service(&self, id: Uuid) -> Option<&Service> {
        let entry = self.directory.get(Kind::Service, id)?;
        match &entry.body {
            Body::Service(service) if entry.live() => Some(service),
            _ => None,
        }
    }

    /// A service, in use or archived.
    pub(crate) fn service_or_archived(&self, id: Uuid) -> Option<&Service> {
        match &self.directory.get(Kind::Service, id)?.body {
            Body::Service(service) => Some(service),
            _ => None,
        }
    }
}
