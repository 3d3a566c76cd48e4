//! Whole series of sessions: the best ones under one stated cost.
//!
//! A [`Problem`] is the sessions of a plan in their order, each with the starts that it may take; what is done already is
//! fixed, and what is booked may keep the start that it has. [`best`] answers the k cheapest series that keep every rule, exactly:
//! no series outside the answer is cheaper than one in it. [`varied`] answers k that are different in kind, each the
//! cheapest that differs from those before it. `search.rs` and `solve.rs` say how.
//!
//! The rules, which nothing is paid for:
//! - each session keeps its gap to the session that it is measured from, in the locations' own dates;
//! - a paired session is in the ISO week of the one before, on another day;
//! - no session begins before the one before has ended;
//! - two needling sessions are at least 48 hours apart, from the end of one to the start of the next.
//!
//! The cost, in points, is a sum over sessions and over neighbours:
//!
//! ```text
//! gaps          gap_day      for each day between a gap and its ideal
//! practitioner  practitioner for each change between neighbours, and for each session not with the one who was wished
//! location      location     for each change between neighbours
//! hours         hour         for each hour, begun, between a start and the wished hours; day for a day not wished;
//!                            where the series is to be steady, hour as well for each hour, begun, between a start and
//!                            the part of the day that suits the series best
//! lateness      late_day     for each day after the first day that the ideal gaps give
//! demand        demand       for each start, times how wanted its hour is in the chain, from 0 to 1
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

/// Most series that can be asked for.
pub const SERIES_MAX: usize = 10;

/// A start that a session may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// From start to end.
    pub visit: Interval,
    /// The day on the location's own calendar.
    pub date: Date,
    /// Minutes since midnight on the location's own clock.
    pub minute: u16,
    /// By whom.
    pub practitioner: PractitionerId,
    /// Where.
    pub location: LocationId,
    /// How wanted this hour is in the chain, in thousandths.
    pub demand: u16,
    /// Which wishes it does not keep.
    pub outside: Outside,
}

/// The wishes that a candidate does not keep. Those that keep all of them come first; others are looked at only where
/// they give no series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outside {
    /// Not in the wished hours: by so many minutes.
    pub minutes: u16,
    /// Not on a wished day.
    pub day: bool,
    /// Not at one of the plan's locations.
    pub location: bool,
    /// Not by the plan's own practitioner, where that is a must.
    pub practitioner: bool,
}

/// A session of the problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Days to the session that it is measured from; none for the first.
    pub gap: Option<GapDays>,
    /// Which session the gap is measured from: 1 for the one before, 2 for the one before that.
    pub back: usize,
    /// In the week of the session before, on another day.
    pub paired: bool,
    /// Whether the 48-hour rule applies.
    pub needling: bool,
    /// The starts that are open; sessions of one service share them. The search is fastest where those of one day,
    /// practitioner and location stand together.
    pub open: Arc<Vec<Candidate>>,
    /// It takes those of these days, the last one included.
    pub days: (Date, Date),
    /// The start that it has now, where it is booked or done; another one is a move, which is paid for.
    pub current: Option<Candidate>,
    /// Whether it has taken place, or stays whatever comes: it has no start but its current one. Between two of these no
    /// gap is looked at and nothing is paid; they come in the order of their time.
    pub fixed: bool,
}

/// The pick of a session that keeps the start which it has.
pub const CURRENT: usize = usize::MAX;

impl Session {
    /// The start behind a pick.
    ///
    /// # Panics
    /// When there is none.
    pub fn candidate(&self, pick: usize) -> &Candidate {
        match &self.current {
            Some(current) if pick == CURRENT => current,
            _ => &self.open[pick],
        }
    }

    /// Everything that it may take.
    pub fn picks(&self) -> impl Iterator<Item = usize> {
        let may = |candidate: &Candidate| !self.fixed && (self.days.0..=self.days.1).contains(&candidate.date);
        let open = self.open.iter().enumerate().filter(move |(_, candidate)| may(candidate)).map(|(pick, _)| pick);
        self.current.iter().map(|_| CURRENT).chain(open)
    }
}

