//! What a series through a candidate costs at least.
//!
//! Without the hours of the day (that a visit begins after the one before it, and 48 hours between needling sessions) a
//! series is a way over days and pairs of practitioner and location, and the cheapest way to each and from each is found
//! in two passes. Whatever the hours forbid makes a series dearer, never cheaper; so a candidate whose cheapest way is
//! dearer than k series that are known need not be looked at.

use super::{
    Problem, day,
    nodes::{Numbers, Pair},
    solve::gap_between,
};

/// No way: more than any series costs, and small enough to be added to.
const NONE: u64 = u64::MAX / 8;

/// A candidate, and what it costs alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lean {
    pub(super) day: i32,
    pub(super) pair: u16,
    pub(super) pick: u32,
    pub(super) cost: u64,
}

/// A value for each day and pair.
struct Table {
    first: i32,
    pairs: usize,
    values: Vec<u64>,
}

/// The candidates of every session with the cost of the cheapest way through each.
pub(super) struct Bounds {
    leans: Vec<Vec<Lean>>,
    /// What the rest of the series costs at least.
    around: Vec<Table>,
    /// What any series costs at least.
    pub(super) least: u64,
}

impl Table {
    fn over(leans: &[Lean], pairs: usize) -> Self {
        let first = leans.iter().map(|lean| lean.day).min().unwrap_or(0);
        let last = leans.iter().map(|lean| lean.day).max().unwrap_or(-1);
        let days = usize::try_from(last - first + 1).unwrap_or(0);
        Self { first, pairs, values: vec![NONE; days * pairs] }
    }

    fn like(other: &Self, value: u64) -> Self {
        Self { first: other.first, pairs: other.pairs, values: vec![value; other.values.len()] }
    }

    fn at(&self, day: i32, pair: u16) -> usize {
        (day - self.first) as usize * self.pairs + usize::from(pair)
    }

    /// The days with their values.
    fn rows(&self) -> impl Iterator<Item = (i32, &[u64])> {
        (self.first..).zip(self.values.chunks(self.pairs.max(1)))
    }
}

/// The cheapest of one day: of all, of each practitioner, of each location, of each pair.
struct Cheapest<'a> {
    day: i32,
    all: u64,
    practitioners: Vec<u64>,
    locations: Vec<u64>,
    pairs: &'a [u64],
}

impl<'a> Cheapest<'a> {
    fn of(day: i32, pairs: &'a [u64], numbers: &Numbers) -> Option<Self> {
        let mut practitioners = vec![NONE; numbers.practitioners.len()];
        let mut locations = vec![NONE; numbers.locations.len()];
        let mut all = NONE;
        for (value, pair) in pairs.iter().zip(&numbers.list).filter(|(value, _)| **value < NONE) {
            let (own, place) =
                (&mut practitioners[usize::from(pair.practitioner)], &mut locations[usize::from(pair.location)]);
            (*own, *place, all) = ((*own).min(*value), (*place).min(*value), all.min(*value));
        }
        (all < NONE).then_some(Self { day, all, practitioners, locations, pairs })
    }

    /// The cheapest change between a pair of this day and another pair.
    fn to(&self, pair: &Pair, (other, away): (u64, u64)) -> u64 {
        self.pairs[usize::from(pair.number)]
            .min(self.practitioners[usize::from(pair.practitioner)] + away)
            .min(self.locations[usize::from(pair.location)] + other)
            .min(self.all + other + away)
    }
}

