//! The exact search: dynamic programming over sessions, with the k best ways to each state.
//!
//! A *node* is a candidate of a session with what it costs alone. A *label* is a way to a node, with its cost and the
//! label before it. What follows a label depends on its day, its practitioner and its location, seldom on its hour; so
//! nodes that differ in the hour only are kept k at most, the cheapest, where the hour cannot matter. Where a gap is
//! measured from the session before the last (a paired programme), or a needling session lies before the last, the
//! label carries that as its *memory*, and labels of different memory never replace each other.
//!
//! From one session to the next, labels lie in a bucket for each day and memory, each with the k cheapest in all, of
//! each practitioner, of each location and of each pair: whatever the change costs, the k cheapest ways to a node are
//! among these, so that no pair of candidates need be looked at.

use std::collections::{BTreeMap, HashMap};

use domain::{
    claim::NEEDLING_SPACING_HOURS,
    id::{LocationId, PractitionerId},
};

use super::{
    Infeasible, Problem, SERIES_MAX, Series, day, paid,
    shape::{NEEDLING_DAYS, Shape, shapes},
    week,
};

const NONE: u32 = u32::MAX;

/// A candidate, and what it costs alone.
struct Node {
    pick: usize,
    day: i32,
    practitioner: u16,
    location: u16,
    pair: u16,
    cost: u64,
    starts: i64,
    ends: i64,
}

/// What a label must remember of the sessions before its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct Memory {
    /// The day of the session before.
    day: Option<i32>,
    /// The end of the last needling session before this one.
    needled: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Label {
    cost: u64,
    node: u32,
    before: u32,
    memory: Memory,
}

/// The nodes and the labels of one session.
struct Layer {
    nodes: Vec<Node>,
    labels: Vec<Label>,
}

/// The numbers that stand for practitioners, locations and the pairs that there are.
#[derive(Default)]
struct Numbers {
    practitioners: HashMap<PractitionerId, u16>,
    locations: HashMap<LocationId, u16>,
    pairs: HashMap<(u16, u16), u16>,
}

fn number<K: std::hash::Hash + Eq>(map: &mut HashMap<K, u16>, key: K) -> u16 {
    let next = u16::try_from(map.len()).unwrap_or(u16::MAX);
    *map.entry(key).or_insert(next)
}

/// The k cheapest series, cheapest first; at most [`SERIES_MAX`].
///
/// # Errors
/// Where none keeps the rules: the first session that cannot be reached.
pub fn best(problem: &Problem, k: usize) -> Result<Vec<Series>, Infeasible> {
    let k = k.clamp(1, SERIES_MAX);
    let shapes = shapes(&problem.sessions);
    let (mut numbers, earliest) = (Numbers::default(), problem.earliest());
    let mut layers: Vec<Layer> = Vec::with_capacity(problem.sessions.len());
    for (at, shape) in shapes.iter().enumerate() {
        let nodes = nodes(problem, at, earliest[at], shape, k, &mut numbers);
        let labels = match layers.last() {
            None => first(&nodes),
            Some(before) => Step { problem, at, shape, k, before, nodes: &nodes, numbers: &numbers }.labels(),
        };
        if labels.is_empty() {
            return Err(Infeasible { session: at });
        }
        layers.push(Layer { nodes, labels });
    }
    Ok(read_back(problem, &layers, k))
}

/// The nodes of a session, by day and pair, the cheapest first; of those that can stand for each other k at most.
fn nodes(problem: &Problem, at: usize, earliest: i32, shape: &Shape, k: usize, numbers: &mut Numbers) -> Vec<Node> {
    let candidates = &problem.sessions[at].candidates;
    let mut nodes: Vec<Node> = Vec::with_capacity(candidates.len());
    for (pick, candidate) in candidates.iter().enumerate() {
        let practitioner = number(&mut numbers.practitioners, candidate.practitioner);
        let location = number(&mut numbers.locations, candidate.location);
        nodes.push(Node {
            pick,
            day: day(candidate.date),
            practitioner,
            location,
            pair: number(&mut numbers.pairs, (practitioner, location)),
            cost: problem.alone(at, pick, earliest).cost(),
            starts: candidate.visit.start().as_second(),
            ends: candidate.visit.end().as_second(),
        });
    }
    nodes.sort_unstable_by_key(|node| (node.day, node.pair, node.cost, node.starts, node.pick));
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

fn first(nodes: &[Node]) -> Vec<Label> {
    let label = |(at, node): (usize, &Node)| Label {
        cost: node.cost,
        node: at as u32,
        before: NONE,
        memory: Memory::default(),
    };
    nodes.iter().enumerate().map(label).collect()
}

/// Ways to a node by what they remember: each a cost and the label that it comes from.
type Ways = BTreeMap<Memory, Vec<(u64, u32)>>;

/// The labels of one day and one memory, cheapest first, and the k cheapest of each kind.
struct Bucket {
    labels: Vec<u32>,
    /// `k` places for all, then `k` for each practitioner, each location, each pair.
    tops: Vec<u32>,
}

/// From one session to the next.
struct Step<'a> {
    problem: &'a Problem,
    at: usize,
    shape: &'a Shape,
    k: usize,
    before: &'a Layer,
    nodes: &'a [Node],
    numbers: &'a Numbers,
}

