//! Parts of the day, and the part that a steady series keeps to.

use super::{Candidate, Problem};

/// A part of the day on the location's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartOfDay {
    /// Before 12:00.
    Morning,
    /// From 12:00 up to 17:00.
    Afternoon,
    /// From 17:00 on.
    Evening,
}

/// The minutes since midnight at which the afternoon and the evening begin.
const NOON: u16 = 12 * 60;
const EVENING: u16 = 17 * 60;

impl PartOfDay {
    /// All of them in their order.
    pub const ALL: [Self; 3] = [Self::Morning, Self::Afternoon, Self::Evening];

    /// Its name in a sentence: `morning`, `afternoon` or `evening`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Morning => "morning",
            Self::Afternoon => "afternoon",
            Self::Evening => "evening",
        }
    }

    /// The minutes by which a start misses the part.
    fn missed_by(self, minute: u16) -> u16 {
        // A part ends one minute before the next one begins.
        let (first, last) = match self {
            Self::Morning => (0, NOON - 1),
            Self::Afternoon => (NOON, EVENING - 1),
            Self::Evening => (EVENING, u16::MAX),
        };
        first.saturating_sub(minute).max(minute.saturating_sub(last))
    }
}

impl Candidate {
    /// The part of the day of the start.
    pub fn part(&self) -> PartOfDay {
        match self.minute {
            ..NOON => PartOfDay::Morning,
            NOON..EVENING => PartOfDay::Afternoon,
            _ => PartOfDay::Evening,
        }
    }
}

impl Problem {
    /// The parts of the day that a series may keep to; `None` alone where it need not be steady.
    pub(crate) fn parts(&self) -> &'static [Option<PartOfDay>] {
        const STEADY: [Option<PartOfDay>; 3] =
            [Some(PartOfDay::Morning), Some(PartOfDay::Afternoon), Some(PartOfDay::Evening)];
        if self.steady { &STEADY } else { &[None] }
    }

    /// The cost of a start's hour and day in a series that keeps to a part of the day, or to none.
    pub(crate) fn hours(&self, candidate: &Candidate, part: Option<PartOfDay>) -> u64 {
        let missed = part.map_or(0, |part| part.missed_by(candidate.minute));
        let hours = candidate.outside.minutes.div_ceil(60) + missed.div_ceil(60);
        let day = if candidate.outside.day { self.weights.day } else { 0 };
        u64::from(hours) * u64::from(self.weights.hour) + u64::from(day)
    }

    /// The part of the day at the least cost for some picks, where the series must be steady.
    pub(crate) fn kept_part(&self, picks: &[usize]) -> Option<PartOfDay> {
        let cost = |part: &Option<PartOfDay>| -> u64 {
            let open = self.sessions.iter().zip(picks).filter(|(session, _)| !session.fixed);
            open.map(|(session, pick)| self.hours(session.candidate(*pick), *part)).sum()
        };
        self.parts().iter().min_by_key(|part| cost(part)).copied().flatten()
    }
}