/// What the neighbour of a session adds at least, for each day and pair of it; `gap` is what the days between cost.
fn spread(
    open: &Table,
    from: &Table,
    numbers: &Numbers,
    changes: (u64, u64),
    gap: impl Fn(i32, i32) -> Option<u64>,
) -> Table {
    let mut spread = Table::like(open, NONE);
    let days: Vec<Cheapest<'_>> = from.rows().filter_map(|(day, row)| Cheapest::of(day, row, numbers)).collect();
    for (day, row) in open.rows() {
        let near: Vec<(&Cheapest<'_>, u64)> =
            days.iter().filter_map(|cheapest| Some((cheapest, gap(cheapest.day, day)?))).collect();
        for pair in numbers.list.iter().filter(|pair| row[usize::from(pair.number)] < NONE) {
            let least = near.iter().map(|(cheapest, gap)| cheapest.to(pair, changes) + gap).min();
            let at = spread.at(day, pair.number);
            spread.values[at] = least.unwrap_or(NONE).min(NONE);
        }
    }
    spread
}

impl Bounds {
    /// The bounds of a problem; `earliest` is the first day of each session that the ideal gaps give.
    pub(super) fn of(problem: &Problem, earliest: &[i32], numbers: &mut Numbers) -> Self {
        let leans: Vec<Vec<Lean>> =
            (0..problem.sessions.len()).map(|at| lean(problem, at, earliest[at], numbers)).collect();
        let own: Vec<Table> = leans.iter().map(|leans| cheapest(leans, numbers.list.len())).collect();
        let step = |at: usize| {
            let weights = &problem.weights;
            let past = problem.past(at - 1, at);
            if past { (0, 0) } else { (u64::from(weights.practitioner), u64::from(weights.location)) }
        };
        let plus = |one: &Table, other: &Table| Table {
            values: one.values.iter().zip(&other.values).map(|(one, other)| (one + other).min(NONE)).collect(),
            ..Table::like(one, NONE)
        };
        let mut before: Vec<Table> = Vec::with_capacity(own.len());
        for (at, open) in own.iter().enumerate() {
            let table = match at.checked_sub(1) {
                None => Table::like(open, 0),
                Some(last) => {
                    let from = plus(&before[last], &own[last]);
                    spread(open, &from, numbers, step(at), |from, to| gap_between(problem, at, from, to))
                }
            };
            before.push(table);
        }
        let mut around: Vec<Table> = Vec::with_capacity(own.len());
        let mut after: Option<Table> = None;
        for at in (0..own.len()).rev() {
            let open = &own[at];
            let table = match &after {
                None => Table::like(open, 0),
                Some(next) => {
                    let from = plus(next, &own[at + 1]);
                    let changes = step(at + 1);
                    spread(open, &from, numbers, changes, |from, to| gap_between(problem, at + 1, to, from))
                }
            };
            around.push(plus(&before[at], &table));
            after = Some(table);
        }
        around.reverse();
        let whole = |(around, own): (&Table, &Table)| plus(around, own).values.into_iter().min();
        let least = around.iter().zip(&own).next_back().and_then(whole).unwrap_or(0);
        Self { leans, around, least }
    }

    /// The candidates of a session through which a series may cost no more than a limit.
    pub(super) fn within(&self, at: usize, limit: u64) -> impl Iterator<Item = &Lean> {
        let around = &self.around[at];
        self.leans[at].iter().filter(move |lean| around.values[around.at(lean.day, lean.pair)] + lean.cost <= limit)
    }
}

fn lean(problem: &Problem, at: usize, earliest: i32, numbers: &mut Numbers) -> Vec<Lean> {
    // Candidates come in runs of one day.
    let mut today = None;
    let one = |(pick, candidate): (usize, &super::Candidate)| {
        let (_, day) = *today.insert(match today {
            Some((date, day)) if date == candidate.date => (date, day),
            _ => (candidate.date, day(candidate.date)),
        });
        Lean {
            day,
            pair: numbers.pair(candidate.practitioner, candidate.location).number,
            pick: pick as u32,
            cost: problem.alone(at, pick, day - earliest).cost(),
        }
    };
    problem.sessions[at].candidates.iter().enumerate().map(one).collect()
}

fn cheapest(leans: &[Lean], pairs: usize) -> Table {
    let mut table = Table::over(leans, pairs);
    for lean in leans {
        let at = table.at(lean.day, lean.pair);
        table.values[at] = table.values[at].min(lean.cost);
    }
    table
}
