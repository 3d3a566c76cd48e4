//! Ticks: five minutes of UTC, counted from the Unix epoch.

use domain::time::Interval;
use jiff::Timestamp;

/// Minutes in a tick.
pub const MINUTES: i64 = domain::time::GRID_MINUTES;
/// Ticks in a day of 24 hours.
pub const PER_DAY: i64 = 24 * 60 / MINUTES;
const MICROS: i64 = MINUTES * 60_000_000;

/// A point of the five-minute grid: ticks since the Unix epoch.
pub type Tick = i64;

/// Half-open ticks `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first tick.
    pub start: Tick,
    /// The first tick after it.
    pub end: Tick,
}

impl Span {
    /// The ticks from `start` up to `end`; empty where `end` is before `start`.
    #[inline]
    pub fn new(start: Tick, end: Tick) -> Self {
        Self { start, end: end.max(start) }
    }

    /// The ticks that lie wholly within an interval.
    #[inline]
    pub fn within(interval: Interval) -> Self {
        Self::new(ceil(interval.start()), floor(interval.end()))
    }

    /// The ticks that an interval touches.
    #[inline]
    pub fn touching(interval: Interval) -> Self {
        Self::new(floor(interval.start()), ceil(interval.end()))
    }

    /// Whether it has no tick.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The ticks in both.
    #[inline]
    pub fn and(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

/// The tick that contains an instant.
#[inline]
pub fn floor(at: Timestamp) -> Tick {
    at.as_microsecond().div_euclid(MICROS)
}

/// The first tick at or after an instant.
#[inline]
pub fn ceil(at: Timestamp) -> Tick {
    -(-at.as_microsecond()).div_euclid(MICROS)
}

/// The instant at which a tick begins.
#[inline]
pub fn instant(tick: Tick) -> Timestamp {
    Timestamp::from_microsecond(tick.saturating_mul(MICROS)).unwrap_or(Timestamp::MAX)
}
