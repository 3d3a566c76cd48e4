//! Time cut into cells that do not touch: stretches of one practitioner's time, each with a room and a unit of its own,
//! so that any of them can be given away whatever becomes of the others.
//!
//! A cell can hold a visit of any service that can begin near its start, so that services of other lengths, buffers or
//! grids do not shut each other out; it is as long as the longest of them.

use std::collections::{HashMap, HashSet};

use calendar::{
    Span,
    tick::{MINUTES, PER_DAY, Tick},
};
use domain::claim::Kind;
use jiff::civil::Date;
use uuid::Uuid;

use super::starts::Starts;
use crate::{
    occupancy::Projection,
    slots::{
        limits::{Cap, Period},
        query::Ask,
        search::Open,
    },
};

/// Another service of the cell may begin so much later than the first.
const NEAR: Tick = 30 / MINUTES;

/// What a cell can be used for: a service of the question and one of its starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) cell: usize,
    pub(super) service: usize,
    pub(super) start: usize,
}

/// Cuts the open starts of several services into cells. Practitioners whom patients know come first where rooms are
/// short; a practitioner's day has no more cells than its cap leaves.
pub(super) fn cut(services: &[Starts], projection: &Projection, known: &HashSet<Uuid>) -> Vec<Use> {
    let mut starts = Vec::new();
    for (service, found) in services.iter().enumerate() {
        for (start, open) in found.open.iter().enumerate() {
            let person = open.found.practitioner;
            let stranger = !known.contains(&found.ask.model.people[person as usize].id);
            starts.push((found.ask.query.claim(open.found.start).start, stranger, person, service, start));
        }
    }
    starts.sort_unstable();
    let mut cutter = Cutter { projection, last: HashMap::new(), kept: HashMap::new(), caps: HashMap::new(), cells: 0 };
    let mut uses = Vec::new();
    for (_, _, person, service, start) in starts {
        let (ask, open) = (&services[service].ask, &services[service].open[start]);
        if let Some(cell) = cutter.put(person, service, ask, open) {
            uses.push(Use { cell, service, start });
        }
    }
    uses
}

/// A practitioner's last cell.
struct Cell {
    number: usize,
    span: Span,
    place: u32,
    needling: bool,
    services: Vec<usize>,
}

/// A room, or a unit of equipment.
type Thing = (Uuid, i16);

struct Cutter<'a> {
    projection: &'a Projection,
    last: HashMap<u32, Cell>,
    /// The stretches for which rooms and units are kept already, and for which cell.
    kept: HashMap<Thing, Vec<(Span, usize)>>,
    /// How many cells more a practitioner's day or week takes, where it has a cap; of needling alone, or of all.
    caps: HashMap<(u32, Period, bool, Date), usize>,
    cells: usize,
}

