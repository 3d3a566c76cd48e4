//! Lower bounds of the cost of a series through each candidate.
//!
//! Without the rules on hours (a visit begins after the previous one; 48 hours between needling sessions) a series is a path
//! over days and pairs of practitioner and location. Two passes find the cheapest path to each pair and from each pair. The
//! rules on hours can only raise the cost of a series, so a candidate whose cheapest path costs more than k known series is
//! not searched.

use super::{
    Problem, day,
    nodes::{Interner, Pair},
    pools::{LeftOut, Pools, Scored},
    solve::gap_between,
};

/// No path: more than any series costs, and small enough for additions.
pub(super) const NONE: u64 = u64::MAX / 8;

/// A value for each day and pair.
struct Table {
    first: i32,
    pairs: usize,
    values: Vec<u64>,
}

/// The starts that a session may have.
struct Choice {
    /// The indices of its groups in its pool.
    groups: Vec<u32>,
    left_out: LeftOut,
    /// The further cost of each day, from the first day of its table.
    late: Vec<u64>,
}

/// The candidates of every session, with the cost of the cheapest path through each.
pub(super) struct Bounds<'a> {
    pools: &'a Pools,
    choices: Vec<Choice>,
    /// The least cost of the other sessions of the series.
    around: Vec<Table>,
    /// The least cost of any series.
    pub(super) least: u64,
}

impl Table {
    fn over(days: impl Iterator<Item = i32> + Clone, pairs: usize) -> Self {
        let (first, last) = (days.clone().min().unwrap_or(0), days.max().unwrap_or(-1));
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

/// The least costs of one day: of all pairs, of each practitioner, of each location, and of each pair.
struct Cheapest<'a> {
    day: i32,
    all: u64,
    practitioners: Vec<u64>,
    locations: Vec<u64>,
    pairs: &'a [u64],
}

impl<'a> Cheapest<'a> {
    fn of(day: i32, pairs: &'a [u64], interner: &Interner) -> Option<Self> {
        let mut practitioners = vec![NONE; interner.practitioners.len()];
        let mut locations = vec![NONE; interner.locations.len()];
        let mut all = NONE;
        for (value, pair) in pairs.iter().zip(&interner.list).filter(|(value, _)| **value < NONE) {
            let (practitioner, location) =
                (&mut practitioners[usize::from(pair.practitioner)], &mut locations[usize::from(pair.location)]);
            (*practitioner, *location, all) = ((*practitioner).min(*value), (*location).min(*value), all.min(*value));
        }
        (all < NONE).then_some(Self { day, all, practitioners, locations, pairs })
    }
}

/// The least costs of several days, each with the cost of its gap.
struct Near {
    all: u64,
    practitioners: Vec<u64>,
    locations: Vec<u64>,
    pairs: Vec<u64>,
}

impl Near {
    fn of<'a>(days: impl Iterator<Item = (&'a Cheapest<'a>, u64)>, interner: &Interner) -> Self {
        let none = |count: usize| vec![NONE; count];
        let (practitioners, locations) = (none(interner.practitioners.len()), none(interner.locations.len()));
        let mut near = Self { all: NONE, practitioners, locations, pairs: none(interner.list.len()) };
        for (cheapest, gap) in days {
            near.all = near.all.min(cheapest.all + gap);
            lower(&mut near.practitioners, &cheapest.practitioners, gap);
            lower(&mut near.locations, &cheapest.locations, gap);
            lower(&mut near.pairs, cheapest.pairs, gap);
        }
        near
    }

    /// The least cost of a change to a pair; `change` is the cost of another practitioner and of another location.
    fn to(&self, pair: &Pair, (practitioner, location): (u64, u64)) -> u64 {
        self.pairs[usize::from(pair.number)]
            .min(self.practitioners[usize::from(pair.practitioner)] + location)
            .min(self.locations[usize::from(pair.location)] + practitioner)
            .min(self.all + practitioner + location)
    }
}

/// Lowers each value to the other value plus the cost of a gap.
fn lower(values: &mut [u64], others: &[u64], gap: u64) {
    for (value, other) in values.iter_mut().zip(others) {
        *value = (*value).min(other + gap);
    }
}

