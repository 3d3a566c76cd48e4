//! Pages of starts.

use super::{
    Answer, Candidate, Found, Place, Query, Scratch, rank,
    walk::{Sink, walk},
};

/// Starts beyond the limit that are let pile up before the latest are thrown away: one selection then costs less than
/// the look at the bits did.
const SLACK: usize = 1024;

/// The first starts of one answer.
pub(super) struct Page<'q> {
    query: &'q Query,
    practitioners: u32,
    pub(super) found: Vec<Found>,
}

impl<'q> Page<'q> {
    pub(super) fn new(query: &'q Query, candidates: &[Candidate<'_>]) -> Self {
        Self { query, practitioners: query.ranked(candidates), found: Vec::new() }
    }

    pub(super) fn take(&mut self, candidate: &Candidate<'_>, word: i64, starts: &[u64]) {
        for (at, bits) in (word..).zip(starts) {
            let mut bits = *bits;
            while bits != 0 {
                let start = at * 64 + i64::from(bits.trailing_zeros()) + self.query.prep;
                bits &= bits - 1;
                let one = Found {
                    start,
                    place: candidate.place,
                    rank: rank(candidate.practitioner, self.practitioners, start),
                    practitioner: candidate.practitioner,
                };
                if self.query.after.is_none_or(|after| one > after) {
                    self.found.push(one);
                }
            }
        }
        if self.found.len() >= self.query.limit.saturating_mul(2).saturating_add(SLACK) {
            self.prune();
        }
    }

    pub(super) fn enough(&mut self) -> bool {
        self.prune();
        self.found.len() >= self.query.limit
    }

    /// Throws away what can no longer come among the first, so that a free week of a big chain is not sorted whole.
    fn prune(&mut self) {
        let limit = self.query.limit;
        if limit > 0 && self.found.len() > limit {
            self.found.select_nth_unstable(limit - 1);
        }
        self.found.truncate(limit);
    }

    pub(super) fn sorted(mut self) -> Vec<Found> {
        self.found.sort_unstable();
        self.found
    }
}

impl Sink for Page<'_> {
    fn take(&mut self, candidate: &Candidate<'_>, word: i64, starts: &[u64]) {
        Page::take(self, candidate, word, starts);
    }

    fn enough(&mut self) -> bool {
        Page::enough(self)
    }
}

/// Finds the first starts that fit.
pub fn search(query: &Query, places: &[Place<'_>], candidates: &[Candidate<'_>], scratch: &mut Scratch) -> Answer {
    if query.limit == 0 {
        return Answer { found: vec![], searched_until: query.window.start };
    }
    // Kept for the next search, unless more is asked for than a page has.
    let keeps = query.limit <= SLACK;
    let mut room = if keeps { std::mem::take(&mut scratch.found) } else { Vec::new() };
    room.clear();
    let mut page = Page { found: room, ..Page::new(query, candidates) };
    let full = walk(query, places, candidates, scratch, &mut page);
    let mut found = page.sorted();
    if keeps {
        let first = found.clone();
        scratch.found = std::mem::replace(&mut found, first);
    }
    let last = found.last().filter(|_| full).map(|last| last.start);
    Answer { found, searched_until: last.unwrap_or(query.window.end) }
}

/// Every start that fits, whatever the limit: those of one practitioner at one location earliest first, and no other order,
/// which spares the sorting of what is wanted whole.
pub fn every(query: &Query, places: &[Place<'_>], candidates: &[Candidate<'_>], scratch: &mut Scratch) -> Vec<Found> {
    let query = Query { limit: usize::MAX, ..query.clone() };
    let mut page = Page::new(&query, candidates);
    walk(&query, places, candidates, scratch, &mut page);
    page.found
}
