//! The part of a query that asks the wall clock.

use domain::time::WallTime;

use super::{Query, Why};
use crate::{
    tick::{self, MINUTES, Span, Tick},
    zone::Zone,
};

/// A query's wall-clock rules at one location. Remembers a day's bounds, so ask in the order of time.
pub(super) struct Clock<'a> {
    query: &'a Query,
    zone: &'a Zone,
    /// A local day, and its first and last tick at which a visit may start.
    day: Option<(i64, Tick, Tick)>,
}

impl<'a> Clock<'a> {
    pub(super) fn new(query: &'a Query, zone: &'a Zone) -> Self {
        Self { query, zone, day: None }
    }

    /// Whether a visit may start at this tick.
    pub(super) fn check(&mut self, start: Tick) -> Result<(), Why> {
        let at = self.zone.local(start);
        if !self.query.aligned(at) {
            return Err(Why::Alignment);
        }
        if !self.query.on_weekday(at) {
            return Err(Why::Weekday);
        }
        if self.query.not_before <= 0 && self.query.not_after >= 1440 {
            return Ok(());
        }
        let (first, last) = match self.day {
            Some((day, first, last)) if day == at.day => (first, last),
            _ => self.bounds(at.day, start),
        };
        if first <= start && start <= last { Ok(()) } else { Err(Why::PartOfDay) }
    }

    /// Bit n: a visit may start at the tick `first + n`.
    pub(super) fn mask(&mut self, first: Tick) -> u64 {
        let grid = self.query.alignment_minutes;
        // Where the clock does not change in between, aligned ticks follow each other at equal distances.
        let even = grid > 0 && 60 % grid == 0 && grid % MINUTES == 0 && self.zone.is_even(Span::new(first, first + 64));
        let step = if even { grid / MINUTES } else { 1 };
        let (mut bits, mut bit) = (0, 0);
        while bit < 64 {
            let outcome = self.check(first + bit);
            bits |= u64::from(outcome.is_ok()) << bit;
            bit += if outcome == Err(Why::Alignment) { 1 } else { step };
        }
        bits
    }

    /// The bounds of a day as instants, by the same rule as a roster's hours.
    fn bounds(&mut self, day: i64, start: Tick) -> (Tick, Tick) {
        let date = self.zone.date(start);
        let instant = |minute: i64| {
            let wall = u16::try_from(minute).ok().and_then(WallTime::from_minutes);
            self.zone.instant(date, wall.unwrap_or(WallTime::MIDNIGHT_END))
        };
        let Query { not_before, not_after, duration, .. } = *self.query;
        let first = if not_before <= 0 { Tick::MIN } else { tick::ceil(instant(not_before)) };
        let last = if not_after >= 1440 { Tick::MAX } else { tick::floor(instant(not_after.max(0))) - duration };
        self.day = Some((day, first, last));
        (first, last)
    }
}
