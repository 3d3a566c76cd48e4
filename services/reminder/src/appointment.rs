//! What a patient counts on, and what of it has changed.

use domain::{appointment::Status, time::from_micros};
use jiff::{civil::DateTime, tz::TimeZone};
use uuid::Uuid;

/// What a message tells: when and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) starts_at_us: i64,
    pub(crate) location: Uuid,
}

/// An appointment, as far as the feed tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Appointment {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) status: Status,
    pub(crate) service: Uuid,
    pub(crate) practitioner: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) visit: Visit,
    pub(crate) ends_at_us: i64,
    pub(crate) time_zone: String,
    /// The session of a plan that it is.
    pub(crate) plan_session: Option<Uuid>,
    pub(crate) confirmed_at_us: Option<i64>,
}

impl Appointment {
    /// The location's zone; UTC where this program's data knows no such zone.
    pub(crate) fn zone(&self) -> TimeZone {
        domain::time::zone(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// Whether the other is what a patient counts on here, by the same clock: one that stays while its location's time zone
    /// changes is not.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.arrangement() == other.arrangement() && self.hour() == other.hour()
    }

    /// Its start on the wall clock.
    fn hour(&self) -> Option<DateTime> {
        Some(from_micros(self.visit.starts_at_us)?.to_zoned(self.zone()).datetime())
    }
}

/// What a patient counts on: when and where, with whom, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrangement {
    pub(crate) visit: Visit,
    pub(crate) practitioner: Uuid,
    pub(crate) service: Uuid,
}

impl Appointment {
    /// The arrangement as it stands.
    pub(crate) fn arrangement(&self) -> Arrangement {
        Arrangement { visit: self.visit, practitioner: self.practitioner, service: self.service }
    }
}

/// What is other than the patient knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) time: bool,
    pub(crate) location: bool,
    pub(crate) practitioner: bool,
    pub(crate) service: bool,
}

impl Changed {
    /// From what the patient knows to how it stands.
    pub(crate) fn between(known: &Arrangement, now: &Arrangement) -> Self {
        Self {
            time: known.visit.starts_at_us != now.visit.starts_at_us,
            location: known.visit.location != now.visit.location,
            practitioner: known.practitioner != now.practitioner,
            service: known.service != now.service,
        }
    }

    /// As a message keeps it: a letter each, `t`, `l`, `p` and `s`.
    pub(crate) fn letters(self) -> String {
        let all = [(self.time, 't'), (self.location, 'l'), (self.practitioner, 'p'), (self.service, 's')];
        all.into_iter().filter_map(|(changed, letter)| changed.then_some(letter)).collect()
    }

    /// What a message kept.
    pub(crate) fn of_letters(letters: &str) -> Self {
        let has = |letter| letters.contains(letter);
        Self { time: has('t'), location: has('l'), practitioner: has('p'), service: has('s') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_reads_back() {
        for bits in 0_u8..16 {
            let is = |bit: u8| bits & bit != 0;
            let changed = Changed { time: is(1), location: is(2), practitioner: is(4), service: is(8) };
            assert_eq!(Changed::of_letters(&changed.letters()), changed);
        }
    }
}
