//! Dates and times as a file writes them: on the wall clock of some zone.

use std::str::FromStr;

use calcard::{
    common::{PartialDateTime, timezone::Tz},
    icalendar::{ICalendar, ICalendarEntry, timezone::TzResolver},
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use super::{Wrong, zone::defined};

/// A wall-clock time and its zone.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) civil: DateTime,
    pub(super) zone: TimeZone,
    /// A date alone.
    pub(super) all_day: bool,
}

impl Moment {
    /// A time in a gap moves forward by the gap; of a time that comes twice the earlier one counts.
    pub(super) fn instant(&self) -> Timestamp {
        self.at(self.civil)
    }

    /// Another time of the same wall clock.
    pub(super) fn at(&self, civil: DateTime) -> Timestamp {
        self.zone.to_timestamp(civil).unwrap_or(Timestamp::MAX)
    }
}

/// The zones that a file may name.
pub(super) struct Zones<'a> {
    calendar: &'a ICalendar,
    named: TzResolver<&'a str>,
    home: Option<&'a TimeZone>,
}

impl<'a> Zones<'a> {
    pub(super) fn new(calendar: &'a ICalendar, home: Option<&'a TimeZone>) -> Self {
        Self { calendar, named: calendar.build_tz_resolver(), home }
    }

    /// Reads a date or time of a property.
    pub(super) fn moment(&self, entry: &ICalendarEntry, value: &PartialDateTime, line: usize) -> Result<Moment, Wrong> {
        let (civil, all_day) = civil(value).ok_or_else(|| {
            Wrong::new(line, "invalid_time", format!("{} of this event is not a date or time", name_of(entry)))
        })?;
        let zone = match (value.tz_hour, entry.tz_id()) {
            (Some(_), _) => TimeZone::UTC,
            (None, Some(name)) if !all_day => {
                self.named(name).or_else(|| defined(self.calendar, name)).ok_or_else(|| {
                    let detail = format!("the time zone of {} is not known; use an IANA name", name_of(entry));
                    Wrong::new(line, "unknown_time_zone", detail)
                })?
            }
            _ => self.home.cloned().ok_or_else(|| {
                let detail = "this event has no time zone, and the practitioner has no roster to say which one counts";
                Wrong::new(line, "no_time_zone", detail)
            })?,
        };
        Ok(Moment { civil, zone, all_day })
    }

    fn named(&self, name: &str) -> Option<TimeZone> {
        let zone = self.named.resolve(name).or_else(|| Tz::from_str(name).ok())?;
        // A fixed offset has no name that says its minutes.
        let Tz::Tz(_) = zone else { return None };
        TimeZone::get(&zone.name()?).ok()
    }
}

/// The property's own name.
pub(super) fn name_of(entry: &ICalendarEntry) -> &str {
    entry.name.as_str()
}

/// The wall-clock time, and whether it is a date alone.
pub(super) fn civil(value: &PartialDateTime) -> Option<(DateTime, bool)> {
    let number = |part: Option<u8>| i8::try_from(part?).ok();
    let date = Date::new(i16::try_from(value.year?).ok()?, number(value.month)?, number(value.day)?).ok()?;
    if value.hour.is_none() {
        return Some((date.to_datetime(Time::midnight()), true));
    }
    // A leap second is the one before it.
    let second = number(value.second).unwrap_or(0).min(59);
    let time = Time::new(number(value.hour)?, number(value.minute)?, second, 0).ok()?;
    Some((date.to_datetime(time), false))
}

/// A wall-clock time in the parser's form, without a zone.
pub(super) fn partial(civil: DateTime) -> PartialDateTime {
    let small = |number: i8| u8::try_from(number).ok();
    PartialDateTime {
        year: u16::try_from(civil.year()).ok(),
        month: small(civil.month()),
        day: small(civil.day()),
        hour: small(civil.hour()),
        minute: small(civil.minute()),
        second: small(civil.second()),
        ..PartialDateTime::default()
    }
}
