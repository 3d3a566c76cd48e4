//! Time cut into cells that do not touch: stretches of one practitioner's time, each with a room and a unit of its own,
//! so that any of them can be given away whatever becomes of the others.

use std::collections::{HashMap, HashSet};

use calendar::{Span, tick::Tick};
use domain::claim::Kind;
use jiff::civil::Date;
use uuid::Uuid;

use super::{super::ask::Ask, super::find::Open, starts::Starts};
use crate::projection::Projection;

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
    let mut cutter = Cutter { projection, ends: HashMap::new(), kept: HashMap::new(), days: HashMap::new(), cells: 0 };
    let mut starts: Vec<(Tick, bool, u32, usize, usize)> = Vec::new();
    for (service, found) in services.iter().enumerate() {
        for (start, open) in found.open.iter().enumerate() {
            let person = open.found.practitioner;
            let stranger = !known.contains(&found.ask.model.people[person as usize].id);
            starts.push((open.found.start, stranger, person, service, start));
        }
    }
    starts.sort_unstable();
    let mut uses = Vec::new();
    for together in starts.chunk_by(|one, other| (one.0, one.2) == (other.0, other.2)) {
        cutter.cell(services, together, &mut uses);
    }
    uses
}

struct Cutter<'a> {
    projection: &'a Projection,
    /// Where each practitioner's last cell ends.
    ends: HashMap<u32, Tick>,
    /// The stretches for which rooms and units are kept already.
    kept: HashMap<(Uuid, i16), Vec<Span>>,
    /// How many cells more a practitioner's day takes, where it has a cap.
    days: HashMap<(u32, Date), usize>,
    cells: usize,
}

impl Cutter<'_> {
    /// Makes a cell of what a practitioner can begin at one tick, where their time is not cut yet.
    fn cell(&mut self, services: &[Starts], together: &[(Tick, bool, u32, usize, usize)], uses: &mut Vec<Use>) {
        let mut end = None;
        for (_, _, person, service, start) in together {
            let (ask, open) = (&services[*service].ask, &services[*service].open[*start]);
            let claim = ask.query.claim(open.found.start);
            let cut = self.ends.get(person).is_some_and(|end| claim.start < *end);
            // A group session is joined, not moved into.
            if cut || ask.service.capacity > 1 || !self.has_day(ask, open) || !self.keep(ask, open, claim) {
                continue;
            }
            uses.push(Use { cell: self.cells, service: *service, start: *start });
            end = end.max(Some((*person, claim.end)));
        }
        if let Some((person, end)) = end {
            self.ends.insert(person, end);
            self.cells += 1;
            let first = &services[together[0].3];
            let date = first.ask.model.places[first.open[together[0].4].found.place as usize].zone.date(together[0].0);
            self.days.entry((person, date)).and_modify(|left| *left = left.saturating_sub(1));
        }
    }

    fn has_day(&mut self, ask: &Ask, open: &Open) -> bool {
        let person = &ask.model.people[open.found.practitioner as usize];
        let Some(cap) = person.practitioner.daily_cap else { return true };
        let zone = &ask.model.places[open.found.place as usize].zone;
        let date = zone.date(open.found.start);
        let projection = self.projection;
        let left = self.days.entry((open.found.practitioner, date)).or_insert_with(|| {
            (cap as usize).saturating_sub(projection.visits(person.id, zone.dates(date, date), &[]))
        });
        *left > 0
    }

    /// Keeps a room and a unit for a cell, where the service needs them.
    fn keep(&mut self, ask: &Ask, open: &Open, claim: Span) -> bool {
        let place = &ask.model.places[open.found.place as usize];
        let rooms = place.rooms.iter().map(|(id, kind)| (*id, 0, kind));
        let units = place.units.iter().map(|(id, unit, kind)| (*id, *unit, kind));
        let room = self.free(ask.service.room_type.as_ref(), Kind::Room, rooms, claim);
        let unit = self.free(ask.service.equipment_type.as_ref(), Kind::Equipment, units, claim);
        let (Ok(room), Ok(unit)) = (room, unit) else { return false };
        for taken in room.into_iter().chain(unit) {
            self.kept.entry(taken).or_default().push(claim);
        }
        true
    }

    /// One of the type that is free and not kept: none where no type is needed, `Err` where all are taken.
    fn free<'a>(
        &self,
        wanted: Option<&String>,
        kind: Kind,
        mut all: impl Iterator<Item = (Uuid, i16, &'a String)>,
        claim: Span,
    ) -> Result<Option<(Uuid, i16)>, ()> {
        let Some(wanted) = wanted else { return Ok(None) };
        let kept = |key: &(Uuid, i16)| {
            self.kept.get(key).is_some_and(|spans| spans.iter().rev().any(|span| !span.and(claim).is_empty()))
        };
        let found = all.find(|(id, unit, own)| {
            *own == wanted && self.projection.is_free(kind, *id, *unit, claim, &[]) && !kept(&(*id, *unit))
        });
        found.map(|(id, unit, _)| Some((id, unit))).ok_or(())
    }
}
