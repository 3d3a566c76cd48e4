//! What happens in eight weeks, drawn from a seed: bookings, changes, outages and deaths. Pure.

use std::collections::BTreeMap;

use jiff::{ToSpan, civil::date, tz::TimeZone};
use runtime::Ids;

use crate::common::us;

/// Both change their clocks within the eight weeks: on March 8 and on March 29.
pub const ZONES: [&str; 2] = ["America/Edmonton", "Europe/London"];
/// When the first visit can be booked.
pub const FIRST: &str = "2026-02-20T00:00:00Z";
/// Minutes before the start at which the default rules send something.
pub const OFFSETS: [i64; 3] = [72 * 60, 24 * 60, 2 * 60];
pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAYS: usize = 56;

/// What is special about a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patient {
    Plain,
    NoPhone,
    NoConsent,
    PrefersEmail,
    /// The provider knows no such number.
    BadNumber,
    /// Has told the carrier to stop.
    OptedOut,
}

/// A visit as it is booked.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    pub number: u128,
    pub zone: usize,
    pub patient: Patient,
    pub booked_at_us: i64,
    pub starts_at_us: i64,
}

/// What a visit becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Cancelled,
    At(i64),
}

/// At which moment of a message's way something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Race {
    /// At none in particular.
    None,
    /// Booking has made its answer to the last question before the send, and has not given it yet.
    Asked,
    /// The same, and the answer stays on the way until the followers know of the change.
    Delayed,
    /// The provider has the text and has not answered yet.
    Given,
}

#[derive(Debug, Clone, Copy)]
pub enum What {
    Book(Visit),
    Change {
        visit: u128,
        to: To,
        race: Race,
    },
    /// Booking answers no questions, or does again.
    Down(bool),
    /// The feed says nothing new, or does again.
    Hold(bool),
    /// The feed breaks off, or can be had again.
    Cut(bool),
    /// The provider has a bad time, or has had it.
    Storm(bool),
    /// A service dies, and another takes its place.
    Kill {
        visit: u128,
        race: Race,
        back_at_us: i64,
    },
    Start(usize),
    /// The answer to the question about a visit stays on the way for longer than the lease.
    Slow {
        visit: u128,
    },
    /// It arrives.
    Arrive {
        visit: u128,
    },
}

/// Events in their order.
pub type Events = BTreeMap<(i64, u64), What>;

/// A script for so many visits.
pub struct Script {
    pub visits: Vec<Visit>,
    pub events: Events,
    dice: Ids,
}

impl Script {
    pub fn draw(seed: u64, visits: u128) -> Self {
        let mut script = Self { visits: vec![], events: Events::new(), dice: Ids::seeded(seed) };
        for number in 1..=visits {
            script.book(number);
        }
        for index in 0..script.visits.len() {
            if script.chance(0.2) {
                script.change(script.visits[index]);
            }
        }
        for _ in 0..(visits / 60).max(16) {
            script.kill();
        }
        for _ in 0..(visits / 60).max(8) {
            let visit = script.any();
            let due_us = script.due(visit);
            script.at(due_us, What::Slow { visit: visit.number });
            script.at(due_us + 170 * SECOND, What::Arrive { visit: visit.number });
        }
        for _ in 0..3 + visits / 1000 {
            script.outage(45, What::Down);
            script.outage(45, What::Hold);
            script.outage(45, What::Cut);
            script.outage(60, What::Storm);
            script.long_outage(What::Down);
            script.long_outage(What::Hold);
        }
        script
    }

    fn chance(&self, of: f64) -> bool {
        self.dice.fraction() < of
    }

    /// A whole number in `[from, to)`.
    fn between(&self, from: i64, to: i64) -> i64 {
        from + (self.dice.fraction() * (to - from) as f64) as i64
    }

    fn at(&mut self, at_us: i64, what: What) {
        let number = self.events.len() as u64;
        self.events.insert((at_us, number), what);
    }

