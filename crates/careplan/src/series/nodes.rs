//! The candidates of a session as nodes of the search: numbered, priced, and no more of them than can matter.

use std::collections::HashMap;

use domain::id::{LocationId, PractitionerId};

use super::{Problem, day, shape::Shape};

/// A candidate, and what it costs alone.
pub(super) struct Node {
    pub(super) pick: usize,
    pub(super) day: i32,
    pub(super) practitioner: u16,
    pub(super) location: u16,
    pub(super) pair: u16,
    pub(super) cost: u64,
    pub(super) starts: i64,
    pub(super) ends: i64,
}

impl Node {
    /// The order of nodes that can stand for each other.
    fn order(&self) -> (u64, i64, usize) {
        (self.cost, self.starts, self.pick)
    }
}

/// The numbers that stand for practitioners, locations and the pairs that there are.
#[derive(Default)]
pub(super) struct Numbers {
    pub(super) practitioners: HashMap<PractitionerId, u16>,
    pub(super) locations: HashMap<LocationId, u16>,
    pub(super) pairs: HashMap<(PractitionerId, LocationId), Pair>,
    /// The pair that was asked for last: candidates come in runs.
    last: Option<((PractitionerId, LocationId), Pair)>,
}

#[derive(Clone, Copy)]
pub(super) struct Pair {
    practitioner: u16,
    location: u16,
    number: u16,
}

impl Numbers {
    fn pair(&mut self, practitioner: PractitionerId, location: LocationId) -> Pair {
        let key = (practitioner, location);
        if let Some((_, pair)) = self.last.filter(|(last, _)| *last == key) {
            return pair;
        }
        let next = self.pairs.len();
        let pair = *self.pairs.entry(key).or_insert_with(|| Pair {
            practitioner: number(&mut self.practitioners, practitioner),
            location: number(&mut self.locations, location),
            number: next as u16,
        });
        self.last = Some((key, pair));
        pair
    }
}

fn number<K: std::hash::Hash + Eq>(map: &mut HashMap<K, u16>, key: K) -> u16 {
    let next = map.len() as u16;
    *map.entry(key).or_insert(next)
}

/// The nodes of a session, by day and pair, the cheapest first; of those that can stand for each other k at most.
pub(super) fn nodes(
    problem: &Problem,
    at: usize,
    earliest: i32,
    shape: &Shape,
    k: usize,
    numbers: &mut Numbers,
) -> Vec<Node> {
    let candidates = &problem.sessions[at].candidates;
    let mut nodes: Vec<Node> = Vec::with_capacity(candidates.len());
    // The run of nodes at the end that can stand for each other, and the day of the candidate before.
    let (mut run, mut today) = (0, None);
    for (pick, candidate) in candidates.iter().enumerate() {
        let pair = numbers.pair(candidate.practitioner, candidate.location);
        let (_, day) = *today.insert(match today {
            Some((date, day)) if date == candidate.date => (date, day),
            _ => (candidate.date, day(candidate.date)),
        });
        let node = Node {
            pick,
            day,
            practitioner: pair.practitioner,
            location: pair.location,
            pair: pair.number,
            cost: problem.alone(at, pick, day - earliest).cost(),
            starts: candidate.visit.start().as_second(),
            ends: candidate.visit.end().as_second(),
        };
        if !shape.timed {
            if nodes.get(run).is_some_and(|first| (first.day, first.pair) != (node.day, node.pair)) {
                run = nodes.len();
            }
            if nodes.len() - run == k {
                let dearest = (run..nodes.len()).max_by_key(|at| nodes[*at].order());
                if let Some(dearest) = dearest.filter(|dearest| node.order() < nodes[*dearest].order()) {
                    nodes[dearest] = node;
                }
                continue;
            }
        }
        nodes.push(node);
    }
    nodes.sort_unstable_by_key(|node| (node.day, node.pair, node.order()));
    if !shape.timed {
        let (mut group, mut kept) = (None, 0);
        nodes.retain(|node| {
            kept = if group == Some((node.day, node.pair)) { kept + 1 } else { 1 };
            group = Some((node.day, node.pair));
            kept <= k
        });
    }
    nodes
}
