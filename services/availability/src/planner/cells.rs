//! Open time cut into disjoint cells: intervals of one practitioner's time, each with a room and a unit of its own, so
//! that any cell can be assigned whatever becomes of the others.
//!
//! A cell serves a visit of any kind that can begin near its start, so that kinds of other lengths, buffers or grids do
//! not exclude each other; it is as long as the longest of them.

use std::collections::{HashMap, HashSet};

use calendar::{
    Span,
    tick::{MINUTES, PER_DAY, Tick},
};
use domain::claim::Kind;
use jiff::civil::Date;
use uuid::Uuid;

use super::starts::{OpenStarts, VisitKind};
use crate::{
    occupancy::Occupancy,
    slots::{
        limits::{Cap, Period},
        query::SlotQuery,
        search::OpenSlot,
    },
};

/// Starts of other kinds belong to a cell within this time after its start.
const NEAR: Tick = 30 / MINUTES;

/// A use of a cell: a kind of visit, and one of its open slots, both by position.
#[derive(Debug, Clone, Copy)]
pub(super) struct CellUse {
    pub(super) cell: usize,
    pub(super) kind: usize,
    pub(super) slot: usize,
}

/// Cuts the open slots of several kinds of visit into cells. Practitioners whom patients know come first where rooms are
/// short; a practitioner has no more cells in a day or week than their caps allow.
pub(super) fn cut(kinds: &[(VisitKind, OpenStarts)], occupancy: &Occupancy, known: &HashSet<Uuid>) -> Vec<CellUse> {
    let mut starts = Vec::new();
    for (kind, (_, found)) in kinds.iter().enumerate() {
        for (slot, open) in found.slots.iter().enumerate() {
            let practitioner = open.start.practitioner;
            let unknown = !known.contains(&found.query.index.practitioners[practitioner as usize].id);
            let claim_start = found.query.kernel.claim(open.start.tick).start;
            starts.push((claim_start, unknown, practitioner, kind, slot));
        }
    }
    starts.sort_unstable();
    let mut cutter =
        CellCutter { occupancy, last: HashMap::new(), reserved: HashMap::new(), caps: HashMap::new(), cells: 0 };
    let mut uses = Vec::new();
    for (_, _, practitioner, kind, slot) in starts {
        let starts = &kinds[kind].1;
        if let Some(cell) = cutter.add(practitioner, kind, &starts.query, &starts.slots[slot]) {
            uses.push(CellUse { cell, kind, slot });
        }
    }
    uses
}

/// A practitioner's last cell.
struct Cell {
    number: usize,
    span: Span,
    location: u32,
    needling: bool,
    kinds: Vec<usize>,
}

/// A room, or a unit of equipment.
type Resource = (Uuid, i16);

/// A cap of a practitioner in one period: practitioner, period, whether only needling counts, first day.
type CapKey = (u32, Period, bool, Date);

struct CellCutter<'a> {
    occupancy: &'a Occupancy,
    last: HashMap<u32, Cell>,
    /// The spans for which rooms and units are reserved, and for which cell.
    reserved: HashMap<Resource, Vec<(Span, usize)>>,
    /// The number of further cells that each cap allows.
    caps: HashMap<CapKey, usize>,
    cells: usize,
}

