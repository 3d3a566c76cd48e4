//! Times that a VFREEBUSY says are taken: what a program shares that shows when someone is busy, and not with what.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    Wrong,
    date_time::Value,
    event::Length,
    lines::{Component, Property},
};

/// The most periods in one file, as there are occurrences of events.
pub(super) const PERIODS_MAX: usize = 50_000;

/// The busy periods of one VFREEBUSY, in no order; at most `left` are read of the whole file.
pub(super) fn spans(component: &Component, left: &mut usize, wrongs: &mut Vec<Wrong>) -> Vec<(Timestamp, Timestamp)> {
    let mut spans = Vec::new();
    for property in component.all("FREEBUSY").filter(|property| is_busy(property)) {
        let texts: Vec<&str> = property.value.split(',').filter(|text| !text.trim().is_empty()).collect();
        let Some(rest) = left.checked_sub(texts.len()) else {
            let detail = format!("at most {PERIODS_MAX} periods; export fewer months");
            wrongs.push(Wrong::new(property.line, "too_many", detail).of("VFREEBUSY"));
            break;
        };
        *left = rest;
        match texts.into_iter().map(period).collect::<Result<Vec<_>, _>>() {
            Ok(periods) => spans.extend(periods),
            Err(wrong) => wrongs.push(Wrong { line: property.line, ..wrong }.of("VFREEBUSY")),
        }
    }
    spans
}

/// RFC 5545, 3.2.9: busy is what is not said to be free, words that nobody knows among it.
fn is_busy(property: &Property) -> bool {
    property.parameter("FBTYPE").is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("FREE"))
}

fn period(text: &str) -> Result<(Timestamp, Timestamp), Wrong> {
    let unreadable = || {
        let detail = "FREEBUSY has something that is no period; write 20260305T080000Z/20260305T090000Z or \
            20260305T080000Z/PT1H";
        Wrong::new(0, "invalid_value", detail)
    };
    let (start, end) = text.split_once('/').ok_or_else(unreadable)?;
    let timed = |text: &str| Value::read(text).filter(Value::has_time).ok_or_else(unreadable);
    let start = instant(timed(start)?)?;
    let end = match Length::read(end) {
        Some(length) => length.after(start),
        None => instant(timed(end)?)?,
    };
    if end < start {
        return Err(Wrong::new(0, "ends_before_start", "a period of FREEBUSY ends before it starts"));
    }
    Ok((start, end))
}

/// RFC 5545, 3.8.2.6: periods are in UTC, whatever the rest of the file is in.
fn instant(value: Value) -> Result<Timestamp, Wrong> {
    let utc = value.offset == Some(jiff::tz::Offset::UTC);
    let civil = value.civil().filter(|(_, all_day)| utc && !all_day);
    civil
        .and_then(|(civil, _)| TimeZone::UTC.to_timestamp(civil).ok())
        .ok_or_else(|| Wrong::new(0, "invalid_time", "a time of FREEBUSY is not in UTC; write it as 20260305T080000Z"))
}
