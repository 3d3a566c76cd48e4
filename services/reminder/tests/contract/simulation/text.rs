//! What the texts of the simulation say: their rule, and the day and the hour on the location's clock.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

use super::{oracle::Fact, scenario::ZONES};

/// A text, taken apart.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text {
    trigger: String,
    offset_minutes: i64,
    /// Such as `Sun, Mar 8 9:00 AM`, and in London `Sun 8 Mar 09:00`.
    when: String,
}

impl Text {
    /// The template of a rule's texts, which [`Text::read`] reads.
    pub fn template(trigger: &str, offset_minutes: u32) -> String {
        format!("{trigger}|{offset_minutes}|{{{{ date }}}} {{{{ time }}}}")
    }

    pub fn read(body: &str) -> Self {
        let mut parts = body.split('|').map(str::to_owned);
        let mut next = || parts.next().unwrap();
        Self { trigger: next(), offset_minutes: next().parse().unwrap(), when: next() }
    }

    /// Whether it is so of a visit that stands like this.
    pub fn is_so(&self, fact: Fact, zone: usize) -> bool {
        fact.stands == (self.trigger != "cancelled") && self.when == when(fact.starts_at_us, zone)
    }

    /// Whether it speaks of this start.
    pub fn is_about(&self, starts_at_us: i64, zone: usize) -> bool {
        self.when == when(starts_at_us, zone)
    }
}

/// The wall clock of a zone in words, made without the service.
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
