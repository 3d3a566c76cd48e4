//! The directory as search needs it: rosters as bits, zones as tables, rooms and equipment as lists. Pure.
//!
//! A model is never changed. The next one shares with the one before whatever was made from the same entries, so
//! that a change of the directory costs what it touches, not the whole chain.

pub(crate) mod directory;
mod shifts;
mod travel;

use std::{collections::HashMap, sync::Arc};

use calendar::{
    Span, Zone,
    tick::{self, PER_DAY},
};
use domain::{
    directory::{Body, Certificate, Closure, Kind, Location, Practitioner, Service},
    id::{LocationId, PractitionerId},
};
use jiff::Timestamp;
use uuid::Uuid;

use self::shifts::seats;
pub(crate) use self::shifts::{Seat, merged};
use self::travel::Roads;
use crate::{
    config::Travel,
    index::directory::{Directory, Entry},
};

/// Days behind today that the model covers: a whole week of what counts for its cap, wherever its clock stands.
const DAYS_BEHIND: i64 = 10;
/// Days from today on that it covers: the longest horizon, and room for the last visit.
const DAYS_AHEAD: i64 = 403;

/// Which entries a part was made from, at which versions: the same ones make the same part.
type MadeFrom = Vec<(Uuid, i64)>;

/// A location.
pub(crate) struct Place {
    pub(crate) id: Uuid,
    /// Its id as it is shown.
    pub(crate) shown_id: String,
    pub(crate) location: Location,
    pub(crate) zone: Zone,
    pub(crate) closures: Vec<Closure>,
    /// Rooms in use with their types.
    pub(crate) rooms: Vec<(Uuid, String)>,
    /// Units of equipment in use: pool, unit, type.
    pub(crate) units: Vec<(Uuid, i16, String)>,
    made_from: MadeFrom,
    /// The part of `made_from` that working hours depend on.
    hours_from: MadeFrom,
}

/// A practitioner.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    /// Their id as it is shown.
    pub(crate) shown_id: String,
    pub(crate) practitioner: Practitioner,
    pub(crate) certificates: Vec<Certificate>,
}

/// Everything that search needs of one organisation's directory.
pub(crate) struct Model {
    pub(crate) directory: Arc<Directory>,
    pub(crate) span: Span,
    pub(crate) places: Vec<Arc<Place>>,
    pub(crate) people: Vec<Person>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) travel: Travel,
    pub(crate) roads: Roads,
    place_index: HashMap<Uuid, u32>,
    person_index: HashMap<Uuid, u32>,
    seat_index: HashMap<(u32, u32), usize>,
}

/// The ticks that a model made at this instant covers.
pub(crate) fn span_at(now: Timestamp) -> Span {
    let today = tick::floor(now).div_euclid(PER_DAY);
    Span::new((today - DAYS_BEHIND) * PER_DAY, (today + DAYS_AHEAD) * PER_DAY)
}

/// Whether a span made earlier still serves: it is made anew each day, and one day late is early enough.
pub(crate) fn serves(span: Span, now: Timestamp) -> bool {
    (0..=PER_DAY).contains(&(span_at(now).start - span.start))
}

/// The entries in use, by what they belong to.
struct Sorted<'a> {
    children: HashMap<Uuid, Vec<&'a Entry>>,
}

impl<'a> Sorted<'a> {
    fn new(directory: &'a Directory) -> Self {
        let mut children: HashMap<Uuid, Vec<&Entry>> = HashMap::new();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.parent().is_some()) {
            for entry in directory.live(kind) {
                if let Some(parent) = entry.parent {
                    children.entry(parent).or_default().push(entry);
                }
            }
        }
        Self { children }
    }

    fn of(&self, parent: Uuid) -> &[&'a Entry] {
        self.children.get(&parent).map_or(&[], Vec::as_slice)
    }
}

