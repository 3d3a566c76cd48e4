//! The wall-clock rules of a query.

use domain::time::WallTime;

use super::{HiddenBy, Query};
use crate::{
    tick::{self, MINUTES, Span, Tick},
    zone::Zone,
};

/// A query's wall-clock rules at one location. Caches one day's bounds, so check ticks in ascending order.
pub(super) struct Clock<'a> {
    query: &'a Query,
    zone: &'a Zone,
    /// A local day, and the first and last tick of it at which a visit may start.
    day: Option<(i64, Tick, Tick)>,
}

impl<'a> Clock<'a> {
    pub(super) fn new(query: &'a Query, zone: &'a Zone) -> Self {
        Self { query, zone, day: None }
    }

    /// Whether a visit may start at this tick.
    pub(super) fn check(&mut self, start: Tick) -> Result<(), HiddenBy> {
        let at = self.zone.local(start);
        if !self.query.aligned(at) {
            return Err(HiddenBy::Alignment);
        }
        if !self.query.on_weekday(at) {
            return Err(HiddenBy::Weekday);
        }
        if self.query.any_hour() {
            return Ok(());
        }
        let (first, last) = match self.day {
            Some((day, first, last)) if day == at.day => (first, last),
            _ => self.bounds(at.day, start),
        };
        if first <= start && start <= last { Ok(()) } else { Err(HiddenBy::PartOfDay) }
    }

    /// Bit n: a visit may start at the tick `first + n`.
    pub(super) fn mask(&mut self, first: Tick) -> u64 {
        let grid = self.query.alignment_minutes;
        // Without a clock change in between, aligned ticks are equally spaced.
        let even = grid > 0 && 60 % grid == 0 && grid % MINUTES == 0 && self.zone.is_even(Span::new(first, first + 64));
        let step = if even { grid / MINUTES } else { 1 };
        if even && self.query.weekdays & 0x7f == 0x7f && self.query.any_hour() {
            let begin = (0..step).find(|bit| self.check(first + bit).is_ok());
            let multiples =
                |begin: Tick| (begin..64).step_by(step.unsigned_abs() as usize).fold(0, |bits, bit| bits | 1 << bit);
            return begin.map_or(0, multiples);
        }
        let (mut bits, mut bit) = (0, 0);
        while bit < 64 {
            let outcome = self.check(first + bit);
            bits |= u64::from(outcome.is_ok()) << bit;
            bit += if outcome == Err(HiddenBy::Alignment) { 1 } else { step };
        }
        bits
    }

    /// The bounds of a day, computed as a roster's hours are.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The zone changes by half an hour at 02:30, between two starts of an hourly grid.
    #[test]
    fn the_mask_equals_the_check_of_each_tick_across_a_clock_change() {
        let odd = jiff::tz::TimeZone::posix("AAA0BBB-0:30,M3.2.0/2:30,M11.1.0/2:30").unwrap();
        for day in ["2026-03-08T00:00:00Z", "2026-11-01T00:00:00Z"] {
            let first = tick::floor(day.parse().unwrap());
            let span = Span::new(first - tick::PER_DAY, first + 2 * tick::PER_DAY);
            let zone = Zone::new(odd.clone(), span);
            for (grid, weekdays) in [(5, 0x7f), (15, 0x7f), (60, 0x7f), (15, 0b101_0101)] {
                let query = Query { weekdays, ..Query::new(span, 6, grid, 1) };
                for at in first..first + 64 {
                    let each = (0..64).filter(|bit| Clock::new(&query, &zone).check(at + bit).is_ok());
                    let each = each.fold(0_u64, |bits, bit| bits | 1 << bit);
                    assert_eq!(Clock::new(&query, &zone).mask(at), each, "{day}, a grid of {grid}, from {at}");
                }
            }
        }
    }
}