/// The least cost of a session's neighbour, for each day and pair of the session; `gap` is the cost of the days between.
fn spread(
    open: &Table,
    from: &Table,
    interner: &Interner,
    changes: (u64, u64),
    gap: impl Fn(i32, i32) -> Option<u64>,
) -> Table {
    let mut spread = Table::like(open, NONE);
    let days: Vec<Cheapest<'_>> = from.rows().filter_map(|(day, row)| Cheapest::of(day, row, interner)).collect();
    for (day, row) in open.rows().filter(|(_, row)| row.iter().any(|value| *value < NONE)) {
        let near = days.iter().filter_map(|cheapest| Some((cheapest, gap(cheapest.day, day)?)));
        let near = Near::of(near, interner);
        for pair in interner.list.iter().filter(|pair| row[usize::from(pair.number)] < NONE) {
            let at = spread.at(day, pair.number);
            spread.values[at] = near.to(pair, changes).min(NONE);
        }
    }
    spread
}

impl<'a> Bounds<'a> {
    /// The bounds of a problem in which each session excludes some open starts.
    pub(super) fn of(problem: &Problem, pools: &'a Pools, left_out: Vec<LeftOut>, interner: &Interner) -> Self {
        let count = problem.sessions.len();
        let (mut choices, mut own) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (at, left_out) in left_out.into_iter().enumerate() {
            let (choice, table) = choice_of(problem, at, pools, left_out, interner.list.len());
            choices.push(choice);
            own.push(table);
        }
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
                    spread(open, &from, interner, step(at), |from, to| gap_between(problem, at, from, to))
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
                    spread(open, &from, interner, changes, |from, to| gap_between(problem, at + 1, to, from))
                }
            };
            around.push(plus(&before[at], &table));
            after = Some(table);
        }
        around.reverse();
        let whole = |(around, own): (&Table, &Table)| plus(around, own).values.into_iter().min();
        let least = around.iter().zip(&own).next_back().and_then(whole).unwrap_or(0);
        Self { pools, choices, around, least }
    }

    /// The candidates of a session through which a series may cost at most `limit`.
    pub(super) fn within(&self, at: usize, limit: u64) -> impl Iterator<Item = Scored> {
        let (own, around) = (&self.choices[at], &self.around[at]);
        let left = move |day: i32, pair: u16| limit.checked_sub(around.values[around.at(day, pair)]);
        let all = self.pools.groups(at);
        let open = own.groups.iter().map(move |group| &all[*group as usize]).flat_map(move |group| {
            let (day, pair) = (group.day, group.pair.number);
            let late = own.late[(day - around.first) as usize];
            let most = left(day, pair).and_then(|left| left.checked_sub(late));
            let cheap = group.starts.iter().take_while(move |(cost, ..)| most.is_some_and(|most| *cost <= most));
            let cheap = cheap.filter(move |start| own.left_out.allows(start));
            cheap.map(move |(cost, pick, _)| Scored { day, pair, pick: *pick as usize, cost: cost + late })
        });
        let current = self.pools.current[at];
        let current = current.filter(|scored| left(scored.day, scored.pair).is_some_and(|left| scored.cost <= left));
        current.into_iter().chain(open)
    }
}

/// The starts that a session may have, and the least cost of each day and pair.
fn choice_of(problem: &Problem, at: usize, pools: &Pools, left_out: LeftOut, pairs: usize) -> (Choice, Table) {
    let session = &problem.sessions[at];
    let days = day(session.days.0)..=day(session.days.1);
    let (all, current) = (if session.fixed { &[][..] } else { pools.groups(at) }, pools.current[at]);
    let mine = (0..).zip(all).filter(|(_, group)| days.contains(&group.day) && left_out.allows_group(group));
    let groups: Vec<u32> = mine.map(|(number, _)| number).collect();
    let on = groups.iter().map(|group| all[*group as usize].day).chain(current.map(|scored| scored.day));
    let mut table = Table::over(on, pairs);
    let count = table.values.len() / pairs.max(1);
    let moving = problem.moving(at);
    let late = |day: i32| problem.late(day - pools.earliest[at]) + moving;
    let late: Vec<u64> = (table.first..).take(count).map(late).collect();
    for group in groups.iter().map(|group| &all[*group as usize]) {
        let place = table.at(group.day, group.pair.number);
        let first = group.starts.iter().find(|start| left_out.allows(start));
        let least = first.map_or(NONE, |(cost, ..)| cost + late[(group.day - table.first) as usize]);
        table.values[place] = table.values[place].min(least);
    }
    if let Some(scored) = &current {
        let place = table.at(scored.day, scored.pair);
        table.values[place] = table.values[place].min(scored.cost);
    }
    (Choice { groups, left_out, late }, table)
}
