//! Dates, times and durations as a file writes them: on the wall clock of some zone.

use std::{cell::RefCell, collections::HashMap};

use domain::time::Interval;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone},
};

use super::{
    Wrong,
    lines::{Component, Property, unescaped},
    vtimezone, zone_name,
};

/// How a date or time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A date alone.
    Date,
    /// A time without a zone: that of whoever reads it.
    Floating,
    /// A time of a zone.
    Zoned,
}

/// A wall-clock time and its zone.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) civil: DateTime,
    pub(super) zone: TimeZone,
    pub(super) form: Form,
}

impl Moment {
    pub(super) fn at_offset(civil: DateTime, offset: Offset) -> Self {
        let zone = if offset == Offset::UTC { TimeZone::UTC } else { TimeZone::fixed(offset) };
        Self { civil, zone, form: Form::Zoned }
    }

    pub(super) fn all_day(&self) -> bool {
        self.form == Form::Date
    }

    /// A time in a gap moves forward by the gap; of a time that comes twice the earlier one counts.
    pub(super) fn instant(&self) -> Timestamp {
        self.at(self.civil)
    }

    /// Another time of the same wall clock.
    pub(super) fn at(&self, civil: DateTime) -> Timestamp {
        self.zone.to_timestamp(civil).unwrap_or(Timestamp::MAX)
    }

    /// The date that a moment names in a series of whole days whose days are those of `home`. Programs write such a date
    /// as the midnight that begins it, in the zone of whoever wrote it or in UTC.
    pub(super) fn date(&self, home: &TimeZone) -> Date {
        let midnight = self.civil.time() == Time::midnight();
        // A time of UTC that is no midnight is one somewhere else, most likely at home.
        if self.zone == TimeZone::UTC && !midnight {
            home.to_datetime(self.instant()).date()
        } else {
            self.civil.date()
        }
    }

    /// The wall-clock time that it names on the clock of another moment.
    pub(super) fn on_clock_of(&self, other: &Self) -> DateTime {
        match self.form {
            _ if other.all_day() => self.date(&other.zone).to_datetime(Time::midnight()),
            Form::Zoned if self.zone != other.zone => other.zone.to_datetime(self.instant()),
            _ => self.civil,
        }
    }
}

/// The zones that a file may name.
pub(super) struct Zones<'a> {
    defined: HashMap<String, &'a Component>,
    home: Option<&'a TimeZone>,
    window: Interval,
    /// Those that have been looked for, by their names.
    found: RefCell<HashMap<String, Option<TimeZone>>>,
}

impl<'a> Zones<'a> {
    /// Of two definitions of one name the first counts.
    pub(super) fn new(zones: &'a [Component], home: Option<&'a TimeZone>, window: Interval) -> Self {
        let mut defined = HashMap::new();
        for zone in zones {
            if let Some(name) = zone.text("TZID") {
                defined.entry(zone_name::plain(&name).to_lowercase()).or_insert(zone);
            }
        }
        Self { defined, home, window, found: RefCell::default() }
    }

    /// Reads a date or time of a property. One without a zone is on `clock`, where its event has one, else on that of home.
    pub(super) fn moment(&self, property: &Property, text: &str, clock: Option<&Moment>) -> Result<Moment, Wrong> {
        let name = property.name;
        let value = Value::read(text)
            .ok_or_else(|| Wrong::new(0, "invalid_value", format!("{name} is not a date or time; see RFC 5545")))?;
        let (civil, all_day) = value.civil().ok_or_else(|| {
            Wrong::new(0, "invalid_time", format!("{name} of this event is not a date or time that there is"))
        })?;
        if let Some(offset) = value.offset {
            return Ok(Moment::at_offset(civil, offset));
        }
        match property.parameter("TZID").filter(|_| !all_day) {
            Some(tzid) => {
                let detail = || format!("the time zone of {name} is not known; use an IANA name");
                let zone = self.named(tzid).ok_or_else(|| Wrong::new(0, "unknown_time_zone", detail()))?;
                Ok(Moment { civil, zone, form: Form::Zoned })
            }
            None => {
                let of_event = clock.filter(|clock| clock.form == Form::Zoned).map(|clock| &clock.zone);
                let detail = "this event has no time zone, and the practitioner has no roster to say which one counts";
                let zone = of_event.or(self.home).ok_or_else(|| Wrong::new(0, "no_time_zone", detail))?;
                Ok(Moment { civil, zone: zone.clone(), form: if all_day { Form::Date } else { Form::Floating } })
            }
        }
    }

    /// The zone of a name. What the file says of it counts more than what the name looks like; a name counts more than a
    /// definition whose changes have run out.
    fn named(&self, tzid: &str) -> Option<TimeZone> {
        let name = zone_name::plain(&unescaped(tzid));
        if let Some(zone) = self.found.borrow().get(&name) {
            return zone.clone();
        }
        let component = self.defined.get(&name.to_lowercase());
        let defined = component.and_then(|component| vtimezone::defined(component, self.window));
        let zone = match defined {
            Some(defined) if defined.goes_on => Some(defined.zone),
            defined => zone_name::known(&name)
                .or_else(|| component.and_then(|component| vtimezone::described(component)))
                .or_else(|| defined.map(|defined| defined.zone))
                .or_else(|| zone_name::offset(&name)),
        };
        self.found.borrow_mut().insert(name, zone.clone());
        zone
    }
}

/// A date, or a date and a time, as RFC 5545 writes them (3.3.4 and 3.3.5): the value itself says which of them it is,
/// whatever its property says. An offset at its end is that of RFC 2445's programs.
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
        let (date, rest) = text.split_at_checked(8)?;
        let date = [number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?];
        let Some(rest) = rest.strip_prefix(['T', 't']) else {
            return rest.is_empty().then_some(Self { date, time: None, offset: None });
        };
        let (time, offset) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len()));
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

    /// The wall-clock time, and whether it is a date alone; `None` where there is no such day or hour.
    pub(super) fn civil(&self) -> Option<(DateTime, bool)> {
        let small = |number: u16| i8::try_from(number).ok();
        let [year, month, day] = self.date;
        let date = Date::new(i16::try_from(year).ok()?, small(month)?, small(day)?).ok()?;
        let midnight = date.to_datetime(Time::midnight());
        match self.time {
            None => Some((midnight, true)),
            Some([24, 0, 0]) => Some((midnight.checked_add(SignedDuration::from_hours(24)).ok()?, false)),
            // A leap second is the one before it.
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

/// An offset from UTC as RFC 5545 writes it (3.3.14): `+0530`, `-050000`; with colons too.
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

/// A duration (RFC 5545, 3.3.6): its days, which are days of the wall clock, and the rest of it in elapsed time.
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

/// So many seconds that numbers with these letters stand for.
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
