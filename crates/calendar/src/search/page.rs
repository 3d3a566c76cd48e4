//! Pages of starts.

use super::{
    Answer, Candidate, Location, Query, Scratch, Start, rank,
    walk::{Sink, walk},
};

/// Starts collected beyond the limit before the latest are discarded. One selection then costs less than reading the
/// bits did.
const SLACK: usize = 1024;

/// The first starts of one answer.
pub(super) struct Page<'q> {
    query: &'q Query,
    practitioners: u32,
    starts: Vec<Start>,
}

impl<'q> Page<'q> {
    pub(super) fn new(query: &'q Query, candidates: &[Candidate<'_>]) -> Self {
        Self { query, practitioners: query.ranked(candidates), starts: Vec::new() }
    }

    /// Discards the starts that cannot be among the first `limit`, so that a free week of a big chain is not sorted whole.
    fn prune(&mut self) {
        let limit = self.query.limit;
        if limit > 0 && self.starts.len() > limit {
            self.starts.select_nth_unstable(limit - 1);
        }
        self.starts.truncate(limit);
    }

    pub(super) fn sorted(mut self) -> Vec<Start> {
        self.starts.sort_unstable();
        self.starts
    }
}

impl Sink for Page<'_> {
    fn push(&mut self, candidate: &Candidate<'_>, word: i64, starts: &[u64]) {
        for (at, bits) in (word..).zip(starts) {
            let mut bits = *bits;
            while bits != 0 {
                let tick = at * 64 + i64::from(bits.trailing_zeros()) + self.query.prep;
                bits &= bits - 1;
                let start = Start {
                    tick,
                    location: candidate.location,
                    rank: rank(candidate.practitioner, self.practitioners, tick),
                    practitioner: candidate.practitioner,
                };
                if self.query.after.is_none_or(|after| start > after) {
                    self.starts.push(start);
                }
            }
        }
        if self.starts.len() >= self.query.limit.saturating_mul(2).saturating_add(SLACK) {
            self.prune();
        }
    }

    fn is_full(&mut self) -> bool {
        self.prune();
        self.starts.len() >= self.query.limit
    }
}

/// The first starts that fit, at most `query.limit`, in order.
pub fn search(
    query: &Query,
    locations: &[Location<'_>],
    candidates: &[Candidate<'_>],
    scratch: &mut Scratch,
) -> Answer {
    if query.limit == 0 {
        return Answer { starts: vec![], searched_until: query.window.start };
    }
    // The buffer serves the next search too, unless this one asks for more than a page.
    let keeps_buffer = query.limit <= SLACK;
    let mut buffer = if keeps_buffer { std::mem::take(&mut scratch.starts) } else { Vec::new() };
    buffer.clear();
    let mut page = Page { starts: buffer, ..Page::new(query, candidates) };
    let full = walk(query, locations, candidates, scratch, &mut page);
    let mut starts = page.sorted();
    if keeps_buffer {
        let first = starts.clone();
        scratch.starts = std::mem::replace(&mut starts, first);
    }
    let last = starts.last().filter(|_| full).map(|last| last.tick);
    Answer { starts, searched_until: last.unwrap_or(query.window.end) }
}

/// Every start that fits; the query's limit plays no part. Starts of one practitioner at one location come earliest
/// first; the whole is not sorted, which a caller that needs everything does not pay for.
pub fn all(
    query: &Query,
    locations: &[Location<'_>],
    candidates: &[Candidate<'_>],
    scratch: &mut Scratch,
) -> Vec<Start> {
    let query = Query { limit: usize::MAX, ..query.clone() };
    let mut page = Page::new(&query, candidates);
    walk(&query, locations, candidates, scratch, &mut page);
    page.starts
}
