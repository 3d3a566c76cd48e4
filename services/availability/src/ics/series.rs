//! Events laid out in time: series without their exceptions, and turned where an event says that they turn.

use calcard::{
    common::timezone::Tz,
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarFrequency, ICalendarProperty,
        ICalendarRecurrenceRule, ICalendarValue,
    },
};
use domain::time::Interval;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{Wrong, event::Event, moment::partial, turn::Replacements};

/// The most occurrences that are laid out for one file, those before the window among them.
const OCCURRENCES_MAX: usize = 50_000;
/// The most days, weeks, months or years that are gone through for one file.
const STEPS_MAX: i64 = 500_000;
/// The most series in one file.
const SERIES_MAX: usize = 1000;
/// The most series that never take place, such as on 30 February: each is searched for at length.
const BARREN_MAX: usize = 10;

/// What may still be laid out for a file.
struct Left {
    occurrences: usize,
    steps: i64,
    series: usize,
    barren: usize,
}

/// The occurrences that make busy, those after the window left out, in no order.
pub(super) fn spans(events: &[Event], window: Interval) -> Result<Vec<(Timestamp, Timestamp)>, Wrong> {
    let replacements = Replacements::of(events)?;
    let mut left = Left { occurrences: OCCURRENCES_MAX, steps: STEPS_MAX, series: SERIES_MAX, barren: BARREN_MAX };
    let mut spans = Vec::new();
    for event in events {
        let turns = replacements.turns(event);
        if !(event.busy || turns.any_busy()) || replacements.gives_way(event) {
            continue;
        }
        let gone = replacements.gone(event);
        let end = window.end().saturating_add(turns.earlier()).unwrap_or(Timestamp::MAX);
        let of_rule = starts(event, end, &mut left)?.into_iter().map(|civil| (&event.start, civil, event.length));
        let more = event.more.iter().map(|(moment, length)| (moment, moment.civil, length.unwrap_or(event.length)));
        for (clock, civil, length) in of_rule.chain(more) {
            let start = clock.at(civil);
            if gone.has(start, civil) {
                continue;
            }
            let (civil, length, busy) = match turns.at(start) {
                Some(turn) => (civil.saturating_add(turn.shift), turn.length, turn.busy),
                None => (civil, length, event.busy),
            };
            if busy {
                spans.push((clock.at(civil), length.end(clock, civil)));
            }
        }
    }
    Ok(spans)
}

/// The wall-clock starts of an event, up to an instant.
fn starts(event: &Event, end: Timestamp, left: &mut Left) -> Result<Vec<DateTime>, Wrong> {
    let Some(rule) = &event.rule else { return Ok(vec![event.start.civil]) };
    let end = event.start.zone.to_datetime(end);
    let until = event.until.as_ref().map_or(end, |until| until.civil.min(end));
    if until < event.start.civil {
        return Ok(vec![]);
    }
    let too_many = || {
        let detail = "with this event the series of the file reach too far; let them begin later or be fewer";
        Wrong::new(event.line, "too_many", detail)
    };
    let days = until.date().duration_since(event.start.civil.date()).as_hours() / 24;
    left.steps -= 1 + days / days_of_a_step(rule.freq);
    if left.steps < 0 {
        return Err(too_many());
    }
    left.series = left.series.checked_sub(1).ok_or_else(too_many)?;
    let rule = ICalendarRecurrenceRule { until: Some(partial(until)), ..rule.clone() };
    let laid_out = on_the_wall_clock(event.start.civil, rule).expand_dates(Tz::Floating, left.occurrences + 1);
    if !laid_out.errors.is_empty() {
        return Err(Wrong::new(event.line, "invalid_value", "RRULE of this event contradicts itself; see RFC 5545"));
    }
    if laid_out.events.is_empty() {
        left.barren = left.barren.checked_sub(1).ok_or_else(too_many)?;
    }
    left.occurrences = left.occurrences.checked_sub(laid_out.events.len()).ok_or_else(too_many)?;
    let civil = |seconds: i64| Timestamp::from_second(seconds).ok().map(|at| TimeZone::UTC.to_datetime(at));
    Ok(laid_out.events.iter().filter_map(|one| civil(one.start.naive_local().and_utc().timestamp())).collect())
}

fn days_of_a_step(freq: ICalendarFrequency) -> i64 {
    match freq {
        ICalendarFrequency::Yearly => 365,
        ICalendarFrequency::Monthly => 28,
        ICalendarFrequency::Weekly => 7,
        _ => 1,
    }
}

/// A calendar of one series that knows no zone.
fn on_the_wall_clock(start: DateTime, rule: ICalendarRecurrenceRule) -> ICalendar {
    let entry = |name, value| ICalendarEntry { name, params: vec![], values: vec![value] };
    let event = ICalendarComponent {
        component_type: ICalendarComponentType::VEvent,
        entries: vec![
            entry(ICalendarProperty::Dtstart, ICalendarValue::PartialDateTime(Box::new(partial(start)))),
            entry(ICalendarProperty::Rrule, ICalendarValue::RecurrenceRule(Box::new(rule))),
        ],
        component_ids: vec![],
    };
    ICalendar { components: vec![event] }
}
