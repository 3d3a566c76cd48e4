//! A zone that a file defines in a VTIMEZONE (RFC 5545, 3.6.5): all clock changes from 1970 to after the window.

use std::collections::BTreeSet;

use calcard::common::timezone::Tz;
use domain::time::Interval;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::{Offset, TimeZone},
};

use super::{
    date_time::{Value, utc_offset},
    lines::{Component, Property},
    rule::Rule,
    zone_name,
};

/// Rules that begin earlier are expanded from this year on.
const FIRST_YEAR: i16 = 1969;
/// The most clock changes, and the most observances: some programs write an observance for each change.
const CHANGES_MAX: usize = 2000;
const OBSERVANCES_MAX: usize = 1000;
const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

/// The definition of a zone.
pub(super) struct Defined {
    pub(super) zone: TimeZone,
    /// Whether it has a single offset, or its clock still changes in the last year of the window. Many programs write the
    /// changes of one year only, which say little about the window.
    pub(super) covers_window: bool,
}

/// The zone that a VTIMEZONE defines; `None` for an incomplete definition.
pub(super) fn defined(zone: &Component, window: Interval) -> Option<Defined> {
    if zone.observances.is_empty() || zone.observances.len() > OBSERVANCES_MAX {
        return None;
    }
    let end = window.end().saturating_add(YEAR).ok()?;
    let mut changes: Vec<(Timestamp, Offset)> = Vec::new();
    let mut first: Option<(Timestamp, Offset)> = None;
    let mut offsets = BTreeSet::new();
    for observance in &zone.observances {
        let observance = Observance::read(observance)?;
        for onset in observance.onsets(end)? {
            let at = observance.from.to_timestamp(onset).ok()?;
            changes.push((at, observance.to));
            if first.is_none_or(|(earliest, _)| at < earliest) {
                first = Some((at, observance.from));
            }
        }
        offsets.extend([observance.from.seconds(), observance.to.seconds()]);
    }
    if changes.len() > CHANGES_MAX {
        return None;
    }
    changes.sort_by_key(|(at, _)| *at);
    let last = changes.last()?.0;
    let covers_window = offsets.len() == 1 || last >= window.end().saturating_sub(YEAR).ok()?;
    let zone = if offsets.len() == 1 { TimeZone::fixed(first?.1) } else { of_changes(first?.1, &changes)? };
    Some(Defined { zone, covers_window })
}

/// The zone that a VTIMEZONE names in another property: libical's X-LIC-LOCATION, or Exchange's number.
pub(super) fn described(zone: &Component) -> Option<TimeZone> {
    let by_place = zone.text("X-LIC-LOCATION").and_then(|name| zone_name::known(&zone_name::plain(&name)));
    let by_number = || {
        let Tz::Tz(zone) = Tz::from_ms_cdo_zone_id(zone.text("X-MICROSOFT-CDO-TZID")?.trim())? else { return None };
        TimeZone::get(zone.name()).ok()
    };
    by_place.or_else(by_number)
}

/// STANDARD or DAYLIGHT.
struct Observance<'a> {
    begins: DateTime,
    from: Offset,
    to: Offset,
    component: &'a Component,
}

impl<'a> Observance<'a> {
    fn read(component: &'a Component) -> Option<Self> {
        let (begins, _) = Value::read(&component.first("DTSTART")?.value)?.civil()?;
        let offset = |name: &str| component.first(name).map(|property| utc_offset(&property.value));
        let to = offset("TZOFFSETTO")??;
        let from = offset("TZOFFSETFROM").unwrap_or(Some(to))?;
        Some(Self { begins, from, to, component })
    }

    /// Its onsets, on the clock before the change.
    fn onsets(&self, end: Timestamp) -> Option<Vec<DateTime>> {
        let end = self.from.to_datetime(end);
        let mut onsets = vec![self.begins];
        for property in self.component.all("RRULE") {
            onsets.extend(self.of_rule(property, end)?);
        }
        for property in self.component.all("RDATE") {
            for text in property.value.split(',') {
                onsets.push(self.civil(Value::read(text.split('/').next()?)?)?);
            }
        }
        Some(onsets)
    }

    fn civil(&self, value: Value) -> Option<DateTime> {
        let (civil, _) = value.civil()?;
        match value.offset {
            None => Some(civil),
            Some(offset) => Some(self.from.to_datetime(offset.to_timestamp(civil).ok()?)),
        }
    }

    fn of_rule(&self, property: &Property, end: DateTime) -> Option<Vec<DateTime>> {
        let rule =
            Rule::read(property, |until| self.civil(until).ok_or_else(|| super::ReadError::new(0, "", ""))).ok()?;
        let begins = if rule.is_plainly_yearly() { from_first_year(self.begins) } else { self.begins };
        rule.starts(begins, end, CHANGES_MAX).ok()
    }
}

/// The same day of the first year: Exchange's rules begin in 1601.
fn from_first_year(begins: DateTime) -> DateTime {
    if begins.year() >= FIRST_YEAR {
        return begins;
    }
    Date::new(FIRST_YEAR, begins.month(), begins.day()).map_or(begins, |date| date.to_datetime(begins.time()))
}

/// A zone with these changes, encoded like a compiled file of the tz database (RFC 8536, version 2, without a footer).
fn of_changes(first: Offset, changes: &[(Timestamp, Offset)]) -> Option<TimeZone> {
    let mut offsets = vec![first];
    let mut numbers = Vec::with_capacity(changes.len());
    for (_, offset) in changes {
        let number = offsets.iter().position(|known| known == offset).unwrap_or_else(|| {
            offsets.push(*offset);
            offsets.len() - 1
        });
        numbers.push(u8::try_from(number).ok()?);
    }
    let mut bytes = header(0, 1)?;
    // The 32-bit block, which readers of version 2 skip: one offset and an empty name.
    bytes.extend([0; 7]);
    bytes.extend(header(changes.len(), offsets.len())?);
    changes.iter().for_each(|(at, _)| bytes.extend(at.as_second().to_be_bytes()));
    bytes.extend(numbers);
    for offset in offsets {
        bytes.extend(offset.seconds().to_be_bytes());
        bytes.extend([0, 0]);
    }
    bytes.extend(*b"\0\n\n");
    TimeZone::tzif("Defined by the file", &bytes).ok()
}

fn header(changes: usize, offsets: usize) -> Option<Vec<u8>> {
    let mut bytes = b"TZif2".to_vec();
    bytes.extend([0; 15]);
    for count in [0, 0, 0, changes, offsets, 1] {
        bytes.extend(u32::try_from(count).ok()?.to_be_bytes());
    }
    Some(bytes)
}
