//! Overrides of occurrences of a series: of a single one, or of one and all later ones (RANGE=THISANDFUTURE).

use std::collections::{BTreeSet, HashMap};

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time},
};

use super::{
    ReadError,
    date_time::ZonedDateTime,
    event::{Event, Length},
    rule::Rule,
};

/// The most events with RANGE=THISANDFUTURE in one file.
const FUTURE_OVERRIDES_MAX: usize = 100;

/// The overriding events of a file, by the UID of their series.
pub(super) struct Overrides<'a>(HashMap<&'a str, Vec<(&'a Event, &'a ZonedDateTime)>>);

/// Splits off the events with RANGE=THISANDFUTURE that change more than time and length: their own rules would have to be
/// guessed. A copy of the series' rule is accepted.
pub(super) fn split_unsupported(events: Vec<Event>) -> (Vec<Event>, Vec<ReadError>) {
    let mut series_rules: HashMap<String, Vec<Vec<Rule>>> = HashMap::new();
    for event in events.iter().filter(|event| event.recurrence_id.is_none() && !event.rules.is_empty()) {
        let rules = series_rules.entry(event.uid.clone()).or_default();
        if !rules.contains(&event.rules) {
            rules.push(event.rules.clone());
        }
    }
    let is_supported = |event: &Event| {
        let repeated = series_rules.get(&event.uid).is_some_and(|rules| rules.contains(&event.rules));
        let plain = event.additions.is_empty() && event.exceptions.is_empty() && event.except_rules.is_empty();
        plain && (event.rules.is_empty() || repeated)
    };
    let (kept, unsupported): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| !event.this_and_future || is_supported(event));
    let detail = "an event with RANGE=THISANDFUTURE follows its series and has no RRULE, RDATE or EXDATE of its own; \
        export the series as two";
    (kept, unsupported.into_iter().map(|event| ReadError::new(event.line, "unsupported", detail)).collect())
}

impl<'a> Overrides<'a> {
    pub(super) fn of(events: &'a [Event]) -> Result<Self, ReadError> {
        if let Some(event) = events.iter().filter(|event| event.this_and_future).nth(FUTURE_OVERRIDES_MAX) {
            let detail = format!("at most {FUTURE_OVERRIDES_MAX} events with RANGE=THISANDFUTURE; export fewer months");
            return Err(ReadError::new(event.line, "too_many", detail));
        }
        let mut replaced: HashMap<&str, Vec<_>> = HashMap::new();
        for event in events {
            if let Some(date_time) = &event.recurrence_id {
                replaced.entry(&event.uid).or_default().push((event, date_time));
            }
        }
        Ok(Self(replaced))
    }

    /// The number of overrides of a series.
    pub(super) fn count(&self, series: &Event) -> usize {
        self.of_series(series).len()
    }

    /// The overrides of a series; none for an event that is an override itself.
    fn of_series(&self, series: &Event) -> &[(&'a Event, &'a ZonedDateTime)] {
        match series.recurrence_id {
            Some(_) => &[],
            None => self.0.get(series.uid.as_str()).map_or(&[][..], Vec::as_slice),
        }
    }

    /// Whether an override of this and future occurrences has its own occurrence overridden by a single override.
    pub(super) fn is_overridden(&self, event: &Event) -> bool {
        let Some(own) = event.recurrence_id.as_ref().filter(|_| event.this_and_future) else { return false };
        let of_series = self.0.get(event.uid.as_str()).map_or(&[][..], Vec::as_slice);
        of_series.iter().any(|(other, date_time)| !other.this_and_future && date_time.instant() == own.instant())
    }

    /// The occurrences of a series that are left out or overridden.
    pub(super) fn exclusions(&self, series: &Event) -> Exclusions {
        let replaced = self.of_series(series).iter().map(|(_, date_time)| *date_time);
        Exclusions::new(&series.start, series.exceptions.iter().chain(replaced))
    }

    /// The overrides of this and future occurrences of a series, sorted by their first instant.
    pub(super) fn future_overrides(&self, series: &Event) -> FutureOverrides {
        let future_overrides = self.of_series(series).iter().filter(|(event, _)| event.this_and_future);
        let mut future_overrides: Vec<FutureOverride> =
            future_overrides.map(|(event, date_time)| FutureOverride::new(series, event, date_time)).collect();
        future_overrides.sort_by_key(|future_override| future_override.from);
        FutureOverrides(future_overrides)
    }
}

/// The left-out occurrences: by instant, or by date where the file names dates.
pub(super) struct Exclusions {
    instants: BTreeSet<Timestamp>,
    dates: BTreeSet<Date>,
}

impl Exclusions {
    fn new<'a>(series: &ZonedDateTime, date_times: impl Iterator<Item = &'a ZonedDateTime>) -> Self {
        let mut exclusions = Self { instants: BTreeSet::new(), dates: BTreeSet::new() };
        for date_time in date_times {
            if series.all_day() || date_time.all_day() {
                exclusions.dates.insert(date_time.date(&series.zone));
            } else {
                exclusions.instants.insert(series.at(date_time.on_clock_of(series)));
            }
        }
        exclusions
    }

    pub(super) fn contains(&self, instant: Timestamp, civil: DateTime) -> bool {
        self.instants.contains(&instant) || self.dates.contains(&civil.date())
    }
}

/// The time and length of this and future occurrences of a series (RFC 5545, 3.8.4.4).
pub(super) struct FutureOverride {
    /// Applies to the occurrences of the series from this instant on, before any move.
    from: Timestamp,
    /// On the wall clock of the series, so that it keeps its new hour across clock changes.
    pub(super) shift: SignedDuration,
    pub(super) length: Length,
    pub(super) busy: bool,
}

impl FutureOverride {
    fn new(series: &Event, event: &Event, recurrence_id: &ZonedDateTime) -> Self {
        // A date names the occurrence of that day.
        let date = recurrence_id.date(&series.start.zone);
        let (was, from) = if recurrence_id.all_day() || series.start.all_day() {
            let time = if series.start.all_day() { Time::midnight() } else { series.start.civil.time() };
            (date.to_datetime(time), series.start.at(date.to_datetime(Time::midnight())))
        } else {
            let was = recurrence_id.on_clock_of(&series.start);
            (was, series.start.at(was))
        };
        // Where whole days become times of a day, the hour counts, too.
        let start = &event.start;
        let now = if start.all_day() { start.civil } else { series.start.zone.to_datetime(start.instant()) };
        let shift = now.duration_since(was);
        Self { from, shift, length: event.length, busy: event.busy }
    }
}

/// The overrides of this and future occurrences of a series, earliest first.
pub(super) struct FutureOverrides(Vec<FutureOverride>);

impl FutureOverrides {
    /// The override that applies to an occurrence: the last one before it; of two at the same instant, the file's last.
    pub(super) fn at(&self, start: Timestamp) -> Option<&FutureOverride> {
        self.0[..self.0.partition_point(|future_override| future_override.from <= start)].last()
    }

    /// Whether an override is busy.
    pub(super) fn any_busy(&self) -> bool {
        self.0.iter().any(|future_override| future_override.busy)
    }

    /// The longest time by which an override moves occurrences earlier.
    pub(super) fn max_advance(&self) -> SignedDuration {
        self.0.iter().map(|future_override| -future_override.shift).max().unwrap_or_default().max(SignedDuration::ZERO)
    }
}
