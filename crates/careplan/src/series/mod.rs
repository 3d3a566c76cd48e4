//! The best series of sessions under one stated cost.
//!
//! A [`Problem`] holds the sessions of a plan in order, each with the starts that it may have; completed sessions are fixed,
//! and booked ones may keep their start. [`best`] returns the k cheapest series that keep every rule, exactly: no other
//! series is cheaper than one of them. [`varied`] returns k series that differ in kind, each the cheapest that differs from
//! those before it. `search.rs` and `solve.rs` explain the method.
//!
//! The rules, which every series keeps:
//! - each session keeps its gap to the session that it is measured from, in the locations' own dates;
//! - a paired session is in the ISO week of the previous one, on another day;
//! - no session begins before the previous one has ended;
//! - two needling sessions are at least 48 hours apart, from the end of one to the start of the next.
//!
//! The cost in points is a sum over sessions and over neighbours:
//!
//! ```text
//! gaps          gap_day      for each day between a gap and its ideal
//! practitioner  practitioner for each change between neighbours, and for each session not with the preferred one
//! location      location     for each change between neighbours
//! hours         hour         for each hour, begun, between a start and the preferred hours; day for another day;
//!                            in a steady series, hour as well for each hour, begun, between a start and the part of
//!                            the day at the least cost for the series
//! lateness      late_day     for each day after the first day that the ideal gaps give
//! demand        demand       for each start, times the demand of its hour in the chain, from 0 to 1
//! moved         moved        for each booked session that moves
//! ```
//!
//! A [`Preference`] changes the weights: see [`Problem::prefer`].

mod bounds;
mod explain;
mod nodes;
mod part;
mod pools;
mod relax;
mod search;
mod shape;
mod solve;
#[cfg(test)]
mod tests;
mod varied;

use std::sync::Arc;

use domain::{
    directory::GapDays,
    id::{LocationId, PractitionerId},
    preference::Preference,
    time::Interval,
};
use jiff::civil::Date;

pub use part::PartOfDay;
pub use relax::{NoSeries, Relaxation, best_or_relaxed};
pub use search::best;
pub use varied::{Difference, varied};

/// The most series of one result.
pub const SERIES_MAX: usize = 10;

/// A start that a session may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The time from start to end.
    pub visit: Interval,
    /// The day on the location's own calendar.
    pub date: Date,
    /// Minutes since midnight on the location's own clock.
    pub minute: u16,
    /// The practitioner.
    pub practitioner: PractitionerId,
    /// The location.
    pub location: LocationId,
    /// The demand of this hour in the chain, in thousandths.
    pub demand: u16,
    /// The preferences that it does not keep.
    pub outside: Outside,
}

/// The preferences that a candidate does not keep. Other candidates are used only where those that keep all preferences
/// give no series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outside {
    /// The minutes by which it is outside the preferred hours.
    pub minutes: u16,
    /// Whether it is on another than the preferred days.
    pub day: bool,
    /// Whether it is at another than the plan's locations.
    pub location: bool,
    /// Whether it is with another than the plan's practitioner, where the plan names one.
    pub practitioner: bool,
}

/// A session of the problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The gap in days to the session that it is measured from; `None` for the first.
    pub gap: Option<GapDays>,
    /// The distance to that session: 1 or 2.
    pub back: usize,
    /// Whether it must be in the week of the previous session, on another day.
    pub paired: bool,
    /// Whether the 48-hour rule applies.
    pub needling: bool,
    /// The open starts; sessions of one service share them. The search is fastest where the starts of one day, practitioner
    /// and location are consecutive.
    pub open: Arc<Vec<Candidate>>,
    /// The first and the last day of the open starts that it may have.
    pub days: (Date, Date),
    /// The present start of a booked or completed session; another start is a move, which has a cost.
    pub current: Option<Candidate>,
    /// Whether it has taken place or may not move: its current start is its only one. Between two fixed sessions no rule
    /// applies and nothing has a cost; they are in the order of their time.
    pub fixed: bool,
}

