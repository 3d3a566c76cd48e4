//! The directory as search needs it: rosters as bits, zones as tables, rooms and equipment as lists. Pure.

use std::{collections::HashMap, sync::Arc};

use calendar::{
    Bits, Span, Zone, roster,
    tick::{self, PER_DAY},
};
use domain::{
    directory::{Body, Certificate, Closure, Kind, Location, Practitioner, Service},
    time::Interval,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::directory::snapshot::Directory;

/// Days behind today that the model covers.
const DAYS_BEHIND: i64 = 2;
/// Days from today on that it covers: the longest horizon, and room for the last visit.
const DAYS_AHEAD: i64 = 402;

/// A location.
pub(crate) struct Place {
    pub(crate) id: Uuid,
    pub(crate) location: Location,
    pub(crate) zone: Zone,
    pub(crate) closures: Vec<Closure>,
    /// Rooms in use with their types.
    pub(crate) rooms: Vec<(Uuid, String)>,
    /// Units of equipment in use: pool, unit, type.
    pub(crate) units: Vec<(Uuid, i16, String)>,
}

/// A practitioner.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) practitioner: Practitioner,
    pub(crate) certificates: Vec<Certificate>,
}

/// A practitioner at a location, with the ticks at which they work there.
pub(crate) struct Seat {
    pub(crate) place: u32,
    pub(crate) person: u32,
    pub(crate) roster: Bits,
}

/// Everything that search needs of one organisation's directory.
pub(crate) struct Model {
    pub(crate) directory: Arc<Directory>,
    pub(crate) span: Span,
    pub(crate) places: Vec<Place>,
    pub(crate) people: Vec<Person>,
    pub(crate) seats: Vec<Seat>,
    place_index: HashMap<Uuid, u32>,
    person_index: HashMap<Uuid, u32>,
}

/// The ticks that a model made at this instant covers.
pub(crate) fn span_at(now: Timestamp) -> Span {
    let today = tick::floor(now).div_euclid(PER_DAY);
    Span::new((today - DAYS_BEHIND) * PER_DAY, (today + DAYS_AHEAD) * PER_DAY)
}

impl Model {
    pub(crate) fn new(directory: Arc<Directory>, span: Span) -> Self {
        let places: Vec<Place> = places(&directory, span);
        let people = people(&directory);
        let place_index = (0..).zip(&places).map(|(at, place)| (place.id, at)).collect();
        let person_index = (0..).zip(&people).map(|(at, person)| (person.id, at)).collect();
        let mut model = Self { directory, span, places, people, seats: vec![], place_index, person_index };
        model.seats = seats(&model);
        model
    }

    pub(crate) fn place(&self, id: Uuid) -> Option<(u32, &Place)> {
        let at = *self.place_index.get(&id)?;
        Some((at, &self.places[at as usize]))
    }

    pub(crate) fn person(&self, id: Uuid) -> Option<(u32, &Person)> {
        let at = *self.person_index.get(&id)?;
        Some((at, &self.people[at as usize]))
    }

    pub(crate) fn seat(&self, place: u32, person: u32) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.place == place && seat.person == person)
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

    /// The ticks of visits at a place on days when a certificate is valid; sorted and apart.
    pub(crate) fn certified(&self, code: &str, zone: &Zone, span: Span) -> Vec<Span> {
        let (first, last) = (zone.date(span.start), zone.date(span.end));
        let mut spans: Vec<Span> = self
            .certificates
            .iter()
            .filter(|certificate| certificate.code == code)
            .map(|certificate| (certificate.valid_from.max(first), certificate.valid_to.unwrap_or(last).min(last)))
            .filter(|(from, to)| from <= to)
            .map(|(from, to)| zone.dates(from, to))
            .collect();
        spans.sort_unstable();
        merged(spans)
    }
}

fn merged(spans: Vec<Span>) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

fn places(directory: &Directory, span: Span) -> Vec<Place> {
    let of = |kind, place: Uuid| {
        directory.live(kind).filter(move |entry| entry.parent == Some(place)).map(|entry| (entry.id, &entry.body))
    };
    let mut places = Vec::new();
    for entry in directory.live(Kind::Location) {
        let Body::Location(location) = &entry.body else { continue };
        let Some(zone) = domain::time::zone(&location.time_zone) else { continue };
        let rooms = of(Kind::Room, entry.id).filter_map(|(id, body)| match body {
            Body::Room(room) => Some((id, room.room_type.clone())),
            _ => None,
        });
        let units = of(Kind::Equipment, entry.id).flat_map(|(id, body)| match body {
            Body::Equipment(pool) => (0..i16::try_from(pool.units).unwrap_or(0))
                .map(|unit| (id, unit, pool.equipment_type.clone()))
                .collect(),
            _ => vec![],
        });
        let closures = of(Kind::Closure, entry.id).filter_map(|(_, body)| match body {
            Body::Closure(closure) => Some(closure.clone()),
            _ => None,
        });
        places.push(Place {
            id: entry.id,
            location: location.clone(),
            zone: Zone::new(zone, span),
            closures: closures.collect(),
            rooms: rooms.collect(),
            units: units.collect(),
        });
    }
    places
}

fn people(directory: &Directory) -> Vec<Person> {
    let mut people: Vec<Person> = directory
        .live(Kind::Practitioner)
        .filter_map(|entry| match &entry.body {
            Body::Practitioner(practitioner) => {
                Some(Person { id: entry.id, practitioner: practitioner.clone(), certificates: vec![] })
            }
            _ => None,
        })
        .collect();
    let index: HashMap<Uuid, usize> = people.iter().enumerate().map(|(at, person)| (person.id, at)).collect();
    for entry in directory.live(Kind::Certificate) {
        if let Body::Certificate(certificate) = &entry.body
            && let Some(at) = entry.parent.and_then(|parent| index.get(&parent))
        {
            people[*at].certificates.push(certificate.clone());
        }
    }
    people
}

fn seats(model: &Model) -> Vec<Seat> {
    let mut seats: Vec<Seat> = Vec::new();
    for entry in model.directory.live(Kind::Roster) {
        let Body::Roster(roster) = &entry.body else { continue };
        let person = entry.parent.and_then(|parent| model.person(parent));
        let (Some((person, _)), Some((place, at))) = (person, model.place(roster.location_id.uuid())) else { continue };
        let found = seats.iter().position(|seat| seat.place == place && seat.person == person);
        let seat = found.unwrap_or_else(|| {
            seats.push(Seat { place, person, roster: Bits::new(model.span) });
            seats.len() - 1
        });
        roster::work(&mut seats[seat].roster, &at.zone, roster);
    }
    for seat in &mut seats {
        let place = &model.places[seat.place as usize];
        roster::open(&mut seat.roster, &place.zone, &place.location.opening_hours);
        for closure in &place.closures {
            seat.roster.clear(place.zone.dates(closure.starts_on, closure.ends_on));
        }
    }
    for entry in model.directory.live(Kind::TimeOff) {
        let Body::TimeOff(time_off) = &entry.body else { continue };
        let Some((person, _)) = entry.parent.and_then(|parent| model.person(parent)) else { continue };
        let Some(interval) = Interval::new(time_off.starts_at, time_off.ends_at) else { continue };
        for seat in seats.iter_mut().filter(|seat| seat.person == person) {
            seat.roster.clear(Span::touching(interval));
        }
    }
    seats
}
