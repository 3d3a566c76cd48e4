//! The properties of a plan's sessions that do not depend on candidates.

use domain::claim::NEEDLING_SPACING_HOURS;

use super::{Candidate, Session, day};

/// Needling sessions this many days apart are 48 hours apart at any hour.
pub(super) const NEEDLING_DAYS: i32 = NEEDLING_SPACING_HOURS as i32 / 24 + 1;

/// The properties of a session that do not depend on candidates.
pub(super) struct Shape {
    /// Whether the hour of a candidate can matter to a neighbour, so that candidates are not interchangeable.
    pub(super) timed: bool,
    /// Whether labels carry the day of the previous session.
    pub(super) keeps_day: bool,
    /// Whether labels carry the end of an earlier needling session.
    pub(super) keeps_needled: bool,
}

/// The shape of each session.
pub(super) fn shapes(sessions: &[Session]) -> Vec<Shape> {
    let least: Vec<i32> = (0..sessions.len()).map(|at| step(sessions, at)).collect();
    let close = |from: usize, to: usize| fewest_days(sessions, from, to) < NEEDLING_DAYS;
    let needled_before = |at: usize| (0..at).rev().find(|earlier| sessions[*earlier].needling);
    (0..sessions.len())
        .map(|at| {
            let meets = |earlier: usize, later: usize| {
                let needling = sessions[earlier].needling && sessions[later].needling;
                least[later] == 0 || (needling && least[later] < NEEDLING_DAYS)
            };
            let follows = at + 1 < sessions.len();
            let next = (at + 1..sessions.len()).find(|later| sessions[*later].needling);
            let remembered = needled_before(at).zip(next).filter(|_| !sessions[at].needling);
            let keeps_needled = remembered.is_some_and(|(from, to)| close(from, to));
            let spans = |earlier: Option<usize>, later: Option<usize>| {
                earlier.zip(later).is_some_and(|(from, to)| to > from + 1 && close(from, to))
            };
            let far = sessions[at].needling && (spans(needled_before(at), Some(at)) || spans(Some(at), next));
            Shape {
                timed: far || (at > 0 && meets(at - 1, at)) || (follows && meets(at, at + 1)),
                keeps_day: follows && sessions[at + 1].back == 2,
                keeps_needled,
            }
        })
        .collect()
}

fn fixed(session: &Session) -> Option<&Candidate> {
    session.current.as_ref().filter(|_| session.fixed)
}

/// The days between two sessions, where both are fixed.
fn between(earlier: &Session, later: &Session) -> Option<i32> {
    Some(day(fixed(later)?.date) - day(fixed(earlier)?.date))
}

/// The fewest days from the previous session.
fn step(sessions: &[Session], at: usize) -> i32 {
    let session = &sessions[at];
    if let Some(days) = at.checked_sub(1).and_then(|before| between(&sessions[before], session)) {
        return days;
    }
    let own = session.gap.filter(|_| session.back == 1).map_or(0, |gap| gap.least as i32);
    // A paired session and its successor each have a day of their own.
    if session.paired || session.back == 2 { own.max(1) } else { own }
}

/// The fewest days from one session to a later one.
fn fewest_days(sessions: &[Session], from: usize, to: usize) -> i32 {
    if to <= from {
        return 0;
    }
    let session = &sessions[to];
    let by_steps = fewest_days(sessions, from, to - 1) + step(sessions, to);
    let gap = session.gap.filter(|_| session.back == 2 && to >= from + 2);
    match gap.filter(|_| between(&sessions[to - 2], session).is_none()) {
        Some(gap) => by_steps.max(fewest_days(sessions, from, to - 2) + gap.least as i32),
        None => by_steps,
    }
}
