//! Appointments as planning sees them, and the arrangement that a patient knows.

use domain::{appointment::Status, time::from_micros};
use jiff::{civil::DateTime, tz::TimeZone};
use uuid::Uuid;

/// The time and the location of an appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) starts_at_us: i64,
    pub(crate) location: Uuid,
}

/// An appointment, from the feed.
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
    /// The session of a plan that the appointment is.
    pub(crate) plan_session: Option<Uuid>,
    pub(crate) confirmed_at_us: Option<i64>,
}

impl Appointment {
    /// The location's time zone; UTC for an unknown one.
    pub(crate) fn zone(&self) -> TimeZone {
        domain::time::zone(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// Whether the arrangement and the hour of the day are the same. The hour differs when the location's time zone changes.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.arrangement() == other.arrangement() && self.hour() == other.hour()
    }

    /// The start on the location's wall clock.
    fn hour(&self) -> Option<DateTime> {
        Some(from_micros(self.visit.starts_at_us)?.to_zoned(self.zone()).datetime())
    }
}

/// The time, location, practitioner and service that a patient expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrangement {
    pub(crate) visit: Visit,
    pub(crate) practitioner: Uuid,
    pub(crate) service: Uuid,
}

impl Appointment {
    /// The present arrangement.
    pub(crate) fn arrangement(&self) -> Arrangement {
        Arrangement { visit: self.visit, practitioner: self.practitioner, service: self.service }
    }
}

/// The details that differ from the arrangement that the patient knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) time: bool,
    pub(crate) location: bool,
    pub(crate) practitioner: bool,
    pub(crate) service: bool,
}

impl Changed {
    /// The differences between two arrangements.
    pub(crate) fn between(known: &Arrangement, now: &Arrangement) -> Self {
        Self {
            time: known.visit.starts_at_us != now.visit.starts_at_us,
            location: known.visit.location != now.visit.location,
            practitioner: known.practitioner != now.practitioner,
            service: known.service != now.service,
        }
    }

    /// A letter for each detail, as a message stores them: `t`, `l`, `p` and `s`.
    pub(crate) fn letters(self) -> String {
        let all = [(self.time, 't'), (self.location, 'l'), (self.practitioner, 'p'), (self.service, 's')];
        all.into_iter().filter_map(|(changed, letter)| changed.then_some(letter)).collect()
    }

    /// Reads the letters of a message.
    pub(crate) fn of_letters(letters: &str) -> Self {
        let has = |letter| letters.contains(letter);
        Self { time: has('t'), location: has('l'), practitioner: has('p'), service: has('s') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_read_back() {
        for bits in 0_u8..16 {
            let is = |bit: u8| bits & bit != 0;
            let changed = Changed { time: is(1), location: is(2), practitioner: is(4), service: is(8) };
            assert_eq!(Changed::of_letters(&changed.letters()), changed);
        }
    }
}
