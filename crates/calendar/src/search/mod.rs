//! The kernel: at which ticks does a visit fit?
//!
//! A visit claims its practitioner, a room and a unit of equipment for `length` ticks (preparation and clean-up
//! included). For one practitioner at one location the ticks at which such a claim can begin are
//!
//! ```text
//! runs(roster AND NOT occupied) AND mask AND (runs(room 1) OR runs(room 2) OR …) AND (runs(unit 1) OR …)
//! ```
//!
//! where [`runs`](crate::bits::runs) turns "free now" into "free for the whole length from now on" in log2(length)
//! passes over the words. The walk takes time in blocks that begin small and double, so that the first page of a busy
//! chain reads hours, not months. Starts are sorted by time, then by location, then by a rank of practitioners that
//! rotates each day, so that equally early practitioners get equal shares.
//!
//! [`search`] returns pages, [`all`] every start, [`days`] counts by day, [`first_of_each_location`] the first starts of
//! each location, and [`fits`] the rule that hides one start. All read the same bits and the same wall clock, so a
//! search returns a start if and only if [`fits`] accepts it.

mod clock;
mod fits;
mod page;
mod views;
mod walk;

pub use fits::{HiddenBy, fits, free};
pub use page::{all, search};
pub use views::{Day, days, first_of_each_location};
pub use walk::Scratch;

use crate::{
    bits::Bits,
    tick::{MINUTES, PER_DAY, Span, Tick},
    zone::{Local, Zone},
};

/// The starts to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The ticks in which visits start: the caller's range, after the notice and before the horizon.
    pub window: Span,
    /// Ticks of preparation before the visit.
    pub prep: i64,
    /// Ticks of the visit itself, at least 1.
    pub duration: i64,
    /// Ticks of clean-up after the visit.
    pub cleanup: i64,
    /// Visits start at multiples of this number of minutes after the local hour.
    pub alignment_minutes: i64,
    /// Bit n allows starts on weekday n; Monday is 0.
    pub weekdays: u8,
    /// The earliest local minute of the day at which visits start.
    pub not_before: i64,
    /// The latest local minute at which visits end, counted from midnight of the day on which they start; 1440 is no
    /// limit, past midnight too.
    pub not_after: i64,
    /// The number of practitioners that [`rank`] rotates over, or 0 to count the candidates. Pass the whole chain's
    /// number where pages of one search may see different candidates, so that the order stays the same.
    pub practitioners: u32,
    /// Leaves out this start and those before it.
    pub after: Option<Start>,
    /// The most starts to return.
    pub limit: usize,
}

impl Query {
    /// A query for any start in the window on a grid of `alignment_minutes`, without buffers.
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

    /// The ticks that a visit claims: preparation, visit and clean-up.
    #[inline]
    pub fn length(&self) -> i64 {
        self.prep + self.duration + self.cleanup
    }

    /// The claim of a visit that starts at this tick.
    #[inline]
    pub fn claim(&self, start: Tick) -> Span {
        Span::new(start - self.prep, start + self.duration + self.cleanup)
    }

    /// Whether the wall clock allows a visit to start here: alignment, weekday, part of the day.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn on_clock(&self, zone: &Zone, start: Tick) -> Result<(), HiddenBy> {
        clock::Clock::new(self, zone).check(start)
    }

    /// The same as [`on_clock`](Self::on_clock), from a wall-clock reading alone. Without the zone it cannot tell two
    /// equal readings apart, nor see a clock change during the visit; only there, and only for a part of the day, do the
    /// two differ.
    #[inline]
    pub fn allows(&self, at: Local) -> bool {
        let ends = at.minute + self.duration * MINUTES;
        let part = at.minute >= self.not_before && (self.not_after >= 1440 || ends <= self.not_after);
        self.aligned(at) && self.on_weekday(at) && part
    }

    #[inline]
    fn aligned(&self, at: Local) -> bool {
        (at.minute % 60) % self.alignment_minutes.max(1) == 0
    }

    #[inline]
    fn any_hour(&self) -> bool {
        self.not_before <= 0 && self.not_after >= 1440
    }

    #[inline]
    fn on_weekday(&self, at: Local) -> bool {
        self.weekdays >> at.weekday() & 1 == 1
    }

    /// The number of practitioners that [`rank`] rotates over: at least all candidates.
    fn ranked(&self, candidates: &[Candidate<'_>]) -> u32 {
        let most = candidates.iter().map(|candidate| candidate.practitioner + 1).max().unwrap_or(1);
        most.max(self.practitioners)
    }
}

/// A location: its zone, and the rooms and equipment that a visit may need.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    /// The wall clock.
    pub zone: &'a Zone,
    /// The occupied ticks of each room of the right type; `None` where the visit needs no room.
    pub rooms: Option<&'a [&'a Bits]>,
    /// The occupied ticks of each unit of the right equipment; `None` where the visit needs none.
    pub units: Option<&'a [&'a Bits]>,
}

/// A practitioner at a location.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The index of the location.
    pub location: u32,
    /// The index of the practitioner, the same at every location.
    pub practitioner: u32,
    /// The ticks at which they work there.
    pub roster: &'a Bits,
    /// Their occupied ticks, at any location.
    pub occupied: &'a Bits,
    /// The only ticks in which visits may start (certificates, caps), sorted and disjoint; `None` for all.
    pub allowed: Option<&'a [Span]>,
}

/// A start that fits. Answers are sorted in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Start {
    /// The tick at which the visit starts.
    pub tick: Tick,
    /// The index of the location.
    pub location: u32,
    /// The practitioner's place in the rotation of that day.
    pub rank: u32,
    /// The index of the practitioner.
    pub practitioner: u32,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The starts in order, at most `limit`.
    pub starts: Vec<Start>,
    /// Every start before this tick that is not in `starts` does not fit, or is not after `Query::after`.
    pub searched_until: Tick,
}

/// Whether a tick lies in one of several sorted, disjoint spans.
#[inline]
pub fn within(spans: &[Span], tick: Tick) -> bool {
    let at = spans.partition_point(|span| span.end <= tick);
    spans.get(at).is_some_and(|span| span.start <= tick)
}

/// The order among equally early practitioners: a rotation by one each day of UTC.
#[inline]
pub fn rank(practitioner: u32, practitioners: u32, start: Tick) -> u32 {
    let turn = u32::try_from(start.div_euclid(PER_DAY).rem_euclid(i64::from(practitioners))).unwrap_or(0);
    (practitioner + practitioners - turn) % practitioners
}
