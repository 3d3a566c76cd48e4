//! A zone that a file defines itself (RFC 5545, 3.6.5): every change of its clock from 1970 to beyond the window.

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

/// Rules that began earlier are followed from here on.
const FIRST_YEAR: i16 = 1969;
/// The most changes of one clock, and the most halves of a year: some programs write each change as one.
const CHANGES_MAX: usize = 2000;
const HALVES_MAX: usize = 1000;
const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

/// What a file says of a zone.
pub(super) struct Defined {
    pub(super) zone: TimeZone,
    /// Whether it has one offset for ever, or its clock still changes in the last year of the window. A definition whose
    /// changes end before that says little of the window: many programs write those of one year alone.
    pub(super) goes_on: bool,
}

/// The zone that a VTIMEZONE defines; `None` where it does not say when its clock shows what.
pub(super) fn defined(zone: &Component, window: Interval) -> Option<Defined> {
    if zone.parts.is_empty() || zone.parts.len() > HALVES_MAX {
        return None;
    }
    let end = window.end().saturating_add(YEAR).ok()?;
    let mut changes: Vec<(Timestamp, Offset)> = Vec::new();
    let mut first: Option<(Timestamp, Offset)> = None;
    let mut offsets = BTreeSet::new();
    for half in &zone.parts {
        let half = Half::read(half)?;
        for onset in half.onsets(end)? {
            let at = half.from.to_timestamp(onset).ok()?;
            changes.push((at, half.to));
            if first.is_none_or(|(earliest, _)| at < earliest) {
                first = Some((at, half.from));
            }
        }
        offsets.extend([half.from.seconds(), half.to.seconds()]);
    }
    if changes.len() > CHANGES_MAX {
        return None;
    }
    changes.sort_by_key(|(at, _)| *at);
    let last = changes.last()?.0;
    let goes_on = offsets.len() == 1 || last >= window.end().saturating_sub(YEAR).ok()?;
    let zone = if offsets.len() == 1 { TimeZone::fixed(first?.1) } else { of_changes(first?.1, &changes)? };
    Some(Defined { zone, goes_on })
}

/// The zone that a VTIMEZONE names beside its name: as libical does, or as Exchange numbers it.
pub(super) fn described(zone: &Component) -> Option<TimeZone> {
    let by_place = zone.text("X-LIC-LOCATION").and_then(|name| zone_name::known(&zone_name::plain(&name)));
    let by_number = || {
        let Tz::Tz(zone) = Tz::from_ms_cdo_zone_id(zone.text("X-MICROSOFT-CDO-TZID")?.trim())? else { return None };
        TimeZone::get(zone.name()).ok()
    };
    by_place.or_else(by_number)
}

/// One of the halves of a year: STANDARD or DAYLIGHT.
struct Half<'a> {
    begins: DateTime,
    from: Offset,
    to: Offset,
    component: &'a Component,
}

impl<'a> Half<'a> {
    fn read(component: &'a Component) -> Option<Self> {
        let (begins, _) = Value::read(&component.first("DTSTART")?.value)?.civil()?;
        let offset = |name: &str| component.first(name).map(|property| utc_offset(&property.value));
        let to = offset("TZOFFSETTO")??;
        let from = offset("TZOFFSETFROM").unwrap_or(Some(to))?;
        Some(Self { begins, from, to, component })
    }

    /// When it begins, on the clock that it ends.
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
        let rule = Rule::read(property, |until| self.civil(until).ok_or_else(|| super::Wrong::new(0, "", ""))).ok()?;
        let begins = if rule.is_plainly_yearly() { from_first_year(self.begins) } else { self.begins };
        rule.starts(begins, end, CHANGES_MAX).ok()
    }
}

/// Exchange's rules begin in 1601.
fn from_first_year(begins: DateTime) -> DateTime {
    if begins.year() >= FIRST_YEAR {
        return begins;
    }
    Date::new(FIRST_YEAR, begins.month(), begins.day()).map_or(begins, |date| date.to_datetime(begins.time()))
}

/// A zone of these changes, made as the compiled files of the tz database are (RFC 8536, version 2, without a footer).
fn of_changes(first: Offset, changes: &[(Timestamp, Offset)]) -> Option<TimeZone> {
    let mut offsets = vec![first];
    let mut numbers = Vec::with_capacity(changes.len());
    for (_, offset) in changes {
        let number = offsets.iter().position(|one| one == offset).unwrap_or_else(|| {
            offsets.push(*offset);
            offsets.len() - 1
        });
        numbers.push(u8::try_from(number).ok()?);
    }
    let mut bytes = header(0, 1)?;
    // The block of 32 bits, which nobody reads: one offset and an empty name.
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
