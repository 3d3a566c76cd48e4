//! Problems without a series: the first session without a candidate, and the smallest relaxation that gives a series.

use std::{fmt, sync::Arc};

use super::{CURRENT, Candidate, Infeasible, Problem, Series, Session, search::is_possible, varied};

/// The most days by which a relaxation changes a gap.
const DAYS_MAX: u32 = 14;

/// A relaxation of the rules or preferences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relaxation {
    /// A longer gap before the session.
    LongerGap {
        /// The index of the session.
        session: usize,
        /// The change in days.
        days: u32,
    },
    /// A shorter gap before the session.
    ShorterGap {
        /// The index of the session.
        session: usize,
        /// The change in days.
        days: u32,
    },
    /// Hours outside the preferred ones.
    OtherHours,
    /// Days outside the preferred ones.
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

/// No series keeps the rules and the preferences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSeries {
    /// The index of the first session without a candidate.
    pub session: usize,
    /// The first relaxation that gives a series.
    pub relaxation: Option<Relaxation>,
}

/// The k series of [`varied`] from the candidates that keep every preference; without a series, the first relaxation that
/// gives one.
///
/// Relaxations are tried in this order: a gap of the session longer by a day, shorter by a day, and so on up to 14 days;
/// other hours; other days; another practitioner; another location.
///
/// # Errors
/// When there is no series.
pub fn best_or_relaxed(problem: &Problem, k: usize) -> Result<Vec<Series>, NoSeries> {
    let inside = |candidate: &Candidate| candidate.outside == super::Outside::default();
    // Most problems hold preferred candidates only, which need no copy.
    if problem.sessions.iter().all(|session| session.open.iter().all(inside))
        && let Ok(series) = varied(problem, k)
    {
        return Ok(series);
    }
    let preferred = keeping(problem, inside);
    let Infeasible { session } = match varied(&preferred.problem, k) {
        Ok(series) => return Ok(series.into_iter().map(|series| preferred.restored(series)).collect()),
        Err(infeasible) => infeasible,
    };
    let relaxation = gaps(session).find(|relaxation| is_possible(&with_gap(&preferred.problem, *relaxation)));
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

/// A selection of candidates.
type Keep = fn(&Candidate) -> bool;

fn gaps(session: usize) -> impl Iterator<Item = Relaxation> {
    let steps = if session == 0 { 0 } else { DAYS_MAX };
    (1..=steps)
        .flat_map(move |days| [Relaxation::LongerGap { session, days }, Relaxation::ShorterGap { session, days }])
}

fn with_gap(problem: &Problem, relaxation: Relaxation) -> Problem {
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

/// A problem with a selection of its candidates.
struct Selection {
    problem: Problem,
    /// For each session the indices of its open starts in the whole problem.
    indices: Vec<Arc<[usize]>>,
}

impl Selection {
    /// A series with the picks of the whole problem.
    fn restored(&self, series: Series) -> Series {
        let name = |(pick, indices): (&usize, &Arc<[usize]>)| indices.get(*pick).copied().unwrap_or(CURRENT);
        Series { picks: series.picks.iter().zip(&self.indices).map(name).collect(), ..series }
    }
}

/// A session's present start stays, whatever the preferences.
fn keeping(problem: &Problem, keep: impl Fn(&Candidate) -> bool) -> Selection {
    let mut kept = Selection { problem: Problem { sessions: vec![], ..problem.clone() }, indices: vec![] };
    for (at, session) in problem.sessions.iter().enumerate() {
        // Shared starts stay shared.
        let known = problem.sessions[..at].iter().position(|earlier| Arc::ptr_eq(&earlier.open, &session.open));
        let (open, indices) = match known {
            Some(known) => (kept.problem.sessions[known].open.clone(), kept.indices[known].clone()),
            None => {
                let indices: Arc<[usize]> = (0..session.open.len()).filter(|at| keep(&session.open[*at])).collect();
                (Arc::new(indices.iter().map(|at| session.open[*at]).collect()), indices)
            }
        };
        kept.problem.sessions.push(Session { open, ..session.clone() });
        kept.indices.push(indices);
    }
    kept
}
