//! Where no series keeps the rules and the wishes: which session is the first that cannot be had, and what is the least
//! to give up so that there is one.

use std::{fmt, sync::Arc};

use super::{CURRENT, Candidate, Infeasible, Problem, Series, Session, search::is_possible, varied};

/// Days by which a gap may be made longer or shorter, at most.
const DAYS_MAX: u32 = 14;

/// What to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relaxation {
    /// A longer gap before the session (from 0), by so many days.
    LongerGap {
        /// Whose gap.
        session: usize,
        /// By how many days.
        days: u32,
    },
    /// A shorter gap before the session, by so many days.
    ShorterGap {
        /// Whose gap.
        session: usize,
        /// By how many days.
        days: u32,
    },
    /// Hours outside the wished ones.
    OtherHours,
    /// Days that are not wished.
    OtherDays,
    /// Another practitioner.
    OtherPractitioner,
    /// Another location.
    OtherLocation,
}

impl fmt::Display for Relaxation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongerGap { session, days } => {
                write!(f, "let the gap before session {} be {days} days longer", session + 1)
            }
            Self::ShorterGap { session, days } => {
                write!(f, "let the gap before session {} be {days} days shorter", session + 1)
            }
            Self::OtherHours => f.write_str("take hours outside the wished ones"),
            Self::OtherDays => f.write_str("take days that were not wished"),
            Self::OtherPractitioner => f.write_str("take another practitioner"),
            Self::OtherLocation => f.write_str("take another location"),
        }
    }
}

/// No series keeps the rules and the wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSeries {
    /// The first session, from 0, that has no candidate.
    pub session: usize,
    /// The least to give up, where anything helps.
    pub relaxation: Option<Relaxation>,
}

/// The k series of [`varied`] of the candidates that keep every wish; where there is none, what to give up.
///
/// Tried in this order, the first that gives a series is the answer: a gap of the session longer by a day, shorter by a
/// day, and so on up to 14 days; other hours; other days; another practitioner; another location.
///
/// # Errors
/// Where there is no series.
pub fn best_or_relaxed(problem: &Problem, k: usize) -> Result<Vec<Series>, NoSeries> {
    let inside = |candidate: &Candidate| candidate.outside == super::Outside::default();
    // Most questions bring what is wished and nothing else: that need not be copied.
    if problem.sessions.iter().all(|session| session.open.iter().all(inside))
        && let Ok(series) = varied(problem, k)
    {
        return Ok(series);
    }
    let wished = keeping(problem, inside);
    let Infeasible { session } = match varied(&wished.problem, k) {
        Ok(series) => return Ok(series.into_iter().map(|series| wished.named(series)).collect()),
        Err(infeasible) => infeasible,
    };
    let relaxation = gaps(session).find(|relaxation| is_possible(&stretched(&wished.problem, *relaxation)));
    let others = || {
        let looser: [(Relaxation, Keep); 4] = [
            (Relaxation::OtherHours, |it| !it.outside.day && !it.outside.practitioner && !it.outside.location),
            (Relaxation::OtherDays, |it| it.outside.minutes == 0 && !it.outside.practitioner && !it.outside.location),
            (Relaxation::OtherPractitioner, |it| it.outside.minutes == 0 && !it.outside.day && !it.outside.location),
            (Relaxation::OtherLocation, |it| it.outside.minutes == 0 && !it.outside.day && !it.outside.practitioner),
        ];
        let helps = |(_, keep): &(Relaxation, Keep)| is_possible(&keeping(problem, keep).problem);
        looser.into_iter().find(helps).map(|(relaxation, _)| relaxation)
    };
    Err(NoSeries { session, relaxation: relaxation.or_else(others) })
}

/// Which candidates may be taken.
type Keep = fn(&Candidate) -> bool;

fn gaps(session: usize) -> impl Iterator<Item = Relaxation> {
    let steps = if session == 0 { 0 } else { DAYS_MAX };
    (1..=steps)
        .flat_map(move |days| [Relaxation::LongerGap { session, days }, Relaxation::ShorterGap { session, days }])
}

fn stretched(problem: &Problem, relaxation: Relaxation) -> Problem {
    let mut problem = problem.clone();
    let (at, longer, shorter) = match relaxation {
        Relaxation::LongerGap { session, days } => (session, days, 0),
        Relaxation::ShorterGap { session, days } => (session, 0, days),
        _ => return problem,
    };
    if let Some(gap) = problem.sessions.get_mut(at).and_then(|session| session.gap.as_mut()) {
        gap.most += longer;
        gap.least = gap.least.saturating_sub(shorter);
    }
    problem
}

/// A problem with some of its candidates, and which they were.
struct Kept {
    problem: Problem,
    /// For each session the places of its open starts in the whole problem.
    places: Vec<Arc<[usize]>>,
}

impl Kept {
    /// The series in the places of the whole problem.
    fn named(&self, series: Series) -> Series {
        let name = |(pick, places): (&usize, &Arc<[usize]>)| places.get(*pick).copied().unwrap_or(CURRENT);
        Series { picks: series.picks.iter().zip(&self.places).map(name).collect(), ..series }
    }
}

/// What a session has now is its own, whatever was wished.
fn keeping(problem: &Problem, keep: impl Fn(&Candidate) -> bool) -> Kept {
    let mut kept = Kept { problem: Problem { sessions: vec![], ..problem.clone() }, places: vec![] };
    for (at, session) in problem.sessions.iter().enumerate() {
        // Starts that are shared stay shared.
        let known = problem.sessions[..at].iter().position(|earlier| Arc::ptr_eq(&earlier.open, &session.open));
        let (open, places) = match known {
            Some(known) => (kept.problem.sessions[known].open.clone(), kept.places[known].clone()),
            None => {
                let places: Arc<[usize]> =
                    (0..session.open.len()).filter(|place| keep(&session.open[*place])).collect();
                (Arc::new(places.iter().map(|place| session.open[*place]).collect()), places)
            }
        };
        kept.problem.sessions.push(Session { open, ..session.clone() });
        kept.places.push(places);
    }
    kept
}
