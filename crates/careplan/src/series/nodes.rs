//! The candidates of a session as nodes of the search: interned, priced, and reduced to those that can matter.

use std::collections::HashMap;

use domain::id::{LocationId, PractitionerId};

use super::{Problem, pools::Scored, shape::Shape};

/// A candidate and its own cost.
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
    /// The order of interchangeable nodes.
    fn order(&self) -> (u64, i64, usize) {
        (self.cost, self.starts, self.pick)
    }
}

/// Small numbers for practitioners, locations and their pairs.
#[derive(Default)]
pub(super) struct Interner {
    pub(super) practitioners: HashMap<PractitionerId, u16>,
    pub(super) locations: HashMap<LocationId, u16>,
    pub(super) pairs: HashMap<(PractitionerId, LocationId), Pair>,
    /// The pairs by their numbers.
    pub(super) list: Vec<Pair>,
    /// The last pair looked up: candidates come in runs.
    last: Option<((PractitionerId, LocationId), Pair)>,
}

/// A practitioner at a location.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) practitioner: u16,
    pub(super) location: u16,
    pub(super) number: u16,
}

impl Interner {
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

/// The nodes of some candidates of a session, sorted by day, pair and cost, with at most k interchangeable ones.
pub(super) fn nodes(
    problem: &Problem,
    at: usize,
    candidates: impl Iterator<Item = Scored>,
    shape: &Shape,
    k: usize,
    interner: &Interner,
) -> Vec<Node> {
    let session = &problem.sessions[at];
    let node = |scored: Scored| {
        let (pair, visit) = (interner.list[usize::from(scored.pair)], session.candidate(scored.pick).visit);
        Node {
            pick: scored.pick,
            day: scored.day,
            practitioner: pair.practitioner,
            location: pair.location,
            pair: pair.number,
            cost: scored.cost,
            starts: visit.start().as_second(),
            ends: visit.end().as_second(),
        }
    };
    let mut nodes: Vec<Node> = candidates.map(node).collect();
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
