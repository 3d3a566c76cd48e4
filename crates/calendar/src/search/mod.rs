//! The kernel: at which ticks does a visit fit?
//!
//! A visit claims its practitioner, a room and a unit of equipment for `length` ticks (preparation and clean-up
//! included). For one practitioner at one location the ticks at which such a claim can begin are
//!
//! ```text
//! runs(roster AND NOT taken) AND mask AND (runs(room 1) OR runs(room 2) OR …) AND (runs(unit 1) OR …)
//! ```
//!
//! where [`runs`](crate::bits::runs) turns "free now" into "free for the whole length from now on" in log2(length)
//! passes over the words. Time is walked in blocks that begin small and double, so that the first page of a busy
//! chain looks at hours, not months. Starts come earliest first, then by location, then in an order of
//! practitioners that turns with the days, so that equally early practitioners get equal shares.
//!
//! [`search`] gives pages, [`every`] all there is, [`days`] counts, [`first_of_each_place`] compares locations, and [`fits`] tells of one
//! start which rule hides it. All four look at the same bits and the same wall clock, so a start is shown if and only
//! if [`fits`] accepts it.

mod clock;
mod fits;
mod page;
mod views;
mod walk;

pub use fits::{Why, fits, free};
pub use page::{every, search};
pub use views::{Day, days, first_of_each_place};
pub use walk::Scratch;

use crate::{
    bits::Bits,
    tick::{MINUTES, PER_DAY, Span, Tick},
    zone::{Local, Zone},
};

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Visits start in these ticks: what was asked for, after the notice and before the horizon.
    pub window: Span,
    /// Ticks of preparation before the visit.
    pub prep: i64,
    /// Ticks of the visit itself, at least 1.
    pub duration: i64,
    /// Ticks of clean-up after the visit.
    pub cleanup: i64,
    /// Visits start at multiples of so many minutes after the local hour.
    pub alignment_minutes: i64,
    /// Bit n: visits may start on the weekday n, Monday 0.
    pub weekdays: u8,
    /// Visits start at or after this local minute of the day.
    pub not_before: i64,
    /// Visits end at or before this local minute of the day on which they start; 1440 for no limit, past midnight too.
    pub not_after: i64,
    /// How many practitioners share the turns of [`rank`], or 0 to count the candidates. Give the whole chain's
    /// number where pages of one search may see different candidates, so that their order stays the same.
    pub practitioners: u32,
    /// Only starts after this one.
    pub after: Option<Found>,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// Any start in the window, on a grid of `alignment_minutes`.
    pub fn new(window: Span, duration: i64, alignment_minutes: i64, limit: usize) -> Self {
        Self {
            window,
            prep: 0,
            duration,
            cleanup: 0,
            alignment_minutes,
            weekdays: 0x7f,
            not_before: 0,
            not_after: 1440,
            practitioners: 0,
            after: None,
            limit,
        }
    }

    /// Ticks that a visit claims.
    pub fn length(&self) -> i64 {
        self.prep + self.duration + self.cleanup
    }

    /// What a visit that starts at this tick claims.
    pub fn claim(&self, start: Tick) -> Span {
        Span::new(start - self.prep, start + self.duration + self.cleanup)
    }

    /// Whether the wall clock allows a visit to start here: alignment, weekday, part of the day.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn on_clock(&self, zone: &Zone, start: Tick) -> Result<(), Why> {
        clock::Clock::new(self, zone).check(start)
    }

    /// The same from a reading of the wall clock alone. Without the zone it cannot know which of two equal readings
    /// comes first, nor that the clock changes during the visit; [`on_clock`](Self::on_clock) does, and the two differ
    /// only there and only for a part of the day.
    pub fn allows(&self, at: Local) -> bool {
        let ends = at.minute + self.duration * MINUTES;
        let part = at.minute >= self.not_before && (self.not_after >= 1440 || ends <= self.not_after);
        self.aligned(at) && self.on_weekday(at) && part
    }

    fn aligned(&self, at: Local) -> bool {
        (at.minute % 60) % self.alignment_minutes.max(1) == 0
    }

    fn any_hour(&self) -> bool {
        self.not_before <= 0 && self.not_after >= 1440
    }

    fn on_weekday(&self, at: Local) -> bool {
        self.weekdays >> at.weekday() & 1 == 1
    }

    /// The turns of [`rank`]: at least all candidates.
    fn ranked(&self, candidates: &[Candidate<'_>]) -> u32 {
        let most = candidates.iter().map(|candidate| candidate.practitioner + 1).max().unwrap_or(1);
        most.max(self.practitioners)
    }
}

/// A location: its zone, and what a visit may need there.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its wall clock.
    pub zone: &'a Zone,
    /// What is taken of each room that would do; `None` where no room is needed.
    pub rooms: Option<&'a [&'a Bits]>,
    /// What is taken of each unit of equipment that would do; `None` where none is needed.
    pub units: Option<&'a [&'a Bits]>,
}

/// A practitioner at a location.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The index of the location.
    pub place: u32,
    /// Who: the order of practitioners, the same at every location.
    pub practitioner: u32,
    /// When they work there.
    pub roster: &'a Bits,
    /// What is taken of their time, wherever.
    pub taken: &'a Bits,
    /// Where given, visits start in these ticks only (certificates, caps); sorted, apart from each other.
    pub allowed: Option<&'a [Span]>,
}

/// A start that fits. The order is the order of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    /// When the visit starts.
    pub start: Tick,
    /// The index of the location.
    pub place: u32,
    /// Turns with the days.
    pub rank: u32,
    /// Which candidate, by its practitioner.
    pub practitioner: u32,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The starts, in order, at most `limit`.
    pub found: Vec<Found>,
    /// Every start before this tick that is not in `found` does not fit, or came before `after`.
    pub searched_until: Tick,
}

/// Whether a tick lies in one of some sorted spans.
pub fn within(spans: &[Span], tick: Tick) -> bool {
    let at = spans.partition_point(|span| span.end <= tick);
    spans.get(at).is_some_and(|span| span.start <= tick)
}

/// The order among equally early practitioners: a rotation that turns by one each day.
pub fn rank(practitioner: u32, practitioners: u32, start: Tick) -> u32 {
    let turn = u32::try_from(start.div_euclid(PER_DAY).rem_euclid(i64::from(practitioners))).unwrap_or(0);
    (practitioner + practitioners - turn) % practitioners
}
