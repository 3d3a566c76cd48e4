//! Dates, times and durations of a file, on the wall clock of a zone.

use std::{cell::RefCell, collections::HashMap};

use domain::time::Interval;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone},
};

use super::{
    ReadError,
    lines::{Component, Property, unescaped},
    vtimezone, zone_name,
};

/// The form of a date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A date alone.
    Date,
    /// A time without a zone: the reader's.
    Floating,
    /// A time in a zone.
    Zoned,
}

/// A wall-clock time and its zone.
#[derive(Debug, Clone)]
pub(super) struct ZonedDateTime {
    pub(super) civil: DateTime,
    pub(super) zone: TimeZone,
    pub(super) form: Form,
}

impl ZonedDateTime {
    pub(super) fn at_offset(civil: DateTime, offset: Offset) -> Self {
        let zone = if offset == Offset::UTC { TimeZone::UTC } else { TimeZone::fixed(offset) };
        Self { civil, zone, form: Form::Zoned }
    }

    pub(super) fn all_day(&self) -> bool {
        self.form == Form::Date
    }

    /// The instant. A time in a gap moves forward by the gap; a repeated time is the earlier one.
    pub(super) fn instant(&self) -> Timestamp {
        self.at(self.civil)
    }

    /// The instant of another time on the same wall clock.
    pub(super) fn at(&self, civil: DateTime) -> Timestamp {
        self.zone.to_timestamp(civil).unwrap_or(Timestamp::MAX)
    }

    /// The date in a series of whole days at `home`. Programs write such a date as the midnight that begins it, in the
    /// zone of its author or in UTC.
    pub(super) fn date(&self, home: &TimeZone) -> Date {
        let midnight = self.civil.time() == Time::midnight();
        // A time of UTC other than midnight is a midnight elsewhere, most likely at home.
        if self.zone == TimeZone::UTC && !midnight {
            home.to_datetime(self.instant()).date()
        } else {
            self.civil.date()
        }
    }

    /// The same time on the wall clock of another date-time.
    pub(super) fn on_clock_of(&self, other: &Self) -> DateTime {
        match self.form {
            _ if other.all_day() => self.date(&other.zone).to_datetime(Time::midnight()),
            Form::Zoned if self.zone != other.zone => other.zone.to_datetime(self.instant()),
            _ => self.civil,
        }
    }
}

/// The zones that a file names.
pub(super) struct Zones<'a> {
    defined: HashMap<String, &'a Component>,
    home: Option<&'a TimeZone>,
    window: Interval,
    /// The zones found so far, by name.
    found: RefCell<HashMap<String, Option<TimeZone>>>,
}

impl<'a> Zones<'a> {
    /// The first definition of a name counts.
    pub(super) fn new(zones: &'a [Component], home: Option<&'a TimeZone>, window: Interval) -> Self {
        let mut defined = HashMap::new();
        for zone in zones {
            if let Some(name) = zone.text("TZID") {
                defined.entry(zone_name::plain(&name).to_lowercase()).or_insert(zone);
            }
        }
        Self { defined, home, window, found: RefCell::default() }
    }

    /// Reads a date or time of a property. One without a zone is in that of `clock`, or else at home.
    pub(super) fn date_time(
        &self,
        property: &Property,
        text: &str,
        clock: Option<&ZonedDateTime>,
    ) -> Result<ZonedDateTime, ReadError> {
        let name = property.name;
        let value = Value::read(text)
            .ok_or_else(|| ReadError::new(0, "invalid_value", format!("{name} is not a date or time; see RFC 5545")))?;
        let (civil, all_day) = value.civil().ok_or_else(|| {
            ReadError::new(0, "invalid_time", format!("{name} of this event is not a date or time that there is"))
        })?;
        if let Some(offset) = value.offset {
            return Ok(ZonedDateTime::at_offset(civil, offset));
        }
        match property.parameter("TZID").filter(|_| !all_day) {
            Some(tzid) => {
                let detail = || format!("the time zone of {name} is not known; use an IANA name");
                let zone = self.named(tzid).ok_or_else(|| ReadError::new(0, "unknown_time_zone", detail()))?;
                Ok(ZonedDateTime { civil, zone, form: Form::Zoned })
            }
            None => {
                let clock_zone = clock.filter(|clock| clock.form == Form::Zoned).map(|clock| &clock.zone);
                let detail = "this event has no time zone, and the practitioner has no roster to say which one counts";
                let zone = clock_zone.or(self.home).ok_or_else(|| ReadError::new(0, "no_time_zone", detail))?;
                Ok(ZonedDateTime { civil, zone: zone.clone(), form: if all_day { Form::Date } else { Form::Floating } })
            }
        }
    }