impl Step<'_> {
    fn labels(&self) -> Vec<Label> {
        let buckets = self.buckets();
        let (mut labels, mut from) = (Vec::new(), 0);
        for group in self.nodes.chunk_by(|a, b| (a.day, a.pair) == (b.day, b.pair)) {
            let (mut ways, mut by_hour) = (Ways::new(), Vec::new());
            for ((day, memory), bucket) in buckets.range(self.reach(group[0].day)) {
                match self.gap(*day, memory, group[0].day) {
                    Some(gap) if self.hours_matter(group[0].day - day, memory) => by_hour.push((bucket, gap)),
                    Some(gap) => self.collect(bucket, &group[0], gap, &mut ways),
                    None => {}
                }
            }
            self.shorten(&mut ways);
            let begin = labels.len();
            if by_hour.is_empty() {
                self.keep(group, from, ways, &mut labels);
            } else {
                for (offset, node) in group.iter().enumerate() {
                    let mut own = ways.clone();
                    by_hour.iter().for_each(|(bucket, gap)| self.collect_in_time(bucket, node, *gap, &mut own));
                    self.keep(std::slice::from_ref(node), from + offset, own, &mut labels);
                }
            }
            self.prune(&mut labels, begin);
            from += group.len();
        }
        labels
    }

    /// The days that the session before may have been on.
    fn reach(&self, day: i32) -> std::ops::RangeInclusive<(i32, Memory)> {
        let session = &self.problem.sessions[self.at];
        let end = Memory { day: Some(i32::MAX), needled: Some(i64::MAX) };
        let first = match session.gap {
            Some(gap) => day - gap.most as i32,
            None => i32::MIN,
        };
        (first, Memory::default())..=(day, end)
    }

    /// What the gap costs, or `None` where it breaks a rule.
    fn gap(&self, before: i32, memory: &Memory, day: i32) -> Option<u64> {
        let session = &self.problem.sessions[self.at];
        let other_week = session.paired && week(before) != week(day);
        if other_week || ((session.paired || session.back == 2) && before == day) {
            return None;
        }
        let Some(gap) = session.gap else { return Some(0) };
        let from = if session.back == 2 { memory.day.unwrap_or(before) } else { before };
        let days = day - from;
        let kept = days >= gap.least as i32 && days <= gap.most as i32;
        kept.then(|| u64::from(days.abs_diff(gap.ideal as i32)) * u64::from(self.problem.weights.gap_day))
    }

    /// Whether the hours of two nodes so many days apart can break a rule, or what is remembered of them differs.
    fn hours_matter(&self, days: i32, memory: &Memory) -> bool {
        let (own, before) = (&self.problem.sessions[self.at], &self.problem.sessions[self.at - 1]);
        let needling = (own.needling && before.needling && days < NEEDLING_DAYS) || memory.needled.is_some();
        days == 0 || needling || (self.shape.keeps_needled && before.needling)
    }

    /// The end of the last needling session up to a label's own.
    fn needled(&self, label: &Label) -> Option<i64> {
        let before = &self.before.nodes[label.node as usize];
        if self.problem.sessions[self.at - 1].needling { Some(before.ends) } else { label.memory.needled }
    }

    fn in_time(&self, label: &Label, node: &Node) -> bool {
        let spaced = || self.needled(label).is_none_or(|ends| node.starts >= ends + NEEDLING_SPACING_HOURS * 3600);
        node.starts >= self.before.nodes[label.node as usize].ends
            && (!self.problem.sessions[self.at].needling || spaced())
    }

    /// The way from a label to a node, and what it must remember.
    fn way(&self, index: u32, node: &Node, gap: u64) -> (Memory, (u64, u32)) {
        let label = &self.before.labels[index as usize];
        let before = &self.before.nodes[label.node as usize];
        let weights = &self.problem.weights;
        let change = paid(before.practitioner != node.practitioner, weights.practitioner)
            + paid(before.location != node.location, weights.location);
        let memory = Memory {
            day: self.shape.keeps_day.then_some(before.day),
            needled: self.needled(label).filter(|_| self.shape.keeps_needled),
        };
        (memory, (label.cost + change + gap, index))
    }

    /// Adds the ways from a bucket to a node whose hour does not matter. A label may stand in several tops.
    fn collect(&self, bucket: &Bucket, node: &Node, gap: u64, ways: &mut Ways) {
        for place in self.places(node) {
            for index in bucket.tops[place * self.k..(place + 1) * self.k].iter().take_while(|index| **index != NONE) {
                let (memory, way) = self.way(*index, node, gap);
                ways.entry(memory).or_default().push(way);
            }
        }
    }

    /// Adds the ways from a bucket to a node whose hour matters.
    fn collect_in_time(&self, bucket: &Bucket, node: &Node, gap: u64, ways: &mut Ways) {
        let alike = !(self.shape.keeps_needled && self.problem.sessions[self.at - 1].needling);
        let mut cheapest: Vec<u64> = Vec::with_capacity(self.k + 1);
        for index in &bucket.labels {
            let label = &self.before.labels[*index as usize];
            // Labels come cheapest first: what follows costs no less.
            if alike && cheapest.len() == self.k && label.cost + gap > cheapest[self.k - 1] {
                return;
            }
            if self.in_time(label, node) {
                let (memory, way) = self.way(*index, node, gap);
                ways.entry(memory).or_default().push(way);
                cheapest.insert(cheapest.partition_point(|cost| *cost <= way.0), way.0);
                cheapest.truncate(self.k);
            }
        }
    }

    /// Where the tops of a bucket that concern a node stand.
    fn places(&self, node: &Node) -> [usize; 4] {
        let (practitioners, locations) = (self.numbers.practitioners.len(), self.numbers.locations.len());
        [
            0,
            1 + usize::from(node.practitioner),
            1 + practitioners + usize::from(node.location),
            1 + practitioners + locations + usize::from(node.pair),
        ]
    }

    fn buckets(&self) -> BTreeMap<(i32, Memory), Bucket> {
        let places = 1 + self.numbers.practitioners.len() + self.numbers.locations.len() + self.numbers.pairs.len();
        let mut buckets: BTreeMap<(i32, Memory), Bucket> = BTreeMap::new();
        let mut cheapest: Vec<u32> = (0..self.before.labels.len() as u32).collect();
        cheapest.sort_by_key(|index| self.before.labels[*index as usize].cost);
        for index in cheapest {
            let label = &self.before.labels[index as usize];
            let node = &self.before.nodes[label.node as usize];
            let empty = || Bucket { labels: vec![], tops: vec![NONE; places * self.k] };
            let bucket = buckets.entry((node.day, label.memory)).or_insert_with(empty);
            bucket.labels.push(index);
            for place in self.places(node) {
                let top = &mut bucket.tops[place * self.k..(place + 1) * self.k];
                if let Some(free) = top.iter_mut().find(|index| **index == NONE) {
                    *free = index;
                }
            }
        }
        buckets
    }

    /// Keeps the k cheapest ways of each memory, each once.
    fn shorten(&self, ways: &mut Ways) {
        for ways in ways.values_mut() {
            ways.sort_unstable();
            ways.dedup();
            ways.truncate(self.k);
        }
    }

    /// Makes labels of the ways to nodes that can stand for each other.
    fn keep(&self, group: &[Node], from: usize, mut ways: Ways, labels: &mut Vec<Label>) {
        self.shorten(&mut ways);
        for (memory, ways) in ways {
            for (offset, node) in group.iter().enumerate() {
                labels.extend(ways.iter().map(|(cost, before)| Label {
                    cost: cost + node.cost,
                    node: (from + offset) as u32,
                    before: *before,
                    memory,
                }));
            }
        }
    }

    /// Drops the labels of one day and pair (from `begin` on) that k others stand for: those that cost no more, end no
    /// later and remember the same.
    fn prune(&self, labels: &mut Vec<Label>, begin: usize) {
        let ends = |label: &Label| if self.shape.timed { self.nodes[label.node as usize].ends } else { 0 };
        labels[begin..].sort_by_key(|label| (label.memory, ends(label), label.cost));
        let (mut kept, mut cheapest, mut memory) = (begin, Vec::<u64>::new(), None);
        for at in begin..labels.len() {
            let label = labels[at];
            if memory != Some(label.memory) {
                (memory, cheapest) = (Some(label.memory), Vec::new());
            }
            if cheapest.len() == self.k && cheapest[self.k - 1] <= label.cost {
                continue;
            }
            cheapest.insert(cheapest.partition_point(|cost| *cost <= label.cost), label.cost);
            cheapest.truncate(self.k);
            labels[kept] = label;
            kept += 1;
        }
        labels.truncate(kept);
    }
}

fn read_back(problem: &Problem, layers: &[Layer], k: usize) -> Vec<Series> {
    let Some(last) = layers.last() else { return vec![] };
    let mut ends: Vec<usize> = (0..last.labels.len()).collect();
    ends.sort_by_key(|index| last.labels[*index].cost);
    ends.truncate(k);
    let series = ends.into_iter().map(|end| {
        let (mut picks, mut at) = (Vec::with_capacity(layers.len()), end);
        for layer in layers.iter().rev() {
            let label = &layer.labels[at];
            picks.push(layer.nodes[label.node as usize].pick);
            at = label.before as usize;
        }
        picks.reverse();
        Series { terms: problem.terms(&picks), picks }
    });
    series.collect()
}
