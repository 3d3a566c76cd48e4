//! The candidates of a session as nodes of the search: numbered, priced, and no more of them than can matter.

use std::collections::HashMap;

use domain::id::{LocationId, PractitionerId};

use super::{Problem, pools::Lean, shape::Shape};

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
    /// The pairs by their numbers.
    pub(super) list: Vec<Pair>,
    /// The pair that was asked for last: candidates come in runs.
    last: Option<((PractitionerId, LocationId), Pair)>,
}

/// A practitioner at a location.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) practitioner: u16,
    pub(super) location: u16,
    pub(super) number: u16,
}

impl Numbers {
    pub(super) fn pair(&mut self, practitioner: PractitionerId, location: LocationId) -> Pair {
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
        if usize::from(pair.number) == self.list.len() {
            self.list.push(pair);
        }
        self.last = Some((key, pair));
        pair
    }
}

fn number<K: std::hash::Hash + Eq>(map: &mut HashMap<K, u16>, key: K) -> u16 {
    let next = map.len() as u16;
    *map.entry(key).or_insert(next)
}

/// The nodes of some candidates of a session, by day and pair, the cheapest first; of those that can stand for each other
/// k at most.
pub(super) fn nodes(
    problem: &Problem,
    at: usize,
    leans: impl Iterator<Item = Lean>,
    shape: &Shape,
    k: usize,
    numbers: &Numbers,
) -> Vec<Node> {
    let session = &problem.sessions[at];
    let node = |lean: Lean| {
        let (pair, visit) = (numbers.list[usize::from(lean.pair)], session.candidate(lean.pick).visit);
        Node {
            pick: lean.pick,
            day: lean.day,
            practitioner: pair.practitioner,
            location: pair.location,
            pair: pair.number,
            cost: lean.cost,
            starts: visit.start().as_second(),
            ends: visit.end().as_second(),
        }
    };
    let mut nodes: Vec<Node> = leans.map(node).collect();
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