    /// The zone of a name. The file's definition wins over the name, unless the definition's clock changes end before the
    /// window does.
    fn named(&self, tzid: &str) -> Option<TimeZone> {
        let name = zone_name::plain(&unescaped(tzid));
        if let Some(zone) = self.found.borrow().get(&name) {
            return zone.clone();
        }
        let component = self.defined.get(&name.to_lowercase());
        let defined = component.and_then(|component| vtimezone::defined(component, self.window));
        let zone = match defined {
            Some(defined) if defined.covers_window => Some(defined.zone),
            defined => zone_name::known(&name)
                .or_else(|| component.and_then(|component| vtimezone::described(component)))
                .or_else(|| defined.map(|defined| defined.zone))
                .or_else(|| zone_name::offset(&name)),
        };
        self.found.borrow_mut().insert(name, zone.clone());
        zone
    }
}

/// A DATE or DATE-TIME value (RFC 5545, 3.3.4 and 3.3.5). The value itself decides which, whatever its property says.
/// Programs of RFC 2445 append an offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    date: [u16; 3],
    time: Option<[u16; 3]>,
    /// East of UTC.
    pub(super) offset: Option<Offset>,
}

impl Value {
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = Some(text.trim()).filter(|text| text.is_ascii())?;
        let (date, tail) = text.split_at_checked(8)?;
        let date = [number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?];
        let Some(tail) = tail.strip_prefix(['T', 't']) else {
            return tail.is_empty().then_some(Self { date, time: None, offset: None });
        };
        let (time, offset) = tail.split_at(tail.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(tail.len()));
        let time = match time.len() {
            4 => [number(&time[..2])?, number(&time[2..])?, 0],
            6 => [number(&time[..2])?, number(&time[2..4])?, number(&time[4..])?],
            _ => return None,
        };
        let offset = match offset.trim() {
            "" => None,
            "Z" | "z" => Some(Offset::UTC),
            other => Some(utc_offset(other)?),
        };
        Some(Self { date, time: Some(time), offset })
    }

    pub(super) fn has_time(&self) -> bool {
        self.time.is_some()
    }

    /// The wall-clock time, and whether it is a date alone; `None` for a day or hour that does not exist.
    pub(super) fn civil(&self) -> Option<(DateTime, bool)> {
        let small = |number: u16| i8::try_from(number).ok();
        let [year, month, day] = self.date;
        let date = Date::new(i16::try_from(year).ok()?, small(month)?, small(day)?).ok()?;
        let midnight = date.to_datetime(Time::midnight());
        match self.time {
            None => Some((midnight, true)),
            Some([24, 0, 0]) => Some((midnight.checked_add(SignedDuration::from_hours(24)).ok()?, false)),
            // A leap second counts as the second before it.
            Some([hour, minute, second]) => {
                let time = Time::new(small(hour)?, small(minute)?, small(second.min(59))?, 0).ok()?;
                Some((date.to_datetime(time), false))
            }
        }
    }
}

fn number(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Reads a UTC-OFFSET (RFC 5545, 3.3.14): `+0530`, `-050000`; colons are accepted, too.
pub(super) fn utc_offset(text: &str) -> Option<Offset> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-', '\u{2212}'])?.replace(':', "");
    let parts = match digits.len() {
        2 => [number(&digits)?, 0, 0],
        4 => [number(digits.get(..2)?)?, number(digits.get(2..)?)?, 0],
        6 => [number(digits.get(..2)?)?, number(digits.get(2..4)?)?, number(digits.get(4..)?)?],
        _ => return None,
    };
    let [hours, minutes, seconds] = parts.map(i32::from);
    let seconds = Some(hours * 3600 + minutes * 60 + seconds).filter(|_| minutes < 60 && seconds < 60)?;
    Offset::from_seconds(if text.starts_with('+') { seconds } else { -seconds }).ok()
}

/// Reads a DURATION (RFC 5545, 3.3.6): its days on the wall clock, and its hours, minutes and seconds in elapsed time.
pub(super) fn duration(text: &str) -> Option<(SignedDuration, SignedDuration)> {
    let text = Some(text.trim()).filter(|text| text.is_ascii())?.to_ascii_uppercase();
    let (days, time) = match text.strip_prefix('+').unwrap_or(&text).strip_prefix('P')?.split_once('T') {
        Some((days, time)) => (days.to_owned(), time.to_owned()),
        None => (text.rsplit('P').next()?.to_owned(), String::new()),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let days = amounts(&days, &[('W', 7 * 86_400), ('D', 86_400)])?;
    let time = amounts(&time, &[('H', 3600), ('M', 60), ('S', 1)])?;
    Some((SignedDuration::from_secs(days), SignedDuration::from_secs(time)))
}

/// The seconds of numbers with these units.
fn amounts(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut seconds = 0;
    for part in text.split_inclusive(|letter: char| letter.is_ascii_alphabetic()) {
        let (digits, letter) = part.split_at(part.len().checked_sub(1)?);
        let (_, unit) = units.iter().find(|(own, _)| letter.chars().eq([*own]))?;
        let number: i64 =
            Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
        seconds += number.checked_mul(*unit).filter(|part| *part < 1 << 40)?;
    }
    Some(seconds)
}
