//! What a series through a candidate costs at least.
//!
//! Without the hours of the day (that a visit begins after the one before it, and 48 hours between needling sessions) a
//! series is a way over days and pairs of practitioner and location, and the cheapest way to each and from each is found
//! in two passes. Whatever the hours forbid makes a series dearer, never cheaper; so a candidate whose cheapest way is
//! dearer than k series that are known need not be looked at.

use super::{
    Problem, day,
    nodes::{Numbers, Pair},
    pools::{Lean, LeftOut, Pools},
    solve::gap_between,
};

/// No way: more than any series costs, and small enough to be added to.
pub(super) const NONE: u64 = u64::MAX / 8;

/// A value for each day and pair.
struct Table {
    first: i32,
    pairs: usize,
    values: Vec<u64>,
}

/// What a session may take.
struct Own {
    /// Its groups, by their places among those of its pool.
    groups: Vec<u32>,
    left_out: LeftOut,
    /// What each day costs beyond what a start costs alone, from the first day of its table.
    late: Vec<u64>,
}

/// The candidates of every session with the cost of the cheapest way through each.
pub(super) struct Bounds<'a> {
    pools: &'a Pools,
    own: Vec<Own>,
    /// What the rest of the series costs at least.
    around: Vec<Table>,
    /// What any series costs at least.
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
}

/// The cheapest of several days, what the days between cost added to each.
struct Near {
    all: u64,
    practitioners: Vec<u64>,
    locations: Vec<u64>,
    pairs: Vec<u64>,
}

impl Near {
    fn of<'a>(days: impl Iterator<Item = (&'a Cheapest<'a>, u64)>, numbers: &Numbers) -> Self {
        let none = |count: usize| vec![NONE; count];
        let (practitioners, locations) = (none(numbers.practitioners.len()), none(numbers.locations.len()));
        let mut near = Self { all: NONE, practitioners, locations, pairs: none(numbers.list.len()) };
        for (cheapest, gap) in days {
            near.all = near.all.min(cheapest.all + gap);
            lower(&mut near.practitioners, &cheapest.practitioners, gap);
            lower(&mut near.locations, &cheapest.locations, gap);
            lower(&mut near.pairs, cheapest.pairs, gap);
        }
        near
    }

    /// The cheapest change between a pair of these days and another pair.
    fn to(&self, pair: &Pair, (other, away): (u64, u64)) -> u64 {
        self.pairs[usize::from(pair.number)]
            .min(self.practitioners[usize::from(pair.practitioner)] + away)
            .min(self.locations[usize::from(pair.location)] + other)
            .min(self.all + other + away)
    }
}

/// Takes the lower of each two values, a gap's cost added to the other one.
fn lower(values: &mut [u64], others: &[u64], gap: u64) {
    for (value, other) in values.iter_mut().zip(others) {
        *value = (*value).min(other + gap);
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
    for (day, row) in open.rows().filter(|(_, row)| row.iter().any(|value| *value < NONE)) {
        let near = days.iter().filter_map(|cheapest| Some((cheapest, gap(cheapest.day, day)?)));
        let near = Near::of(near, numbers);
        for pair in numbers.list.iter().filter(|pair| row[usize::from(pair.number)] < NONE) {
            let at = spread.at(day, pair.number);
            spread.values[at] = near.to(pair, changes).min(NONE);
        }
    }
    spread
}

impl<'a> Bounds<'a> {
    /// The bounds of a problem of which each session leaves some open starts out.
    pub(super) fn of(problem: &Problem, pools: &'a Pools, left_out: Vec<LeftOut>, numbers: &Numbers) -> Self {
        let count = problem.sessions.len();
        let (mut owns, mut own) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (at, left_out) in left_out.into_iter().enumerate() {
            let (session, table) = what_it_takes(problem, at, pools, left_out, numbers.list.len());
            owns.push(session);
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
        Self { pools, own: owns, around, least }
    }

    /// The candidates of a session through which a series may cost no more than a limit.
    pub(super) fn within(&self, at: usize, limit: u64) -> impl Iterator<Item = Lean> {
        let (own, around) = (&self.own[at], &self.around[at]);
        let left = move |day: i32, pair: u16| limit.checked_sub(around.values[around.at(day, pair)]);
        let all = self.pools.groups(at);
        let open = own.groups.iter().map(move |group| &all[*group as usize]).flat_map(move |group| {
            let (day, pair) = (group.day, group.pair.number);
            let late = own.late[(day - around.first) as usize];
            let most = left(day, pair).and_then(|left| left.checked_sub(late));
            let cheap = group.starts.iter().take_while(move |(cost, ..)| most.is_some_and(|most| *cost <= most));
            let cheap = cheap.filter(move |start| own.left_out.allows(start));
            cheap.map(move |(cost, pick, _)| Lean { day, pair, pick: *pick as usize, cost: cost + late })
        });
        let current = self.pools.current[at];
        let current = current.filter(|lean| left(lean.day, lean.pair).is_some_and(|left| lean.cost <= left));
        current.into_iter().chain(open)
    }
}

/// What a session may take, and the cheapest of each day and pair.
fn what_it_takes(problem: &Problem, at: usize, pools: &Pools, left_out: LeftOut, pairs: usize) -> (Own, Table) {
    let session = &problem.sessions[at];
    let days = day(session.days.0)..=day(session.days.1);
    let (all, current) = (if session.fixed { &[][..] } else { pools.groups(at) }, pools.current[at]);
    let mine = (0..).zip(all).filter(|(_, group)| days.contains(&group.day) && left_out.allows_group(group));
    let groups: Vec<u32> = mine.map(|(number, _)| number).collect();
    let on = groups.iter().map(|group| all[*group as usize].day).chain(current.map(|lean| lean.day));
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
    if let Some(lean) = &current {
        let place = table.at(lean.day, lean.pair);
        table.values[place] = table.values[place].min(lean.cost);
    }
    (Own { groups, left_out, late }, table)
}