/// The pick of a session that keeps its present start.
pub const CURRENT: usize = usize::MAX;

impl Session {
    /// The start of a pick.
    ///
    /// # Panics
    /// When the pick does not exist.
    pub fn candidate(&self, pick: usize) -> &Candidate {
        match &self.current {
            Some(current) if pick == CURRENT => current,
            _ => &self.open[pick],
        }
    }

    /// All picks of the session.
    pub fn picks(&self) -> impl Iterator<Item = usize> {
        let is_possible = |candidate: &Candidate| !self.fixed && (self.days.0..=self.days.1).contains(&candidate.date);
        let open =
            self.open.iter().enumerate().filter(move |(_, candidate)| is_possible(candidate)).map(|(pick, _)| pick);
        self.current.iter().map(|_| CURRENT).chain(open)
    }
}

/// The cost of each departure from the ideal, in points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Each day between a gap and its ideal.
    pub gap_day: u32,
    /// Each change of practitioner.
    pub practitioner: u32,
    /// Each change of location.
    pub location: u32,
    /// Each hour outside the preferred hours.
    pub hour: u32,
    /// Each session on another than the preferred days.
    pub day: u32,
    /// Each day after the earliest.
    pub late_day: u32,
    /// A start at the chain's hour of the highest demand.
    pub demand: u32,
    /// Each booked session that moves: more than everything else together, so that the fewest move.
    pub moved: u64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            gap_day: 100,
            practitioner: 400,
            location: 300,
            hour: 60,
            day: 150,
            late_day: 10,
            demand: 40,
            moved: 1_000_000_000_000,
        }
    }
}

/// The sessions of a plan and the costs of their starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The sessions in order.
    pub sessions: Vec<Session>,
    /// The first day on which the plan may begin.
    pub start_on: Date,
    /// The practitioner whom the patient prefers.
    pub practitioner: Option<PractitionerId>,
    /// The costs of departures.
    pub weights: Weights,
    /// Whether the sessions should keep to one part of the day, whichever costs least.
    pub steady: bool,
}

/// The cost of a series, term by term, in points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Gaps that are not ideal.
    pub gaps: u64,
    /// Changes of practitioner.
    pub practitioner: u64,
    /// Changes of location.
    pub location: u64,
    /// Hours and days that are not preferred.
    pub hours: u64,
    /// Days after the earliest.
    pub lateness: u64,
    /// Hours of high demand.
    pub demand: u64,
    /// Booked sessions that move.
    pub moved: u64,
}

impl Terms {
    /// The sum.
    pub fn cost(&self) -> u64 {
        self.gaps + self.practitioner + self.location + self.hours + self.lateness + self.demand + self.moved
    }
}

/// One start for every session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// For each session the index of its start among the open ones, or [`CURRENT`].
    pub picks: Vec<usize>,
    /// The cost.
    pub terms: Terms,
}

/// No series keeps the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("session {} has no candidate that keeps the rules", session + 1)]
pub struct Infeasible {
    /// The index of the first session that cannot be reached.
    pub session: usize,
}

/// The factors by which preferences multiply weights.
const SOONER: u32 = 20;
const SAME: u32 = 5;
const STEADIER: u32 = 10;

impl Problem {
    /// The problem with the weights of a preference:
    ///
    /// - soonest: `late_day` times 20, so that a session two days later costs as much as a change of practitioner;
    /// - continuity: `practitioner` times 5, so that one practitioner is worth twenty days between gaps and their ideals;
    /// - hours: `hour` and `day` times 10, and a steady series.
    #[must_use]
    pub fn prefer(mut self, preference: Preference) -> Self {
        let weights = &mut self.weights;
        match preference {
            Preference::Soonest => weights.late_day = weights.late_day.saturating_mul(SOONER),
            Preference::Continuity => weights.practitioner = weights.practitioner.saturating_mul(SAME),
            Preference::Hours => {
                weights.hour = weights.hour.saturating_mul(STEADIER);
                weights.day = weights.day.saturating_mul(STEADIER);
                self.steady = true;
            }
        }
        self
    }