impl CellCutter<'_> {
    /// Adds a slot to the practitioner's last cell, or to a new one; `None` where it fits neither.
    fn add(&mut self, practitioner: u32, kind: usize, query: &SlotQuery, open: &OpenSlot) -> Option<usize> {
        let claim = query.kernel.claim(open.start.tick);
        // Group sessions are joined, not moved into.
        if query.service.capacity > 1 {
            return None;
        }
        if let Some(last) = self.last.get(&practitioner) {
            let near = claim.start < last.span.start + NEAR
                && last.location == open.start.location
                && !last.kinds.contains(&kind);
            if near {
                return self.extend(practitioner, kind, query, open, claim);
            }
            // No travel time from a location to itself.
            let travel = query.index.travel_times.between(last.location, open.start.location).unwrap_or(0);
            if claim.start < last.span.end + travel {
                return None;
            }
        }
        let number = self.cells;
        if !self.is_under_caps(query, open, |_| true) || !self.reserve(query, open, claim, number) {
            return None;
        }
        self.cells += 1;
        self.count(query, open, |_| true);
        let (location, needling) = (open.start.location, query.service.needling);
        self.last.insert(practitioner, Cell { number, span: claim, location, needling, kinds: vec![kind] });
        Some(number)
    }

    /// Adds a slot to the practitioner's last cell.
    fn extend(
        &mut self,
        practitioner: u32,
        kind: usize,
        query: &SlotQuery,
        open: &OpenSlot,
        claim: Span,
    ) -> Option<usize> {
        let last = self.last.get(&practitioner)?;
        let (number, span) = (last.number, Span::new(last.span.start, last.span.end.max(claim.end)));
        // The cell itself counts already; its first needling visit makes it count as needling, too.
        let becomes_needling = query.service.needling && !last.needling;
        if becomes_needling && !self.is_under_caps(query, open, |cap| cap.needling)
            || !self.reserve(query, open, span, number)
        {
            return None;
        }
        if becomes_needling {
            self.count(query, open, |cap| cap.needling);
        }
        let cell = self.last.get_mut(&practitioner)?;
        cell.span = span;
        cell.needling |= query.service.needling;
        cell.kinds.push(kind);
        Some(number)
    }

    /// The caps that apply to a slot, with their keys.
    fn caps_of(&self, query: &SlotQuery, open: &OpenSlot) -> impl Iterator<Item = (CapKey, Cap)> + use<> {
        let practitioner = open.start.practitioner;
        let date = query.location(open).zone.date(open.start.tick);
        let caps = Cap::all(&query.index.practitioners[practitioner as usize].body, &query.service);
        caps.map(move |cap| ((practitioner, cap.period, cap.needling, cap.period.first_day(date)), cap))
    }

    /// Whether each selected cap allows one more cell.
    fn is_under_caps(&mut self, query: &SlotQuery, open: &OpenSlot, select: fn(&Cap) -> bool) -> bool {
        let practitioner = query.index.practitioners[open.start.practitioner as usize].id;
        let zone = &query.location(open).zone;
        let occupancy = self.occupancy;
        let mut caps = self.caps_of(query, open).filter(|(_, cap)| select(cap));
        caps.all(|(key, cap)| {
            let remaining = || cap.remaining(occupancy, practitioner, cap.period.around(zone, key.3), &[]);
            *self.caps.entry(key).or_insert_with(remaining) > 0
        })
    }

    /// Counts one cell under the selected caps.
    fn count(&mut self, query: &SlotQuery, open: &OpenSlot, select: fn(&Cap) -> bool) {
        for (key, _) in self.caps_of(query, open).filter(|(_, cap)| select(cap)) {
            self.caps.entry(key).and_modify(|remaining| *remaining = remaining.saturating_sub(1));
        }
    }

    /// Reserves a room and a unit for a cell's whole span, where the service needs them.
    fn reserve(&mut self, query: &SlotQuery, open: &OpenSlot, span: Span, cell: usize) -> bool {
        let location = query.location(open);
        let rooms = location.rooms.iter().map(|(id, kind)| ((*id, 0), kind));
        let units = location.units.iter().map(|(id, unit, kind)| ((*id, *unit), kind));
        let room = self.first_free(query.service.room_type.as_ref(), Kind::Room, rooms, span, cell);
        let unit = self.first_free(query.service.equipment_type.as_ref(), Kind::Equipment, units, span, cell);
        let (Ok(room), Ok(unit)) = (room, unit) else { return false };
        for resource in room.into_iter().chain(unit) {
            self.reserved.entry(resource).or_default().push((span, cell));
        }
        true
    }

    /// The first resource of a type that is free and reserved for no other cell; `None` where no type is needed, `Err`
    /// where all are occupied.
    fn first_free<'a>(
        &self,
        wanted: Option<&String>,
        kind: Kind,
        mut all: impl Iterator<Item = (Resource, &'a String)>,
        span: Span,
        cell: usize,
    ) -> Result<Option<Resource>, ()> {
        let Some(wanted) = wanted else { return Ok(None) };
        let is_reserved = |resource: &Resource| {
            let meets = |(reserved, owner): &(Span, usize)| *owner != cell && !reserved.and(span).is_empty();
            // Reservations are sorted by start, and no visit takes a day.
            let near = |(reserved, _): &&(Span, usize)| reserved.start + PER_DAY > span.start;
            self.reserved.get(resource).is_some_and(|spans| spans.iter().rev().take_while(near).any(meets))
        };
        let found = all.find(|(resource, own)| {
            *own == wanted && self.occupancy.is_free(kind, resource.0, resource.1, span, &[]) && !is_reserved(resource)
        });
        found.map(|(resource, _)| Some(resource)).ok_or(())
    }
}