    fn book(&mut self, number: u128) {
        let zone = usize::from(self.chance(0.5));
        // Eight to five, a third of them at nine.
        let minutes = if self.chance(0.3) { 9 * 60 } else { self.between(8, 18) * 60 };
        let day = date(2026, 2, 23).at(0, 0, 0, 0) + self.between(0, DAYS as i64).days() + minutes.minutes();
        let start = day.to_zoned(TimeZone::get(ZONES[zone]).unwrap()).unwrap();
        let starts_at_us = start.timestamp().as_microsecond();
        let lead = match self.dice.fraction() {
            few if few < 0.2 => self.between(HOUR, 20 * HOUR),
            some if some < 0.6 => self.between(20 * HOUR, 80 * HOUR),
            _ => self.between(80 * HOUR, 300 * HOUR),
        };
        let booked_at_us = (starts_at_us - lead).max(us(FIRST)) / (30 * MINUTE) * (30 * MINUTE);
        let patient = match (self.dice.fraction() * 100.0) as u32 {
            0 | 1 => Patient::NoPhone,
            2 | 3 => Patient::NoConsent,
            4 | 5 => Patient::PrefersEmail,
            6 => Patient::BadNumber,
            7 => Patient::OptedOut,
            _ => Patient::Plain,
        };
        let visit = Visit { number, zone, patient, booked_at_us, starts_at_us };
        self.visits.push(visit);
        self.at(booked_at_us, What::Book(visit));
    }

    /// When one of a visit's messages is due.
    fn due(&self, visit: Visit) -> i64 {
        let ahead = |offset: &i64| visit.starts_at_us - offset * MINUTE;
        let due: Vec<_> = OFFSETS.iter().map(ahead).filter(|due| *due > visit.booked_at_us + 5 * MINUTE).collect();
        match due.len() {
            0 => visit.booked_at_us + 10 * SECOND,
            some => due[self.between(0, some as i64) as usize],
        }
    }

    fn race(&self) -> Race {
        match self.dice.fraction() {
            one if one < 0.3 => Race::Asked,
            one if one < 0.6 => Race::Delayed,
            one if one < 0.8 => Race::Given,
            _ => Race::None,
        }
    }

    /// Calls a visit off or moves it, in the last minutes before a message is due or in the very moment.
    fn change(&mut self, visit: Visit) {
        let due_us = self.due(visit);
        let in_that_moment = self.chance(0.45);
        let (at_us, race) = match in_that_moment {
            true => (due_us, self.race()),
            false => (due_us - self.between(1, 180) * SECOND, Race::None),
        };
        let at_us = at_us.max(visit.booked_at_us + SECOND);
        // The followers are behind.
        if self.chance(0.4) {
            self.at(at_us - SECOND, What::Hold(true));
            self.at(at_us.max(due_us) + MINUTE, What::Hold(false));
        }
        let number = visit.number;
        if self.chance(0.5) {
            return self.at(at_us, What::Change { visit: number, to: To::Cancelled, race });
        }
        let moved = |by: i64| visit.starts_at_us + by * 30 * MINUTE;
        let earlier = moved(-self.between(1, 96));
        let later = moved(self.between(1, 96));
        let first = if self.chance(0.3) && earlier > at_us + HOUR { earlier } else { later };
        self.at(at_us, What::Change { visit: number, to: To::At(first), race });
        let then_us = at_us + self.between(15, 240) * SECOND;
        let later_us = at_us + self.between(3, 240) * MINUTE;
        let (then_us, to) = match self.dice.fraction() {
            one if one < 0.3 => (then_us, To::At(visit.starts_at_us)),
            one if one < 0.5 => (later_us, To::At(visit.starts_at_us)),
            one if one < 0.6 => (then_us, To::Cancelled),
            one if one < 0.7 => (later_us, To::At(moved(100))),
            _ => return,
        };
        if then_us + HOUR < visit.starts_at_us.min(first) {
            self.at(then_us, What::Change { visit: number, to, race: Race::None });
        }
    }

    fn any(&self) -> Visit {
        self.visits[self.between(0, self.visits.len() as i64) as usize]
    }

    fn kill(&mut self) {
        let visit = self.any();
        let at_us = if self.chance(0.3) { visit.booked_at_us } else { self.due(visit) };
        let away_us = if self.chance(0.5) { 1_300_000 } else { self.between(30, 1200) * SECOND };
        let race = if self.chance(0.5) { Race::Given } else { Race::Asked };
        self.at(at_us, What::Kill { visit: visit.number, race, back_at_us: at_us + away_us });
    }

    fn outage(&mut self, minutes: i64, what: impl Fn(bool) -> What) {
        let from_us = self.due(self.any()) - self.between(5, 180) * SECOND;
        let until_us = from_us + self.between(5, minutes) * MINUTE;
        self.at(from_us, what(true));
        self.at(until_us, what(false));
    }

    /// From before the last message about a visit until after its start.
    fn long_outage(&mut self, what: impl Fn(bool) -> What) {
        let starts_at_us = self.any().starts_at_us;
        self.at(starts_at_us - self.between(125, 180) * MINUTE, what(true));
        self.at(starts_at_us + self.between(1, 20) * MINUTE, what(false));
    }
}