/// What a patient wishes, and what is paid for each departure from the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// For each day between a gap and its ideal.
    pub gap_day: u32,
    /// For each change of practitioner.
    pub practitioner: u32,
    /// For each change of location.
    pub location: u32,
    /// For each hour outside the wished ones.
    pub hour: u32,
    /// For a day that is not wished.
    pub day: u32,
    /// For each day after the earliest.
    pub late_day: u32,
    /// For a start at the chain's most wanted hour.
    pub demand: u32,
    /// For each booked session that moves: more than all else together, so that the fewest move.
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

/// A plan to be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In their order.
    pub sessions: Vec<Session>,
    /// The first day on which the plan may begin.
    pub start_on: Date,
    /// The practitioner whom the patient would like.
    pub practitioner: Option<PractitionerId>,
    /// What departures cost.
    pub weights: Weights,
    /// Whether the sessions are to keep to one part of the day, whichever suits best.
    pub steady: bool,
}

/// What a series costs, term by term, in points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Gaps that are not ideal.
    pub gaps: u64,
    /// Changes of practitioner.
    pub practitioner: u64,
    /// Changes of location.
    pub location: u64,
    /// Hours and days that are not wished.
    pub hours: u64,
    /// Days after the earliest.
    pub lateness: u64,
    /// The chain's most wanted hours.
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
    /// For each session the index of its start among those that are open, or [`CURRENT`].
    pub picks: Vec<usize>,
    /// What it costs.
    pub terms: Terms,
}

/// No series keeps the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("session {} has no candidate that keeps the rules", session + 1)]
pub struct Infeasible {
    /// The first session, from 0, that cannot be reached.
    pub session: usize,
}

/// By how much a preference multiplies the weights that it is about.
const SOONER: u32 = 20;
const SAME: u32 = 5;
const STEADIER: u32 = 10;

impl Problem {
    /// The problem with the weights of a preference:
    ///
    /// - soonest: `late_day` times 20, so that a session two days later costs as much as a change of practitioner;
    /// - continuity: `practitioner` times 5, so that one practitioner is worth twenty days between gaps and their ideals;
    /// - hours: `hour` and `day` times 10, and the series is to be steady.
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

    /// What a start costs by itself, whichever session takes it, in a series that keeps to a part of the day or to none.
    pub(crate) fn alone(&self, candidate: &Candidate, part: Option<PartOfDay>) -> Terms {
        let weights = &self.weights;
        let other = self.practitioner.is_some_and(|wished| wished != candidate.practitioner);
        let hours = self.hours(candidate, part);
        Terms {
            practitioner: paid(other, weights.practitioner),
            hours,
            demand: u64::from(candidate.demand) * u64::from(weights.demand) / 1000,
            ..Terms::default()
        }
    }

    /// What a session pays for taking a start so many days after the earliest, besides what the start costs.
    pub(crate) fn late(&self, days: i32) -> u64 {
        u64::try_from(days).unwrap_or(0) * u64::from(self.weights.late_day)
    }

    /// What a session pays for taking another start than its own.
    pub(crate) fn moving(&self, at: usize) -> u64 {
        if self.sessions[at].current.is_some() { self.weights.moved } else { 0 }
    }

    /// Whether nothing can change any more between two sessions.
    pub(crate) fn past(&self, one: usize, other: usize) -> bool {
        self.sessions[one].fixed && self.sessions[other].fixed
    }

    /// For each session the first day that the ideal gaps give, from what is booked or done before it.
    pub(crate) fn earliest(&self) -> Vec<i32> {
        let mut days: Vec<i32> = Vec::with_capacity(self.sessions.len());
        for (at, session) in self.sessions.iter().enumerate() {
            let ideal = session.gap.zip(at.checked_sub(session.back)).map(|(gap, from)| days[from] + gap.ideal as i32);
            let own = session.current.filter(|_| session.fixed).map(|candidate| day(candidate.date));
            days.push(own.or(ideal).unwrap_or_else(|| day(self.start_on)));
        }
        days
    }

    /// What a series costs, term by term.
    ///
    /// # Panics
    /// When it has not one pick for each session.
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

/// The ISO week that a day is in, counted from an arbitrary one.
pub(crate) fn week(day: i32) -> i32 {
    // 1970-01-01 was a Thursday; weeks begin on Monday.
    (day + 3).div_euclid(7)
}
