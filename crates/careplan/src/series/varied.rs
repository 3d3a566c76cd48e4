//! Series that differ in kind.
//!
//! Two series *differ* where every session to which both give a new time is with another practitioner, or every one is in
//! another part of the day, or every one is on another day: a series with one other session is the same offer. [`varied`]
//! returns the cheapest series, then the cheapest that differs from it, then the cheapest that differs from both, and so on.
//!
//! The result is exact, by best-first search. A *region* is the set of series that differ from some earlier series in one
//! respect each: every session excludes the practitioner, the part of the day or the day of the earlier series, which
//! `search.rs` supports. The region with the cheapest series comes first; a region whose bounds alone exceed another's cost
//! waits, and is mostly never searched. If the cheapest series differs from all results, it is the next result. If it does
//! not differ from one of them, the region is divided into three: the series that differ from that result by practitioner,
//! by part of the day, and by day. Together these hold every remaining series of the region.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use super::{
    CURRENT, Candidate, Infeasible, Problem, SERIES_MAX, Series, bounds::NONE, pools::LeftOut, search::Search,
};

/// The respect in which every session of a series differs from the same session of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Difference {
    /// Another practitioner.
    Practitioner,
    /// Another part of the day.
    PartOfDay,
    /// Another day.
    Day,
}

impl Difference {
    /// All respects.
    pub const ALL: [Self; 3] = [Self::Practitioner, Self::PartOfDay, Self::Day];

    fn between(self, left: &Candidate, right: &Candidate) -> bool {
        match self {
            Self::Practitioner => left.practitioner != right.practitioner,
            Self::PartOfDay => left.part() != right.part(),
            Self::Day => left.date != right.date,
        }
    }
}

impl Problem {
    /// The respects in which two series differ; all of them where no session gets a new time in both.
    pub fn differences(&self, left: &[usize], right: &[usize]) -> impl Iterator<Item = Difference> {
        Difference::ALL.into_iter().filter(move |difference| self.differs(*difference, left, right))
    }

    fn differs(&self, difference: Difference, left: &[usize], right: &[usize]) -> bool {
        let both = self.sessions.iter().zip(left.iter().zip(right));
        let mut both = both.filter(|(_, (left, right))| **left != CURRENT && **right != CURRENT);
        both.all(|(session, (left, right))| difference.between(session.candidate(*left), session.candidate(*right)))
    }
}

/// The cheapest series and alternatives, each the cheapest that differs from all before it: k of them, at most
/// [`SERIES_MAX`], fewer where no more differ. If the cheapest gives no session a new time, it is the only one.
///
/// # Errors
/// When no series keeps the rules: the first session that cannot be reached.
pub fn varied(problem: &Problem, k: usize) -> Result<Vec<Series>, Infeasible> {
    let searches: Vec<Search<'_>> = problem.parts().iter().map(|part| Search::new(problem, *part)).collect();
    let mut regions = Regions::whole(problem, &searches);
    let mut answered: Vec<Vec<usize>> = Vec::new();
    while let Some(Open { region, cost, picks }) = regions.cheapest(&answered)? {
        let same = |known: &Vec<usize>| problem.differences(known, &picks).next().is_none();
        let like = match answered.iter().position(same) {
            Some(like) => like,
            None => {
                let is_new = picks.iter().any(|pick| *pick != CURRENT);
                answered.push(picks);
                if answered.len() == k.clamp(1, SERIES_MAX) || !is_new {
                    break;
                }
                answered.len() - 1
            }
        };
        regions.divide(&region, cost, like);
    }
    Ok(answered.into_iter().map(|picks| Series { terms: problem.terms(&picks), picks }).collect())
}

/// The series that differ from earlier results (by their index) in one respect each, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Region {
    /// The index of the search: there is one for each part of the day that a series may keep to.
    search: usize,
    from: Vec<(usize, Difference)>,
}

/// A region that is still to be searched.
struct Open {
    region: Region,
    /// The cost of its cheapest series, or a lower bound.
    cost: u64,
    /// Its cheapest series, once known.
    picks: Vec<usize>,
}

/// The precision of a region's cost; of regions with equal costs, the more precise comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// The cost of its cheapest series.
    Exactly,
    /// A lower bound from its own bounds.
    AtLeast,
    /// A lower bound from the region that it is a part of.
    FromWhole,
}

/// The regions that are still to be searched.
struct Regions<'a> {
    problem: &'a Problem,
    searches: &'a [Search<'a>],
    made: HashSet<Region>,
    open: Vec<Option<Open>>,
    /// Their costs, and their indices in `open`.
    order: BinaryHeap<Reverse<(u64, Known, usize)>>,
}

impl<'a> Regions<'a> {
    /// The regions of all series.
    fn whole(problem: &'a Problem, searches: &'a [Search<'a>]) -> Self {
        let (made, open, order) = Default::default();
        let mut regions = Self { problem, searches, made, open, order };
        for search in 0..searches.len() {
            regions.add(Open { region: Region { search, from: vec![] }, cost: 0, picks: vec![] }, Known::FromWhole);
        }
        regions
    }

    fn add(&mut self, open: Open, known: Known) {
        self.order.push(Reverse((open.cost, known, self.open.len())));
        self.open.push(Some(open));
    }

    /// Removes the region with the cheapest series.
    fn cheapest(&mut self, answered: &[Vec<usize>]) -> Result<Option<Open>, Infeasible> {
        while let Some(Reverse((_, known, at))) = self.order.pop() {
            let Some(open) = self.open[at].take() else { continue };
            if known == Known::Exactly {
                return Ok(Some(open));
            }
            let search = &self.searches[open.region.search];
            let is_whole = open.region.from.is_empty();
            let bounds = search.bounds(self.left_out(&open.region, answered));
            if bounds.least >= NONE && !is_whole {
                continue;
            }
            let next = self.order.peek().map_or(u64::MAX, |Reverse((cost, ..))| *cost);
            if known == Known::FromWhole && bounds.least > next {
                self.add(Open { cost: bounds.least, ..open }, Known::AtLeast);
                continue;
            }
            match search.best(&bounds, 1) {
                Ok(found) => {
                    for found in found {
                        let region = open.region.clone();
                        self.add(Open { region, cost: found.cost, picks: found.picks }, Known::Exactly);
                    }
                }
                Err(infeasible) if is_whole => return Err(infeasible),
                // A region without a series is dropped.
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Replaces a region by its three parts that differ from a result.
    fn divide(&mut self, region: &Region, cost: u64, like: usize) {
        for difference in Difference::ALL {
            let mut part = region.clone();
            part.from.push((like, difference));
            part.from.sort_unstable();
            if self.made.insert(part.clone()) {
                self.add(Open { region: part, cost, picks: vec![] }, Known::FromWhole);
            }
        }
    }

    /// The starts that each session excludes in a region.
    fn left_out(&self, region: &Region, answered: &[Vec<usize>]) -> Vec<LeftOut> {
        let interner = &self.searches[region.search].interner;
        let mut left_out = self.searches[region.search].no_exclusions();
        for (from, difference) in &region.from {
            let picks = self.problem.sessions.iter().zip(&answered[*from]);
            for (out, (session, pick)) in left_out.iter_mut().zip(picks).filter(|(_, (_, pick))| **pick != CURRENT) {
                let candidate = session.candidate(*pick);
                match difference {
                    Difference::Practitioner => {
                        out.practitioners.extend(interner.practitioners.get(&candidate.practitioner))
                    }
                    Difference::PartOfDay => out.parts.push(candidate.part()),
                    Difference::Day => out.days.push(super::day(candidate.date)),
                }
            }
        }
        left_out
    }
}
