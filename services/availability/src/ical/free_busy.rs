//! The busy periods of a VFREEBUSY, which shows when a person is busy and not with what.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    ReadError,
    date_time::Value,
    event::Length,
    lines::{Component, Property},
};

/// The most periods in one file.
pub(super) const PERIODS_MAX: usize = 50_000;

/// The busy periods of one VFREEBUSY, unsorted. `left` counts down the periods that the whole file may still have.
pub(super) fn spans(
    component: &Component,
    left: &mut usize,
    errors: &mut Vec<ReadError>,
) -> Vec<(Timestamp, Timestamp)> {
    let mut spans = Vec::new();
    for property in component.all("FREEBUSY").filter(|property| is_busy(property)) {
        let texts: Vec<&str> = property.value.split(',').filter(|text| !text.trim().is_empty()).collect();
        let Some(remaining) = left.checked_sub(texts.len()) else {
            let detail = format!("at most {PERIODS_MAX} periods; export fewer months");
            errors.push(ReadError::new(property.line, "too_many", detail).of("VFREEBUSY"));
            break;
        };
        *left = remaining;
        match texts.into_iter().map(period).collect::<Result<Vec<_>, _>>() {
            Ok(periods) => spans.extend(periods),
            Err(error) => errors.push(ReadError { line: property.line, ..error }.of("VFREEBUSY")),
        }
    }
    spans
}

/// Every FBTYPE but FREE is busy, unknown ones included (RFC 5545, 3.2.9).
fn is_busy(property: &Property) -> bool {
    property.parameter("FBTYPE").is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("FREE"))
}

fn period(text: &str) -> Result<(Timestamp, Timestamp), ReadError> {
    let unreadable = || {
        let detail = "FREEBUSY has something that is no period; write 20260305T080000Z/20260305T090000Z or \
            20260305T080000Z/PT1H";
        ReadError::new(0, "invalid_value", detail)
    };
    let (start, end) = text.split_once('/').ok_or_else(unreadable)?;
    let timed = |text: &str| Value::read(text).filter(Value::has_time).ok_or_else(unreadable);
    let start = instant(timed(start)?)?;
    let end = match Length::read(end) {
        Some(length) => length.after(start),
        None => instant(timed(end)?)?,
    };
    if end < start {
        return Err(ReadError::new(0, "ends_before_start", "a period of FREEBUSY ends before it starts"));
    }
    Ok((start, end))
}

/// Reads an instant in UTC, the only zone of periods (RFC 5545, 3.8.2.6).
fn instant(value: Value) -> Result<Timestamp, ReadError> {
    let utc = value.offset == Some(jiff::tz::Offset::UTC);
    let civil = value.civil().filter(|(_, all_day)| utc && !all_day);
    civil.and_then(|(civil, _)| TimeZone::UTC.to_timestamp(civil).ok()).ok_or_else(|| {
        ReadError::new(0, "invalid_time", "a time of FREEBUSY is not in UTC; write it as 20260305T080000Z")
    })
}
