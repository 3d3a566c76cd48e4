//! The starts of a problem, prepared once for every search: grouped, priced, and sorted by cost.

use std::sync::Arc;

use super::{
    CURRENT, Candidate, PartOfDay, Problem, Session, day,
    nodes::{Interner, Pair},
};

/// A candidate and its own cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    pub(super) day: i32,
    pub(super) pair: u16,
    pub(super) pick: usize,
    pub(super) cost: u64,
}

/// An open start: its own cost, its pick, and its part of the day.
pub(super) type Start = (u64, u32, PartOfDay);

/// Consecutive starts of one day, practitioner and location.
pub(super) struct Group {
    pub(super) day: i32,
    pub(super) pair: Pair,
    /// Sorted by cost.
    pub(super) starts: Vec<Start>,
}

/// The open starts that several sessions share, in groups.
pub(super) struct Pool {
    open: Arc<Vec<Candidate>>,
    pub(super) groups: Vec<Group>,
}

/// The starts of all sessions.
pub(super) struct Pools {
    pools: Vec<Pool>,
    /// The index of each session's pool.
    pool_of: Vec<usize>,
    /// The present start of each session.
    pub(super) current: Vec<Option<Scored>>,
    /// The first day of each session by the ideal gaps.
    pub(super) earliest: Vec<i32>,
}

/// The open starts that a session excludes.
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
    /// Groups the starts of a problem, priced for a series that keeps to `part`, if there is one.
    pub(super) fn of(problem: &Problem, part: Option<PartOfDay>, interner: &mut Interner) -> Self {
        let mut pools = Self { pools: vec![], pool_of: vec![], current: vec![], earliest: problem.earliest() };
        for session in &problem.sessions {
            let pool = pools.pool_index(problem, session, part, interner);
            pools.pool_of.push(pool);
        }
        for at in 0..problem.sessions.len() {
            let current = current(problem, at, pools.earliest[at], part, interner);
            pools.current.push(current);
        }
        pools
    }

    /// The groups of a session's pool.
    pub(super) fn groups(&self, at: usize) -> &[Group] {
        &self.pools[self.pool_of[at]].groups
    }

    /// The pool of a session's starts, built once for all sessions that share them.
    fn pool_index(
        &mut self,
        problem: &Problem,
        session: &Session,
        part: Option<PartOfDay>,
        interner: &mut Interner,
    ) -> usize {
        if let Some(known) = self.pools.iter().position(|pool| Arc::ptr_eq(&pool.open, &session.open)) {
            return known;
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut last = None;
        for (pick, candidate) in (0..).zip(session.open.iter()) {
            let key = (candidate.date, candidate.practitioner, candidate.location);
            if last != Some(key) {
                let pair = interner.pair(candidate.practitioner, candidate.location);
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
    interner: &mut Interner,
) -> Option<Scored> {
    let session = &problem.sessions[at];
    let candidate = session.current.as_ref()?;
    let day = day(candidate.date);
    let cost = if session.fixed { 0 } else { problem.alone(candidate, part).cost() + problem.late(day - earliest) };
    let pair = interner.pair(candidate.practitioner, candidate.location).number;
    Some(Scored { day, pair, pick: CURRENT, cost })
}
