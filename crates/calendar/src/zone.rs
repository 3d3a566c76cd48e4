//! A time zone over a range of ticks: its offsets in a short table, so that search never reads the tz database.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::tick::{self, MINUTES, Span, Tick};
use domain::time::WallTime;

/// A zone's offsets over a range of ticks.
#[derive(Debug, Clone)]
pub struct Zone {
    zone: TimeZone,
    /// The first tick of each offset, and the offset in minutes east of UTC; sorted by tick.
    offsets: Vec<(Tick, i64)>,
}

/// A wall-clock reading at a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Days since 1970-01-01, in the location's own dates.
    pub day: i64,
    /// Minutes after the location's midnight.
    pub minute: i64,
}

impl Local {
    /// 0 for Monday to 6 for Sunday.
    #[inline]
    pub fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday.
        u8::try_from((self.day + 3).rem_euclid(7)).unwrap_or(0)
    }
}

impl Zone {
    /// The zone's offsets over these ticks and two days on each side.
    pub fn new(zone: TimeZone, span: Span) -> Self {
        let first = tick::instant(span.start - 2 * tick::PER_DAY);
        let last = tick::instant(span.end + 2 * tick::PER_DAY);
        let minutes = |offset: jiff::tz::Offset| i64::from(offset.seconds()).div_euclid(60);
        let mut offsets = vec![(Tick::MIN, minutes(zone.to_offset(first)))];
        for transition in zone.following(first) {
            if transition.timestamp() > last {
                break;
            }
            offsets.push((tick::ceil(transition.timestamp()), minutes(transition.offset())));
        }
        Self { zone, offsets }
    }

    /// The wall-clock reading at a tick.
    #[inline]
    pub fn local(&self, tick: Tick) -> Local {
        let at = self.offsets.partition_point(|(from, _)| *from <= tick);
        let offset = self.offsets[at.saturating_sub(1)].1;
        let minutes = tick * MINUTES + offset;
        Local { day: minutes.div_euclid(1440), minute: minutes.rem_euclid(1440) }
    }

    /// The local day that contains all these ticks; `None` where there are several, or the clock changes.
    #[inline]
    pub fn only_day(&self, span: Span) -> Option<i64> {
        let last = span.end - 1;
        let day = self.local(span.start).day;
        (self.is_even(span) && day == self.local(last).day).then_some(day)
    }

    /// Whether the clock does not change within these ticks.
    #[inline]
    pub fn is_even(&self, span: Span) -> bool {
        self.offsets.iter().all(|(from, _)| *from <= span.start || *from >= span.end)
    }

    /// The instant of a wall-clock time on a date. A time in a gap moves forward by the gap; a repeated time is the
    /// earlier one. `24:00` is the next day's midnight.
    pub fn instant(&self, date: Date, time: WallTime) -> Timestamp {
        let (hour, minute) = (time.minutes() / 60, time.minutes() % 60);
        let at: DateTime = if hour == 24 {
            date.tomorrow().unwrap_or(Date::MAX).to_datetime(Time::midnight())
        } else {
            let clock = Time::new(i8::try_from(hour).unwrap_or(0), i8::try_from(minute).unwrap_or(0), 0, 0);
            date.to_datetime(clock.unwrap_or(Time::midnight()))
        };
        self.zone.to_timestamp(at).unwrap_or(Timestamp::MAX)
    }

    /// The ticks of the local dates from `first` to `last`, both included.
    pub fn dates(&self, first: Date, last: Date) -> Span {
        let midnight = WallTime::from_minutes(0).unwrap_or(WallTime::MIDNIGHT_END);
        Span::new(tick::ceil(self.instant(first, midnight)), tick::ceil(self.instant(last, WallTime::MIDNIGHT_END)))
    }

    /// The local date of a tick.
    pub fn date(&self, tick: Tick) -> Date {
        self.zone.to_datetime(tick::instant(tick)).date()
    }

    /// The IANA zone.
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }
}
