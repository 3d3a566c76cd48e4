//! Several versions of one event in one file: the one with the highest SEQUENCE stands (RFC 5546, 2.1.5).
//!
//! Events of one UID that do not differ in it all stand: many programs give one UID to events that are several.

use std::collections::HashMap;

use jiff::{Timestamp, civil::Date};

use super::{date_time::Moment, event::Event};

/// The occurrence that an event stands for, as it is named once the clock of its series is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Occurrence {
    Date(Date),
    At(Timestamp),
}

/// The event of each version that counts: the series of a UID, or one of its occurrences, alone or with all that follow.
type Key = (String, Option<(Occurrence, bool)>);

/// Leaves out the versions that others have taken the place of.
pub(super) fn standing(events: Vec<Event>) -> Vec<Event> {
    let mut series: HashMap<String, Series> = HashMap::new();
    for event in events.iter().filter(|event| event.replaces.is_none()) {
        series.entry(event.uid.clone()).and_modify(|series| series.see(event)).or_insert_with(|| Series::of(event));
    }
    let key = |event: &Event| -> Key {
        let of_series = series.get(&event.uid);
        let named = event.replaces.as_ref().map(|moment| (occurrence(moment, of_series), event.goes_on));
        (event.uid.clone(), named)
    };
    let mut highest: HashMap<Key, i64> = HashMap::new();
    for event in &events {
        let found = highest.entry(key(event)).or_insert(event.sequence);
        *found = event.sequence.max(*found);
    }
    let called_off = |event: &Event| {
        let of_series = series.get(&event.uid).filter(|_| event.replaces.is_some());
        of_series.is_some_and(|series| !series.busy && series.sequence > event.sequence)
    };
    let stands = |event: &Event| {
        let nameless = event.uid.is_empty();
        nameless || (highest.get(&key(event)) == Some(&event.sequence) && !called_off(event))
    };
    events.into_iter().filter(|event| stands(event)).collect()
}

fn occurrence(moment: &Moment, series: Option<&Series>) -> Occurrence {
    match series.map(|series| &series.start) {
        Some(start) if start.all_day() || moment.all_day() => Occurrence::Date(moment.date(&start.zone)),
        Some(start) => Occurrence::At(start.at(moment.on_clock_of(start))),
        None if moment.all_day() => Occurrence::Date(moment.civil.date()),
        None => Occurrence::At(moment.instant()),
    }
}

/// What is known of a series: its newest version.
struct Series {
    start: Moment,
    sequence: i64,
    /// Whether it makes busy, in any of several of that number.
    busy: bool,
}

impl Series {
    fn of(event: &Event) -> Self {
        Self { start: event.start.clone(), sequence: event.sequence, busy: event.busy }
    }

    fn see(&mut self, event: &Event) {
        if event.sequence > self.sequence {
            *self = Self::of(event);
        } else if event.sequence == self.sequence {
            self.busy |= event.busy;
        }
    }
}