impl Model {
    /// The model of a directory over some ticks; parts of `before` that are still right are shared.
    pub(crate) fn new(directory: Arc<Directory>, span: Span, travel: Travel, before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.span == span);
        let sorted = Sorted::new(&directory);
        let places = places(&directory, &sorted, span, before);
        let people = people(&directory, &sorted);
        let place_index = (0..).zip(&places).map(|(at, place)| (place.id, at)).collect();
        let person_index = (0..).zip(&people).map(|(at, person)| (person.id, at)).collect();
        let seats = seats(&sorted, span, &places, &place_index, &people, before);
        let seat_index = seats.iter().enumerate().map(|(at, seat)| ((seat.place, seat.person), at)).collect();
        let roads = Roads::new(travel, &places, people.len(), &seats);
        drop(sorted);
        Self { directory, span, places, people, seats, travel, roads, place_index, person_index, seat_index }
    }

    /// A location in use.
    pub(crate) fn place(&self, id: Uuid) -> Option<(u32, &Place)> {
        let at = *self.place_index.get(&id)?;
        Some((at, &self.places[at as usize]))
    }

    /// A practitioner in use.
    pub(crate) fn person(&self, id: Uuid) -> Option<(u32, &Person)> {
        let at = *self.person_index.get(&id)?;
        Some((at, &self.people[at as usize]))
    }

    /// A practitioner at a location.
    pub(crate) fn seat(&self, place: u32, person: u32) -> Option<&Seat> {
        self.seat_index.get(&(place, person)).map(|at| &self.seats[*at])
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
    pub(crate) fn service_ever(&self, id: Uuid) -> Option<&Service> {
        match &self.directory.get(Kind::Service, id)?.body {
            Body::Service(service) => Some(service),
            _ => None,
        }
    }
}

impl Person {
    /// Whether they hold the certificate at all, and whether it is valid on the day.
    pub(crate) fn holds(&self, code: &str, day: jiff::civil::Date) -> (bool, bool) {
        let mut held = self.certificates.iter().filter(|certificate| certificate.code == code).peekable();
        (held.peek().is_some(), held.any(|certificate| certificate.valid_on(day)))
    }
}

fn places(directory: &Directory, sorted: &Sorted<'_>, span: Span, before: Option<&Model>) -> Vec<Arc<Place>> {
    let mut places = Vec::new();
    for entry in directory.live(Kind::Location) {
        let children = sorted.of(entry.id);
        let made_from: MadeFrom =
            std::iter::once((entry.id, entry.version)).chain(children.iter().map(|it| (it.id, it.version))).collect();
        let same = before.and_then(|before| {
            let at = *before.place_index.get(&entry.id)?;
            Some(&before.places[at as usize]).filter(|place| place.made_from == made_from)
        });
        places.extend(same.cloned().or_else(|| place(entry, children, made_from, span).map(Arc::new)));
    }
    places
}

fn place(entry: &Entry, children: &[&Entry], made_from: MadeFrom, span: Span) -> Option<Place> {
    let Body::Location(location) = &entry.body else { return None };
    let zone = domain::time::zone(&location.time_zone)?;
    let mut place = Place {
        id: entry.id,
        shown_id: LocationId::new(entry.id).to_string(),
        location: location.clone(),
        zone: Zone::new(zone, span),
        closures: vec![],
        rooms: vec![],
        units: vec![],
        made_from,
        hours_from: vec![(entry.id, entry.version)],
    };
    for child in children {
        match &child.body {
            Body::Room(room) => place.rooms.push((child.id, room.room_type.clone())),
            Body::Equipment(pool) => {
                let units = 0..i16::try_from(pool.units).unwrap_or(0);
                place.units.extend(units.map(|unit| (child.id, unit, pool.equipment_type.clone())));
            }
            Body::Closure(closure) => {
                place.closures.push(closure.clone());
                place.hours_from.push((child.id, child.version));
            }
            _ => {}
        }
    }
    Some(place)
}

fn people(directory: &Directory, sorted: &Sorted<'_>) -> Vec<Person> {
    let certificates = |entry: &Entry| match &entry.body {
        Body::Certificate(certificate) => Some(certificate.clone()),
        _ => None,
    };
    directory
        .live(Kind::Practitioner)
        .filter_map(|entry| match &entry.body {
            Body::Practitioner(practitioner) => Some(Person {
                id: entry.id,
                shown_id: PractitionerId::new(entry.id).to_string(),
                practitioner: practitioner.clone(),
                certificates: sorted.of(entry.id).iter().filter_map(|child| certificates(child)).collect(),
            }),
            _ => None,
        })
        .collect()
}
