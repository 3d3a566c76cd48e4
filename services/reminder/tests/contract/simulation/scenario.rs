//! The events of eight weeks, drawn from a seed: bookings, changes, outages and kills. Pure.

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

/// The kind of a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patient {
    Plain,
    NoPhone,
    NoConsent,
    PrefersEmail,
    /// The provider knows no such number.
    BadNumber,
    /// Opted out at the carrier.
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

/// The change of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Cancelled,
    At(i64),
}

/// The point on a message's way at which an event happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// At no particular point.
    None,
    /// Booking has computed its last answer before the send, and not returned it.
    Asked,
    /// The same, and the answer is delayed until all services applied the change.
    Delayed,
    /// The provider has the text, and has not answered.
    Given,
}

#[derive(Debug, Clone, Copy)]
pub enum Event {
    Book(Visit),
    Change {
        visit: u128,
        to: To,
        timing: Timing,
    },
    /// Booking goes down (`true`) or comes back.
    Down(bool),
    /// The feed stalls, or continues.
    Hold(bool),
    /// The feed disconnects, or is available again.
    Cut(bool),
    /// Half of the provider's requests fail, or no longer.
    Storm(bool),
    /// A service is killed, and another one starts later.
    Kill {
        visit: u128,
        timing: Timing,
        back_at_us: i64,
    },
    Start(usize),
    /// Booking's answer about a visit is delayed for longer than the lease.
    Slow {
        visit: u128,
    },
    /// The delayed answer arrives.
    Arrive {
        visit: u128,
    },
}

/// Events by time, and by number within an instant.
pub type Timeline = BTreeMap<(i64, u64), Event>;

/// The visits and the events of a run.
pub struct Scenario {
    pub visits: Vec<Visit>,
    pub events: Timeline,
    dice: Ids,
}

impl Scenario {
    pub fn draw(seed: u64, visits: u128) -> Self {
        let mut scenario = Self { visits: vec![], events: Timeline::new(), dice: Ids::seeded(seed) };
        for number in 1..=visits {
            scenario.book(number);
        }
        for index in 0..scenario.visits.len() {
            if scenario.chance(0.2) {
                scenario.change(scenario.visits[index]);
            }
        }
        for _ in 0..(visits / 60).max(16) {
            scenario.kill();
        }
        for _ in 0..(visits / 60).max(8) {
            let visit = scenario.any();
            let due_us = scenario.due(visit);
            scenario.at(due_us, Event::Slow { visit: visit.number });
            scenario.at(due_us + 170 * SECOND, Event::Arrive { visit: visit.number });
        }
        for _ in 0..3 + visits / 1000 {
            scenario.outage(45, Event::Down);
            scenario.outage(45, Event::Hold);
            scenario.outage(45, Event::Cut);
            scenario.outage(60, Event::Storm);
            scenario.long_outage(Event::Down);
            scenario.long_outage(Event::Hold);
        }
        scenario
    }

    fn chance(&self, of: f64) -> bool {
        self.dice.fraction() < of
    }

    /// A whole number in `[from, to)`.
    fn between(&self, from: i64, to: i64) -> i64 {
        from + (self.dice.fraction() * (to - from) as f64) as i64
    }

    fn at(&mut self, at_us: i64, event: Event) {
        let number = self.events.len() as u64;
        self.events.insert((at_us, number), event);
    }

    fn book(&mut self, number: u128) {
        let zone = usize::from(self.chance(0.5));
        // Eight to five, a third of them at nine.
        let minutes = if self.chance(0.3) { 9 * 60 } else { self.between(8, 18) * 60 };
        let day = date(2026, 2, 23).at(0, 0, 0, 0) + self.between(0, DAYS as i64).days() + minutes.minutes();
        let start = day.to_zoned(TimeZone::get(ZONES[zone]).unwrap()).unwrap();
        let starts_at_us = start.timestamp().as_microsecond();
        let lead = match self.dice.fraction() {
            draw if draw < 0.2 => self.between(HOUR, 20 * HOUR),
            draw if draw < 0.6 => self.between(20 * HOUR, 80 * HOUR),
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
        self.at(booked_at_us, Event::Book(visit));
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

    fn timing(&self) -> Timing {
        match self.dice.fraction() {
            draw if draw < 0.3 => Timing::Asked,
            draw if draw < 0.6 => Timing::Delayed,
            draw if draw < 0.8 => Timing::Given,
            _ => Timing::None,
        }
    }

    /// Cancels or moves a visit in the last minutes before a message is due, or at that instant.
    fn change(&mut self, visit: Visit) {
        let due_us = self.due(visit);
        let in_that_moment = self.chance(0.45);
        let (at_us, timing) = match in_that_moment {
            true => (due_us, self.timing()),
            false => (due_us - self.between(1, 180) * SECOND, Timing::None),
        };
        let at_us = at_us.max(visit.booked_at_us + SECOND);
        // The services lag behind.
        if self.chance(0.4) {
            self.at(at_us - SECOND, Event::Hold(true));
            self.at(at_us.max(due_us) + MINUTE, Event::Hold(false));
        }
        let number = visit.number;
        if self.chance(0.5) {
            return self.at(at_us, Event::Change { visit: number, to: To::Cancelled, timing });
        }
        let moved = |by: i64| visit.starts_at_us + by * 30 * MINUTE;
        let earlier = moved(-self.between(1, 96));
        let later = moved(self.between(1, 96));
        let first = if self.chance(0.3) && earlier > at_us + HOUR { earlier } else { later };
        self.at(at_us, Event::Change { visit: number, to: To::At(first), timing });
        let then_us = at_us + self.between(15, 240) * SECOND;
        let later_us = at_us + self.between(3, 240) * MINUTE;
        let (then_us, to) = match self.dice.fraction() {
            draw if draw < 0.3 => (then_us, To::At(visit.starts_at_us)),
            draw if draw < 0.5 => (later_us, To::At(visit.starts_at_us)),
            draw if draw < 0.6 => (then_us, To::Cancelled),
            draw if draw < 0.7 => (later_us, To::At(moved(100))),
            _ => return,
        };
        if then_us + HOUR < visit.starts_at_us.min(first) {
            self.at(then_us, Event::Change { visit: number, to, timing: Timing::None });
        }
    }

    fn any(&self) -> Visit {
        self.visits[self.between(0, self.visits.len() as i64) as usize]
    }

    fn kill(&mut self) {
        let visit = self.any();
        let at_us = if self.chance(0.3) { visit.booked_at_us } else { self.due(visit) };
        let away_us = if self.chance(0.5) { 1_300_000 } else { self.between(30, 1200) * SECOND };
        let timing = if self.chance(0.5) { Timing::Given } else { Timing::Asked };
        self.at(at_us, Event::Kill { visit: visit.number, timing, back_at_us: at_us + away_us });
    }

    fn outage(&mut self, minutes: i64, event: impl Fn(bool) -> Event) {
        let from_us = self.due(self.any()) - self.between(5, 180) * SECOND;
        let until_us = from_us + self.between(5, minutes) * MINUTE;
        self.at(from_us, event(true));
        self.at(until_us, event(false));
    }

    /// From before the last message about a visit until after its start.
    fn long_outage(&mut self, event: impl Fn(bool) -> Event) {
        let starts_at_us = self.any().starts_at_us;
        self.at(starts_at_us - self.between(125, 180) * MINUTE, event(true));
        self.at(starts_at_us + self.between(1, 20) * MINUTE, event(false));
    }
}
