//! Versions of an event in one file: the one with the highest SEQUENCE counts (RFC 5546, 2.1.5).
//!
//! Events with equal UID and SEQUENCE all count: many programs give one UID to several events.

use std::collections::HashMap;

use jiff::{Timestamp, civil::Date};

use super::{date_time::ZonedDateTime, event::Event};

/// The overridden occurrence of an event, once the clock of its series is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Occurrence {
    Date(Date),
    At(Timestamp),
}

/// The identity of an event: the series of a UID, or an override of one of its occurrences, with or without the later
/// ones.
type Key = (String, Option<(Occurrence, bool)>);

/// The events without their outdated versions.
pub(super) fn latest(events: Vec<Event>) -> Vec<Event> {
    let mut series: HashMap<String, Series> = HashMap::new();
    for event in events.iter().filter(|event| event.recurrence_id.is_none()) {
        series.entry(event.uid.clone()).and_modify(|series| series.add(event)).or_insert_with(|| Series::of(event));
    }
    let key = |event: &Event| -> Key {
        let own_series = series.get(&event.uid);
        let named =
            event.recurrence_id.as_ref().map(|date_time| (occurrence(date_time, own_series), event.this_and_future));
        (event.uid.clone(), named)
    };
    let mut highest: HashMap<Key, i64> = HashMap::new();
    for event in &events {
        let found = highest.entry(key(event)).or_insert(event.sequence);
        *found = event.sequence.max(*found);
    }
    let is_cancelled = |event: &Event| {
        let own_series = series.get(&event.uid).filter(|_| event.recurrence_id.is_some());
        own_series.is_some_and(|series| !series.busy && series.sequence > event.sequence)
    };
    let is_latest = |event: &Event| {
        let anonymous = event.uid.is_empty();
        anonymous || (highest.get(&key(event)) == Some(&event.sequence) && !is_cancelled(event))
    };
    events.into_iter().filter(|event| is_latest(event)).collect()
}

fn occurrence(date_time: &ZonedDateTime, series: Option<&Series>) -> Occurrence {
    match series.map(|series| &series.start) {
        Some(start) if start.all_day() || date_time.all_day() => Occurrence::Date(date_time.date(&start.zone)),
        Some(start) => Occurrence::At(start.at(date_time.on_clock_of(start))),
        None if date_time.all_day() => Occurrence::Date(date_time.civil.date()),
        None => Occurrence::At(date_time.instant()),
    }
}

/// The newest version of a series.
struct Series {
    start: ZonedDateTime,
    sequence: i64,
    /// Whether any event of that version is busy.
    busy: bool,
}

impl Series {
    fn of(event: &Event) -> Self {
        Self { start: event.start.clone(), sequence: event.sequence, busy: event.busy }
    }

    fn add(&mut self, event: &Event) {
        if event.sequence > self.sequence {
            *self = Self::of(event);
        } else if event.sequence == self.sequence {
            self.busy |= event.busy;
        }
    }
}
