//! Times that a VFREEBUSY says are taken: what a program shares that shows when someone is busy, and not with what.

use calcard::{
    common::PartialDateTime,
    icalendar::{
        ICalendarComponent, ICalendarEntry, ICalendarFreeBusyType, ICalendarParameterName, ICalendarParameterValue,
        ICalendarPeriod, ICalendarProperty, ICalendarValue,
    },
};
use domain::fault::Faults;
use jiff::{Timestamp, tz::TimeZone};

use super::{Wrong, event::Length, lines::List, moment};

/// The most periods in one file, as there are occurrences of events.
pub(super) const PERIODS_MAX: usize = 50_000;

/// The busy periods of one VFREEBUSY, in no order; at most `left` are read of the whole file.
pub(super) fn spans(
    component: &ICalendarComponent,
    list: &List,
    left: &mut usize,
    faults: &mut Faults,
) -> Vec<(Timestamp, Timestamp)> {
    let properties = || component.entries.iter().filter(|entry| entry.name == ICalendarProperty::Freebusy);
    // Should the parser have left out a line, the list's own says enough.
    let lines_are_known = properties().count() == list.periods.len();
    let mut spans = Vec::new();
    for (at, entry) in properties().enumerate().filter(|(_, entry)| is_busy(entry)) {
        let line = if lines_are_known { list.periods[at] } else { list.begins };
        let Some(rest) = left.checked_sub(entry.values.len()) else {
            let detail = format!("at most {PERIODS_MAX} periods; export fewer months");
            Wrong::new(line, "too_many", detail).note(faults);
            break;
        };
        *left = rest;
        let periods: Result<Vec<_>, Wrong> = entry.values.iter().map(|value| period(value, line)).collect();
        match periods {
            Ok(periods) => spans.extend(periods),
            Err(wrong) => wrong.note(faults),
        }
    }
    spans
}

/// RFC 5545, 3.2.9: busy is what is not said to be free, words that nobody knows among it.
fn is_busy(entry: &ICalendarEntry) -> bool {
    let free = ICalendarParameterValue::Fbtype(ICalendarFreeBusyType::Free);
    entry.parameters(&ICalendarParameterName::Fbtype).all(|kind| *kind != free)
}

fn period(value: &ICalendarValue, line: usize) -> Result<(Timestamp, Timestamp), Wrong> {
    let unreadable = || {
        let detail = "FREEBUSY has something that is no period; write 20260305T080000Z/20260305T090000Z or \
            20260305T080000Z/PT1H";
        Wrong::new(line, "invalid_value", detail)
    };
    let (start, end) = match value {
        ICalendarValue::Period(ICalendarPeriod::Range { start, end }) => (instant(start, line)?, instant(end, line)?),
        ICalendarValue::Period(ICalendarPeriod::Duration { start, duration }) if !duration.neg => {
            let start = instant(start, line)?;
            (start, Length::of(duration).after(start))
        }
        _ => return Err(unreadable()),
    };
    if end < start {
        return Err(Wrong::new(line, "ends_before_start", "a period of FREEBUSY ends before it starts"));
    }
    Ok((start, end))
}

/// RFC 5545, 3.8.2.6: periods are in UTC, whatever the rest of the file is in.
fn instant(value: &PartialDateTime, line: usize) -> Result<Timestamp, Wrong> {
    let utc = value.tz_hour == Some(0) && value.tz_minute.unwrap_or(0) == 0;
    let civil = moment::civil(value).filter(|(_, all_day)| utc && !all_day);
    civil.and_then(|(civil, _)| TimeZone::UTC.to_timestamp(civil).ok()).ok_or_else(|| {
        Wrong::new(line, "invalid_time", "a time of FREEBUSY is not in UTC; write it as 20260305T080000Z")
    })
}
