//! The starts of a problem, made ready once for every search of it: grouped, priced, the cheapest first.

use std::sync::Arc;

use super::{
    CURRENT, Candidate, PartOfDay, Problem, Session, day,
    nodes::{Numbers, Pair},
};

/// A candidate, and what it costs alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lean {
    pub(super) day: i32,
    pub(super) pair: u16,
    pub(super) pick: usize,
    pub(super) cost: u64,
}

/// An open start: its cost alone, its pick, and its part of the day.
pub(super) type Start = (u64, u32, PartOfDay);

/// Starts of one day, practitioner and location that stand together.
pub(super) struct Group {
    pub(super) day: i32,
    pub(super) pair: Pair,
    /// The cheapest first.
    pub(super) starts: Vec<Start>,
}

/// The open starts that some sessions share, in groups.
pub(super) struct Pool {
    open: Arc<Vec<Candidate>>,
    pub(super) groups: Vec<Group>,
}

/// The starts of all sessions.
pub(super) struct Pools {
    pools: Vec<Pool>,
    /// For each session its pool.
    places: Vec<usize>,
    /// For each session the start that it has now.
    pub(super) current: Vec<Option<Lean>>,
    /// For each session the first day that the ideal gaps give.
    pub(super) earliest: Vec<i32>,
}

/// Which open starts a session leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) practitioners: Vec<u16>,
    pub(super) days: Vec<i32>,
    pub(super) parts: Vec<PartOfDay>,
}

impl LeftOut {
    pub(super) fn allows_group(&self, group: &Group) -> bool {
        !self.practitioners.contains(&group.pair.practitioner) && !self.days.contains(&group.day)
    }

    pub(super) fn allows(&self, (_, _, part): &Start) -> bool {
        !self.parts.contains(part)
    }
}

impl Pools {
    /// Groups the starts of a problem, priced for a series that keeps to a part of the day, where one is named.
    pub(super) fn of(problem: &Problem, part: Option<PartOfDay>, numbers: &mut Numbers) -> Self {
        let mut pools = Self { pools: vec![], places: vec![], current: vec![], earliest: problem.earliest() };
        for session in &problem.sessions {
            let place = pools.place(problem, session, part, numbers);
            pools.places.push(place);
        }
        for at in 0..problem.sessions.len() {
            let current = current(problem, at, pools.earliest[at], part, numbers);
            pools.current.push(current);
        }
        pools
    }

    /// The groups that a session may choose from.
    pub(super) fn groups(&self, at: usize) -> &[Group] {
        &self.pools[self.places[at]].groups
    }

    /// The pool of a session's starts, made once for all that share it.
    fn place(&mut self, problem: &Problem, session: &Session, part: Option<PartOfDay>, numbers: &mut Numbers) -> usize {
        if let Some(known) = self.pools.iter().position(|pool| Arc::ptr_eq(&pool.open, &session.open)) {
            return known;
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut last = None;
        for (pick, candidate) in (0..).zip(session.open.iter()) {
            let key = (candidate.date, candidate.practitioner, candidate.location);
            if last != Some(key) {
                let pair = numbers.pair(candidate.practitioner, candidate.location);
                groups.push(Group { day: day(candidate.date), pair, starts: vec![] });
                last = Some(key);
            }
            if let Some(group) = groups.last_mut() {
                group.starts.push((problem.alone(candidate, part).cost(), pick, candidate.part()));
            }
        }
        groups.iter_mut().for_each(|group| group.starts.sort_unstable());
        self.pools.push(Pool { open: session.open.clone(), groups });
        self.pools.len() - 1
    }
}

fn current(
    problem: &Problem,
    at: usize,
    earliest: i32,
    part: Option<PartOfDay>,
    numbers: &mut Numbers,
) -> Option<Lean> {
    let session = &problem.sessions[at];
    let candidate = session.current.as_ref()?;
    let day = day(candidate.date);
    let cost = if session.fixed { 0 } else { problem.alone(candidate, part).cost() + problem.late(day - earliest) };
    let pair = numbers.pair(candidate.practitioner, candidate.location).number;
    Some(Lean { day, pair, pick: CURRENT, cost })
}
