//! The texts of the simulation: the rule, and the start on the location's clock.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

use super::{oracle::VisitState, scenario::ZONES};

/// A text, accepted apart.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text {
    trigger: String,
    offset_minutes: i64,
    /// Such as `Sun, Mar 8 9:00 AM`, and in London `Sun 8 Mar 09:00`.
    when: String,
}

impl Text {
    /// The template of a rule, which [`Text::parse`] parses.
    pub fn template(trigger: &str, offset_minutes: u32) -> String {
        format!("{trigger}|{offset_minutes}|{{{{ date }}}} {{{{ time }}}}")
    }

    pub fn parse(body: &str) -> Self {
        let mut parts = body.split('|').map(str::to_owned);
        let mut next = || parts.next().unwrap();
        Self { trigger: next(), offset_minutes: next().parse().unwrap(), when: next() }
    }

    /// Whether the text is true of a visit in this state.
    pub fn is_true_of(&self, state: VisitState, zone: usize) -> bool {
        state.is_booked == (self.trigger != "cancelled") && self.when == when(state.starts_at_us, zone)
    }

    /// Whether the text states this start.
    pub fn is_about(&self, starts_at_us: i64, zone: usize) -> bool {
        self.when == when(starts_at_us, zone)
    }
}

/// The wall clock of a zone, formatted without the service.
fn when(at_us: i64, zone: usize) -> String {
    let at = Timestamp::from_microsecond(at_us).unwrap().to_zoned(TimeZone::get(ZONES[zone]).unwrap());
    let form = if ZONES[zone].starts_with("Europe/") { "%a %-d %b %H:%M" } else { "%a, %b %-d %-I:%M %p" };
    at.strftime(form).to_string()
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} about {}", self.trigger, self.offset_minutes, self.when)
    }
}
