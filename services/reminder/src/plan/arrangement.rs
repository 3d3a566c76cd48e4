//! What a patient counts on, and what of it has changed.

use uuid::Uuid;

use super::{Appointment, Visit};

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
