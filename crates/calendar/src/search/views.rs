//! Other answers from the same walk: a month at a glance, and location beside location.

use std::collections::BTreeMap;

use super::{
    Candidate, Found, Place, Query, Scratch,
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
    pub place: u32,
    /// How many starts fit, counted for each practitioner.
    pub starts: u32,
    /// The first of them.
    pub first: Tick,
}

/// Counts the starts of each local day and location, by day and then by location; days without any are left out.
/// The query's cursor and limit play no part.
pub fn days(query: &Query, places: &[Place<'_>], candidates: &[Candidate<'_>], scratch: &mut Scratch) -> Vec<Day> {
    let query = Query { after: None, ..query.clone() };
    let mut count = Count { prep: query.prep, places, days: BTreeMap::new() };
    walk(&query, places, candidates, scratch, &mut count);
    count.days.into_iter().map(|((day, place), (starts, first))| Day { day, place, starts, first }).collect()
}

struct Count<'a> {
    prep: i64,
    places: &'a [Place<'a>],
    /// By day and place: how many, and the first.
    days: BTreeMap<(i64, u32), (u32, Tick)>,
}

impl Count<'_> {
    fn add(&mut self, day: i64, place: u32, starts: u32, first: Tick) {
        let row = self.days.entry((day, place)).or_insert((0, first));
        row.0 += starts;
        row.1 = row.1.min(first);
    }
}

impl Sink for Count<'_> {
    fn take(&mut self, candidate: &Candidate<'_>, word: i64, starts: &[u64]) {
        let Some(place) = self.places.get(candidate.place as usize) else { return };
        for (at, bits) in (word..).zip(starts).filter(|(_, bits)| **bits != 0) {
            let first = at * 64 + self.prep;
            let tick = |bit: u32| first + i64::from(bit);
            // Most words lie within one local day.
            if let Some(day) = place.zone.only_day(Span::new(first, first + 64)) {
                self.add(day, candidate.place, bits.count_ones(), tick(bits.trailing_zeros()));
                continue;
            }
            for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
                self.add(place.zone.local(tick(bit)).day, candidate.place, 1, tick(bit));
            }
        }
    }

    fn enough(&mut self) -> bool {
        false
    }
}

/// The first `limit` starts of each place, in the order of the places; the query's cursor plays no part.
pub fn first_of_each_place(
    query: &Query,
    places: &[Place<'_>],
    candidates: &[Candidate<'_>],
    scratch: &mut Scratch,
) -> Vec<Vec<Found>> {
    let query = Query { after: None, ..query.clone() };
    let pages = places.iter().map(|_| Page::new(&query, candidates)).collect();
    let mut sink = Pages { pages, full: vec![query.limit == 0; places.len()] };
    for at in 0..places.len() {
        // Nobody works there, so there is nothing to wait for.
        sink.full[at] |= candidates.iter().all(|candidate| candidate.place as usize != at);
    }
    if sink.full.contains(&false) {
        walk(&query, places, candidates, scratch, &mut sink);
    }
    sink.pages.into_iter().map(Page::sorted).collect()
}

struct Pages<'q> {
    pages: Vec<Page<'q>>,
    full: Vec<bool>,
}

impl Sink for Pages<'_> {
    fn wants(&self, place: u32) -> bool {
        self.full.get(place as usize).is_some_and(|full| !full)
    }

    fn take(&mut self, candidate: &Candidate<'_>, word: i64, starts: &[u64]) {
        if let Some(page) = self.pages.get_mut(candidate.place as usize) {
            page.take(candidate, word, starts);
        }
    }

    fn enough(&mut self) -> bool {
        for (page, full) in self.pages.iter_mut().zip(&mut self.full) {
            *full |= page.enough();
        }
        self.full.iter().all(|full| *full)
    }
}
