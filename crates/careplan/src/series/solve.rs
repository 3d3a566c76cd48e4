//! The exact search: dynamic programming over sessions, with the k best paths to each state.
//!
//! A *node* is a candidate of a session with its own cost. A *label* is a path to a node, with its cost and the previous
//! label. The continuation of a label depends on its day, its practitioner and its location, seldom on its hour; so where
//! the hour cannot matter, only the k cheapest nodes that differ in the hour are kept. Where a gap is measured from the
//! session before the previous one (a paired programme), or a needling session comes before the previous one, the label
//! carries that as its *memory*; labels with different memories never replace each other.
//!
//! Between two sessions, labels are in one bucket for each day and memory. A bucket lists the k cheapest labels in all, of
//! each practitioner, of each location and of each pair. Whatever a change costs, the k cheapest paths to a node are among
//! these, so no pair of candidates is compared.

use std::collections::BTreeMap;

use domain::{claim::NEEDLING_SPACING_HOURS, directory::GapDays};

use super::{
    Problem,
    nodes::{Interner, Node},
    shape::{NEEDLING_DAYS, Shape},
    week,
};

/// Before the first session.
const NONE: u32 = u32::MAX;

/// The properties of earlier sessions that a label carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct Memory {
    /// The day of the previous session.
    day: Option<i32>,
    /// The end of the last needling session before this one, in seconds.
    needled: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Label {
    pub(super) cost: u64,
    pub(super) node: u32,
    pub(super) before: u32,
    memory: Memory,
}

/// The nodes and the labels of one session.
pub(super) struct Layer {
    pub(super) nodes: Vec<Node>,
    pub(super) labels: Vec<Label>,
}

/// The cost of the days between a session and the previous one; `None` where they break a rule whatever the earlier
/// sessions.
pub(super) fn gap_between(problem: &Problem, at: usize, before: i32, day: i32) -> Option<u64> {
    let session = &problem.sessions[at];
    let past = problem.past(at - 1, at);
    let other_week = session.paired && week(before) != week(day);
    let same_day = (session.paired || session.back == 2) && before == day;
    if before > day || ((other_week || same_day) && !past) {
        return None;
    }
    match session.gap.filter(|_| session.back == 1 && !past) {
        Some(gap) => gap_cost(problem, gap, day - before),
        None => Some(0),
    }
}

fn gap_cost(problem: &Problem, gap: GapDays, days: i32) -> Option<u64> {
    let kept = days >= gap.least as i32 && days <= gap.most as i32;
    kept.then(|| u64::from(days.abs_diff(gap.ideal as i32)) * u64::from(problem.weights.gap_day))
}

/// The labels of the first session.
pub(super) fn first(nodes: &[Node]) -> Vec<Label> {
    let label = |(at, node): (usize, &Node)| Label {
        cost: node.cost,
        node: at as u32,
        before: NONE,
        memory: Memory::default(),
    };
    nodes.iter().enumerate().map(label).collect()
}

/// A path to a node: its memory, its cost, and the label from which it comes.
type Path = (Memory, u64, u32);

/// The labels of one day and one memory, sorted by cost, in a list each: all, by practitioner, by location, by pair.
struct Bucket {
    lists: Vec<Vec<u32>>,
}

/// From one session to the next.
pub(super) struct Step<'a> {
    pub(super) problem: &'a Problem,
    pub(super) at: usize,
    pub(super) shape: &'a Shape,
    pub(super) k: usize,
    pub(super) before: &'a Layer,
    pub(super) nodes: &'a [Node],
    pub(super) interner: &'a Interner,
}