    /// The own cost of a start, whichever session has it, in a series that keeps to a part of the day, or to none.
    pub(crate) fn alone(&self, candidate: &Candidate, part: Option<PartOfDay>) -> Terms {
        let weights = &self.weights;
        let other = self.practitioner.is_some_and(|preferred| preferred != candidate.practitioner);
        let hours = self.hours(candidate, part);
        Terms {
            practitioner: paid(other, weights.practitioner),
            hours,
            demand: u64::from(candidate.demand) * u64::from(weights.demand) / 1000,
            ..Terms::default()
        }
    }

    /// The further cost of a start this many days after the session's earliest day.
    pub(crate) fn late(&self, days: i32) -> u64 {
        u64::try_from(days).unwrap_or(0) * u64::from(self.weights.late_day)
    }

    /// The cost of another start than the session's present one.
    pub(crate) fn moving(&self, at: usize) -> u64 {
        if self.sessions[at].current.is_some() { self.weights.moved } else { 0 }
    }

    /// Whether two sessions are both fixed.
    pub(crate) fn past(&self, earlier: usize, later: usize) -> bool {
        self.sessions[earlier].fixed && self.sessions[later].fixed
    }

    /// The first day of each session by the ideal gaps, counted from the fixed sessions before it.
    pub(crate) fn earliest(&self) -> Vec<i32> {
        let mut days: Vec<i32> = Vec::with_capacity(self.sessions.len());
        for (at, session) in self.sessions.iter().enumerate() {
            let ideal = session.gap.zip(at.checked_sub(session.back)).map(|(gap, from)| days[from] + gap.ideal as i32);
            let own = session.current.filter(|_| session.fixed).map(|candidate| day(candidate.date));
            days.push(own.or(ideal).unwrap_or_else(|| day(self.start_on)));
        }
        days
    }

    /// The cost of a series, term by term.
    ///
    /// # Panics
    /// When a session has no pick.
    pub fn terms(&self, picks: &[usize]) -> Terms {
        let mut sum = Terms::default();
        let chosen: Vec<&Candidate> =
            self.sessions.iter().zip(picks).map(|(session, pick)| session.candidate(*pick)).collect();
        let part = self.kept_part(picks);
        for (at, earliest) in self.earliest().into_iter().enumerate() {
            if !self.sessions[at].fixed {
                let own = self.alone(chosen[at], part);
                sum.practitioner += own.practitioner;
                sum.hours += own.hours;
                sum.demand += own.demand;
                sum.lateness += self.late(day(chosen[at].date) - earliest);
                sum.moved += if picks[at] == CURRENT { 0 } else { self.moving(at) };
            }
            let session = &self.sessions[at];
            let measured = session.gap.zip(at.checked_sub(session.back));
            if let Some((gap, from)) = measured.filter(|(_, from)| !self.past(*from, at)) {
                let days = day(chosen[at].date) - day(chosen[from].date);
                sum.gaps += u64::from(days.abs_diff(gap.ideal as i32)) * u64::from(self.weights.gap_day);
            }
            if let Some(before) = at.checked_sub(1).filter(|before| !self.past(*before, at)) {
                let before = chosen[before];
                sum.practitioner += paid(before.practitioner != chosen[at].practitioner, self.weights.practitioner);
                sum.location += paid(before.location != chosen[at].location, self.weights.location);
            }
        }
        sum
    }
}

fn paid(holds: bool, weight: u32) -> u64 {
    if holds { u64::from(weight) } else { 0 }
}

/// Days since 1970-01-01.
pub(crate) fn day(date: Date) -> i32 {
    let since = date.duration_since(jiff::civil::date(1970, 1, 1));
    (since.as_hours() / 24) as i32
}

/// The number of a day's ISO week, counted from an arbitrary one.
pub(crate) fn week(day: i32) -> i32 {
    // 1970-01-01 was a Thursday; weeks begin on Monday.
    (day + 3).div_euclid(7)
}
