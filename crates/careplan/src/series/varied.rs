//! Series that are different in kind.
//!
//! Two series *differ* where, of the sessions to which both give a new time, every one is with another practitioner, or
//! every one is in another part of the day, or every one is on another day: a series that differs in a session or two is
//! the same offer. [`varied`] answers the cheapest series; then the cheapest that differs from it; then the cheapest that
//! differs from both, and so on.
//!
//! That is exact, by best-first search. A *region* is the series that differ from some earlier ones in one named respect
//! each; each session then leaves out the practitioner, the part of the day or the day that the earlier series has, which
//! the search of `search.rs` does without looking at a series more. The region whose cheapest series is the cheapest of
//! all comes first; one of which the bounds alone say that it is dearer waits, and is mostly never searched. Where that series differs from all that are answered, it is the next one. Where it does not differ
//! from one of them, the region falls into three: those that differ from that one by practitioner, by part of the day,
//! and by day. Together they hold every series of the region that can still be answered.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use super::{
    CURRENT, Candidate, Infeasible, Problem, SERIES_MAX, Series, bounds::NONE, pools::LeftOut, search::Search,
};

/// In which respect every session of one series differs from the same session of another.
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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Practitioner, Self::PartOfDay, Self::Day];

    fn between(self, one: &Candidate, other: &Candidate) -> bool {
        match self {
            Self::Practitioner => one.practitioner != other.practitioner,
            Self::PartOfDay => one.part() != other.part(),
            Self::Day => one.date != other.date,
        }
    }
}

impl Problem {
    /// In which respects two series differ; in all of them where they give no session a new time that both have.
    pub fn differences(&self, one: &[usize], other: &[usize]) -> impl Iterator<Item = Difference> {
        Difference::ALL.into_iter().filter(move |difference| self.differs(*difference, one, other))
    }

    fn differs(&self, difference: Difference, one: &[usize], other: &[usize]) -> bool {
        let both = self.sessions.iter().zip(one.iter().zip(other));
        let mut both = both.filter(|(_, (one, other))| **one != CURRENT && **other != CURRENT);
        both.all(|(session, (one, other))| difference.between(session.candidate(*one), session.candidate(*other)))
    }
}

/// The cheapest series and others that differ from it and from each other, each the cheapest that differs from all
/// before it; k of them, at most [`SERIES_MAX`], fewer where no more differ. Where the cheapest gives no session a new
/// time it is the only one.
///
/// # Errors
/// Where no series keeps the rules: the first session that cannot be reached.
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

/// Series that differ, in the respects that are named, from answered ones: by their places among these, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Region {
    /// Which of the searches: one for each part of the day that a series may keep to.
    search: usize,
    from: Vec<(usize, Difference)>,
}

/// A region that is still to be looked at.
struct Open {
    region: Region,
    /// The cost of its cheapest series, or a lower bound of it.
    cost: u64,
    /// Its cheapest series, once it is known.
    picks: Vec<usize>,
}

/// How a region's cost is known; of equal costs, the first of these comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// Its cheapest series is known.
    Exactly,
    /// From its bounds.
    AtLeast,
    /// From the region that it is a part of.
    FromWhole,
}

/// The regions that are still to be looked at.
struct Regions<'a> {
    problem: &'a Problem,
    searches: &'a [Search<'a>],
    made: HashSet<Region>,
    open: Vec<Option<Open>>,
    /// Their costs, and their places among the open ones.
    order: BinaryHeap<Reverse<(u64, Known, usize)>>,
}

impl<'a> Regions<'a> {
    /// All series.
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

    /// Takes the region with the cheapest series of all.
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
                // A region without a series holds nothing to answer.
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Puts the three parts of a region that differ from an answered series in its place.
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

    /// Which starts each session leaves out in a region.
    fn left_out(&self, region: &Region, answered: &[Vec<usize>]) -> Vec<LeftOut> {
        let numbers = &self.searches[region.search].numbers;
        let mut left_out = self.searches[region.search].nothing_left_out();
        for (from, difference) in &region.from {
            let picks = self.problem.sessions.iter().zip(&answered[*from]);
            for (out, (session, pick)) in left_out.iter_mut().zip(picks).filter(|(_, (_, pick))| **pick != CURRENT) {
                let candidate = session.candidate(*pick);
                match difference {
                    Difference::Practitioner => {
                        out.practitioners.extend(numbers.practitioners.get(&candidate.practitioner))
                    }
                    Difference::PartOfDay => out.parts.push(candidate.part()),
                    Difference::Day => out.days.push(super::day(candidate.date)),
                }
            }
        }
        left_out
    }
}