impl Step<'_> {
    pub(super) fn labels(&self) -> Vec<Label> {
        let buckets = self.buckets();
        let (mut labels, mut from) = (Vec::new(), 0);
        let (mut paths, mut own, mut by_hour): (Vec<Path>, Vec<Path>, Vec<(&Bucket, u64)>) = Default::default();
        for group in self.nodes.chunk_by(|a, b| (a.day, a.pair) == (b.day, b.pair)) {
            paths.clear();
            by_hour.clear();
            for ((day, memory), bucket) in buckets.range(self.reach(group[0].day)) {
                match self.gap(*day, memory, group[0].day) {
                    Some(gap) if self.hours_matter(group[0].day - day, memory) => by_hour.push((bucket, gap)),
                    Some(gap) => self.collect(bucket, &group[0], gap, false, &mut paths),
                    None => {}
                }
            }
            self.shorten(&mut paths);
            let begin = labels.len();
            if by_hour.is_empty() {
                add_labels(group, from, &paths, &mut labels);
            } else {
                for (offset, node) in group.iter().enumerate() {
                    own.clone_from(&paths);
                    by_hour.iter().for_each(|(bucket, gap)| self.collect(bucket, node, *gap, true, &mut own));
                    self.shorten(&mut own);
                    add_labels(std::slice::from_ref(node), from + offset, &own, &mut labels);
                }
            }
            self.prune(&mut labels, begin);
            from += group.len();
        }
        labels
    }

    /// The possible days of the previous session.
    fn reach(&self, day: i32) -> std::ops::RangeInclusive<(i32, Memory)> {
        let session = &self.problem.sessions[self.at];
        let end = Memory { day: Some(i32::MAX), needled: Some(i64::MAX) };
        let first = match session.gap {
            Some(gap) if !self.problem.past(self.at - session.back.min(self.at), self.at) => day - gap.most as i32,
            _ => i32::MIN,
        };
        (first, Memory::default())..=(day, end)
    }

    /// The cost of the gap; `None` where it breaks a rule.
    fn gap(&self, before: i32, memory: &Memory, day: i32) -> Option<u64> {
        let session = &self.problem.sessions[self.at];
        let near = gap_between(self.problem, self.at, before, day)?;
        let far = self.at.checked_sub(2).filter(|from| session.back == 2 && !self.problem.past(*from, self.at));
        match session.gap.filter(|_| far.is_some()) {
            Some(gap) => gap_cost(self.problem, gap, day - memory.day.unwrap_or(before)),
            None => Some(near),
        }
    }

    /// Whether the session and the previous one have both taken place.
    fn is_past(&self) -> bool {
        self.problem.past(self.at - 1, self.at)
    }

    /// The costs of a change of practitioner and of a change of location.
    fn changes(&self) -> (u64, u64) {
        let weights = &self.problem.weights;
        if self.is_past() { (0, 0) } else { (u64::from(weights.practitioner), u64::from(weights.location)) }
    }

    /// Whether [`Step::hours_matter`] can hold for any node.
    fn hours_ever_matter(&self) -> bool {
        self.shape.timed
            || self.shape.keeps_needled
            || self.before.labels.iter().any(|label| label.memory.needled.is_some())
    }

    /// Whether the hours of two nodes `days` apart can break a rule, or change the memory.
    fn hours_matter(&self, days: i32, memory: &Memory) -> bool {
        let (own, before) = (&self.problem.sessions[self.at], &self.problem.sessions[self.at - 1]);
        let needling = (own.needling && before.needling && days < NEEDLING_DAYS) || memory.needled.is_some();
        days == 0 || needling || (self.shape.keeps_needled && before.needling)
    }

    /// The end of the last needling session up to a label's own session.
    fn needled(&self, label: &Label) -> Option<i64> {
        let before = &self.before.nodes[label.node as usize];
        if self.problem.sessions[self.at - 1].needling { Some(before.ends) } else { label.memory.needled }
    }

    fn in_time(&self, label: &Label, node: &Node) -> bool {
        let spaced = || self.needled(label).is_none_or(|ends| node.starts >= ends + NEEDLING_SPACING_HOURS * 3600);
        (self.is_past() || node.starts >= self.before.nodes[label.node as usize].ends)
            && (!self.problem.sessions[self.at].needling || spaced())
    }

    /// The path from a label to a node.
    fn path(&self, index: u32, node: &Node, gap: u64) -> Path {
        let label = &self.before.labels[index as usize];
        let before = &self.before.nodes[label.node as usize];
        let (practitioner, location) = self.changes();
        let change = if before.practitioner == node.practitioner { 0 } else { practitioner }
            + if before.location == node.location { 0 } else { location };
        let memory = Memory {
            day: self.shape.keeps_day.then_some(before.day),
            needled: self.needled(label).filter(|_| self.shape.keeps_needled),
        };
        (memory, label.cost + change + gap, index)
    }

    /// Adds the paths from a bucket to a node; where the hour matters, only those that are in time.
    fn collect(&self, bucket: &Bucket, node: &Node, gap: u64, by_hour: bool, paths: &mut Vec<Path>) {
        let (practitioner, location) = self.changes();
        let alike = !(self.shape.keeps_needled && self.problem.sessions[self.at - 1].needling);
        let mut cheapest: Vec<u64> = Vec::with_capacity(self.k + 1);
        // The list of all labels adds those that change both; the other lists hold the others.
        let changes = [0, location, practitioner, practitioner + location];
        for (list, change) in self.lists_of(node).into_iter().zip(changes) {
            for index in &bucket.lists[list] {
                let label = &self.before.labels[*index as usize];
                // Labels are sorted by cost: no later one is cheaper.
                if alike && cheapest.len() == self.k && label.cost + gap + change > cheapest[self.k - 1] {
                    break;
                }
                let path = self.path(*index, node, gap);
                if path.1 == label.cost + gap + change && (!by_hour || self.in_time(label, node)) {
                    paths.push(path);
                    cheapest.insert(cheapest.partition_point(|cost| *cost <= path.1), path.1);
                    cheapest.truncate(self.k);
                }
            }
        }
    }

    /// The indices of a node's lists in a bucket: its pair, its practitioner, its location, and all.
    fn lists_of(&self, node: &Node) -> [usize; 4] {
        let (practitioners, locations) = (self.interner.practitioners.len(), self.interner.locations.len());
        [
            1 + practitioners + locations + usize::from(node.pair),
            1 + usize::from(node.practitioner),
            1 + practitioners + usize::from(node.location),
            0,
        ]
    }

    fn buckets(&self) -> BTreeMap<(i32, Memory), Bucket> {
        let count = 1 + self.interner.practitioners.len() + self.interner.locations.len() + self.interner.pairs.len();
        // Where no hour matters, the k cheapest labels of each list are enough.
        let most = if self.hours_ever_matter() { usize::MAX } else { self.k };
        let mut buckets: BTreeMap<(i32, Memory), Bucket> = BTreeMap::new();
        let mut cheapest: Vec<u32> = (0..self.before.labels.len() as u32).collect();
        cheapest.sort_by_key(|index| self.before.labels[*index as usize].cost);
        for index in cheapest {
            let label = &self.before.labels[index as usize];
            let node = &self.before.nodes[label.node as usize];
            let bucket =
                buckets.entry((node.day, label.memory)).or_insert_with(|| Bucket { lists: vec![vec![]; count] });
            for list in self.lists_of(node) {
                if bucket.lists[list].len() < most {
                    bucket.lists[list].push(index);
                }
            }
        }
        buckets
    }

    /// Keeps the k cheapest paths of each memory, each once.
    fn shorten(&self, paths: &mut Vec<Path>) {
        paths.sort_unstable();
        paths.dedup();
        let (mut memory, mut kept) = (None, 0);
        paths.retain(|path| {
            kept = if memory == Some(path.0) { kept + 1 } else { 1 };
            memory = Some(path.0);
            kept <= self.k
        });
    }

    /// Drops the labels of one day and pair (from `begin` on) that k others dominate: others with the same memory that cost
    /// no more and end no later.
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

/// Adds the labels of paths to interchangeable nodes.
fn add_labels(group: &[Node], from: usize, paths: &[Path], labels: &mut Vec<Label>) {
    for (offset, node) in group.iter().enumerate() {
        let node_at = (from + offset) as u32;
        labels.extend(paths.iter().map(|(memory, cost, before)| Label {
            cost: cost + node.cost,
            node: node_at,
            before: *before,
            memory: *memory,
        }));
    }
}