impl Cutter<'_> {
    /// Puts a start into the practitioner's last cell, or into a new one; `None` where it fits neither.
    fn put(&mut self, person: u32, service: usize, ask: &Ask, open: &Open) -> Option<usize> {
        let claim = ask.query.claim(open.found.start);
        // A group session is joined, not moved into.
        if ask.service.capacity > 1 {
            return None;
        }
        if let Some(last) = self.last.get(&person) {
            let near = claim.start < last.span.start + NEAR
                && last.place == open.found.place
                && !last.services.contains(&service);
            let (number, span) = (last.number, Span::new(last.span.start, last.span.end.max(claim.end)));
            // The cell was counted when it was made; needling that comes into it counts as needling, too.
            let more = ask.service.needling && !last.needling;
            if near {
                if more && !self.under_caps(ask, open, |cap| cap.needling) || !self.keep(ask, open, span, number) {
                    return None;
                }
                if more {
                    self.count(ask, open, |cap| cap.needling);
                }
                let cell = self.last.get_mut(&person)?;
                cell.span = span;
                cell.needling |= ask.service.needling;
                cell.services.push(service);
                return Some(number);
            }
            // Nobody is on the way from a place to itself.
            let road = ask.model.roads.between(last.place, open.found.place).unwrap_or(0);
            if claim.start < last.span.end + road {
                return None;
            }
        }
        let number = self.cells;
        if !self.under_caps(ask, open, |_| true) || !self.keep(ask, open, claim, number) {
            return None;
        }
        self.cells += 1;
        self.count(ask, open, |_| true);
        self.last.insert(
            person,
            Cell {
                number,
                span: claim,
                place: open.found.place,
                needling: ask.service.needling,
                services: vec![service],
            },
        );
        Some(number)
    }

    /// The caps that a start comes under, with the period of each that it lies in.
    fn caps_of(&self, ask: &Ask, open: &Open) -> impl Iterator<Item = ((u32, Period, bool, Date), Cap)> + use<> {
        let person = open.found.practitioner;
        let date = ask.model.places[open.found.place as usize].zone.date(open.found.start);
        let caps = Cap::all(&ask.model.people[person as usize].practitioner, &ask.service);
        caps.map(move |cap| ((person, cap.period, cap.needling, cap.period.first(date)), cap))
    }

    /// Whether each of some caps takes one more.
    fn under_caps(&mut self, ask: &Ask, open: &Open, which: fn(&Cap) -> bool) -> bool {
        let person = ask.model.people[open.found.practitioner as usize].id;
        let zone = &ask.model.places[open.found.place as usize].zone;
        let projection = self.projection;
        let mut caps = self.caps_of(ask, open).filter(|(_, cap)| which(cap));
        caps.all(|(key, cap)| {
            let left = || cap.left(projection, person, cap.period.around(zone, key.3), &[]);
            *self.caps.entry(key).or_insert_with(left) > 0
        })
    }

    /// Counts one more under some caps.
    fn count(&mut self, ask: &Ask, open: &Open, which: fn(&Cap) -> bool) {
        for (key, _) in self.caps_of(ask, open).filter(|(_, cap)| which(cap)) {
            self.caps.entry(key).and_modify(|left| *left = left.saturating_sub(1));
        }
    }

    /// Keeps a room and a unit for a cell throughout, where the service needs them.
    fn keep(&mut self, ask: &Ask, open: &Open, span: Span, cell: usize) -> bool {
        let place = &ask.model.places[open.found.place as usize];
        let rooms = place.rooms.iter().map(|(id, kind)| ((*id, 0), kind));
        let units = place.units.iter().map(|(id, unit, kind)| ((*id, *unit), kind));
        let room = self.free(ask.service.room_type.as_ref(), Kind::Room, rooms, span, cell);
        let unit = self.free(ask.service.equipment_type.as_ref(), Kind::Equipment, units, span, cell);
        let (Ok(room), Ok(unit)) = (room, unit) else { return false };
        for thing in room.into_iter().chain(unit) {
            self.kept.entry(thing).or_default().push((span, cell));
        }
        true
    }

    /// One of the type that is free and kept for no other cell: none where no type is needed, `Err` where all are taken.
    fn free<'a>(
        &self,
        wanted: Option<&String>,
        kind: Kind,
        mut all: impl Iterator<Item = (Thing, &'a String)>,
        span: Span,
        cell: usize,
    ) -> Result<Option<Thing>, ()> {
        let Some(wanted) = wanted else { return Ok(None) };
        let kept = |thing: &Thing| {
            let meets = |(kept, owner): &(Span, usize)| *owner != cell && !kept.and(span).is_empty();
            // They come in the order of their starts, and no visit takes a day.
            let near = |(kept, _): &&(Span, usize)| kept.start + PER_DAY > span.start;
            self.kept.get(thing).is_some_and(|spans| spans.iter().rev().take_while(near).any(meets))
        };
        let found = all.find(|(thing, own)| {
            *own == wanted && self.projection.is_free(kind, thing.0, thing.1, span, &[]) && !kept(thing)
        });
        found.map(|(thing, _)| Some(thing)).ok_or(())
    }
}
