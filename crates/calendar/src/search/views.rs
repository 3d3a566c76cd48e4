//! Other answers from the same walk: starts counted by day, and the first starts of each location.

use std::collections::BTreeMap;

use super::{
    Candidate, Location, Query, Scratch, Start,
    page::Page,
    walk::{Sink, walk},
};
use crate::tick::{Span, Tick};

/// The starts of one local day at one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970-01-01, in the location's own dates.
    pub day: i64,
    /// The index of the location.
    pub location: u32,
    /// How many starts fit, counted for each practitioner.
    pub starts: u32,
    /// The first of them.
    pub first: Tick,
}

/// Counts the starts of each local day and location, sorted by day and then by location; days without starts are left
/// out. The query's cursor and limit play no part.
pub fn days(
    query: &Query,
    locations: &[Location<'_>],
    candidates: &[Candidate<'_>],
    scratch: &mut Scratch,
) -> Vec<Day> {
    let query = Query { after: None, ..query.clone() };
    let mut count = DayCount { prep: query.prep, locations, days: BTreeMap::new() };
    walk(&query, locations, candidates, scratch, &mut count);
    let days = count.days.into_iter();
    days.map(|((day, location), (starts, first))| Day { day, location, starts, first }).collect()
}

struct DayCount<'a> {
    prep: i64,
    locations: &'a [Location<'a>],
    /// By day and location: the number of starts, and the first.
    days: BTreeMap<(i64, u32), (u32, Tick)>,
}

impl DayCount<'_> {
    fn add(&mut self, day: i64, location: u32, starts: u32, first: Tick) {
        let row = self.days.entry((day, location)).or_insert((0, first));
        row.0 += starts;
        row.1 = row.1.min(first);
    }
}

impl Sink for DayCount<'_> {
    fn push(&mut self, candidate: &Candidate<'_>, word: i64, starts: &[u64]) {
        let Some(location) = self.locations.get(candidate.location as usize) else { return };
        for (at, bits) in (word..).zip(starts).filter(|(_, bits)| **bits != 0) {
            let first = at * 64 + self.prep;
            let tick = |bit: u32| first + i64::from(bit);
            // Most words lie within one local day.
            if let Some(day) = location.zone.only_day(Span::new(first, first + 64)) {
                self.add(day, candidate.location, bits.count_ones(), tick(bits.trailing_zeros()));
                continue;
            }
            for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
                self.add(location.zone.local(tick(bit)).day, candidate.location, 1, tick(bit));
            }
        }
    }

    fn is_full(&mut self) -> bool {
        false
    }
}

/// The first `query.limit` starts of each location, in the order of the locations; the query's cursor plays no part.
pub fn first_of_each_location(
    query: &Query,
    locations: &[Location<'_>],
    candidates: &[Candidate<'_>],
    scratch: &mut Scratch,
) -> Vec<Vec<Start>> {
    let query = Query { after: None, ..query.clone() };
    let pages = locations.iter().map(|_| Page::new(&query, candidates)).collect();
    let mut sink = LocationPages { pages, full: vec![query.limit == 0; locations.len()] };
    for at in 0..locations.len() {
        // A location without practitioners never fills its page.
        sink.full[at] |= candidates.iter().all(|candidate| candidate.location as usize != at);
    }
    if sink.full.contains(&false) {
        walk(&query, locations, candidates, scratch, &mut sink);
    }
    sink.pages.into_iter().map(Page::sorted).collect()
}

struct LocationPages<'q> {
    pages: Vec<Page<'q>>,
    full: Vec<bool>,
}

impl Sink for LocationPages<'_> {
    fn wants(&self, location: u32) -> bool {
        self.full.get(location as usize).is_some_and(|full| !full)
    }

    fn push(&mut self, candidate: &Candidate<'_>, word: i64, starts: &[u64]) {
        if let Some(page) = self.pages.get_mut(candidate.location as usize) {
            page.push(candidate, word, starts);
        }
    }

    fn is_full(&mut self) -> bool {
        for (page, full) in self.pages.iter_mut().zip(&mut self.full) {
            *full |= page.is_full();
        }
        self.full.iter().all(|full| *full)
    }
}
