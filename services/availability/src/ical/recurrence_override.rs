//! What stands in place of occurrences of a series: of one alone, or of one and all that follow it.

use std::collections::{BTreeSet, HashMap};

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time},
};

use super::{
    Wrong,
    date_time::Moment,
    event::{Event, Length},
    rule::Rule,
};

/// The most events in one file that stand for all that follow.
const TURNS_MAX: usize = 100;

/// The events of a file that stand in place of occurrences, by the UID of their series.
pub(super) struct Replacements<'a>(HashMap<&'a str, Vec<(&'a Event, &'a Moment)>>);

/// Takes out the events that say of all that follow more than where and how long it is: another rule would be guessed at.
/// One that repeats its series' rule says nothing by it.
pub(super) fn without_rules_of_their_own(events: Vec<Event>) -> (Vec<Event>, Vec<Wrong>) {
    let mut of_series: HashMap<String, Vec<Vec<Rule>>> = HashMap::new();
    for event in events.iter().filter(|event| event.replaces.is_none() && !event.rules.is_empty()) {
        let rules = of_series.entry(event.uid.clone()).or_default();
        if !rules.contains(&event.rules) {
            rules.push(event.rules.clone());
        }
    }
    let understood = |event: &Event| {
        let repeated = of_series.get(&event.uid).is_some_and(|rules| rules.contains(&event.rules));
        let plain = event.more.is_empty() && event.except.is_empty() && event.except_rules.is_empty();
        plain && (event.rules.is_empty() || repeated)
    };
    let (kept, odd): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| !event.goes_on || understood(event));
    let detail = "an event with RANGE=THISANDFUTURE follows its series and has no RRULE, RDATE or EXDATE of its own; \
        export the series as two";
    (kept, odd.into_iter().map(|event| Wrong::new(event.line, "unsupported", detail)).collect())
}

impl<'a> Replacements<'a> {
    pub(super) fn of(events: &'a [Event]) -> Result<Self, Wrong> {
        if let Some(event) = events.iter().filter(|event| event.goes_on).nth(TURNS_MAX) {
            let detail = format!("at most {TURNS_MAX} events with RANGE=THISANDFUTURE; export fewer months");
            return Err(Wrong::new(event.line, "too_many", detail));
        }
        let mut replaced: HashMap<&str, Vec<_>> = HashMap::new();
        for event in events {
            if let Some(moment) = &event.replaces {
                replaced.entry(&event.uid).or_default().push((event, moment));
            }
        }
        Ok(Self(replaced))
    }

    /// How many there are of a series.
    pub(super) fn count(&self, series: &Event) -> usize {
        self.of_series(series).len()
    }

    /// Those of a series.
    fn of_series(&self, series: &Event) -> &[(&'a Event, &'a Moment)] {
        match series.replaces {
            Some(_) => &[],
            None => self.0.get(series.uid.as_str()).map_or(&[][..], Vec::as_slice),
        }
    }

    /// Whether an event that stands for all that follow gives way, for its own occurrence, to one of that alone.
    pub(super) fn gives_way(&self, event: &Event) -> bool {
        let Some(own) = event.replaces.as_ref().filter(|_| event.goes_on) else { return false };
        let of_series = self.0.get(event.uid.as_str()).map_or(&[][..], Vec::as_slice);
        of_series.iter().any(|(other, moment)| !other.goes_on && moment.instant() == own.instant())
    }

    /// The occurrences of a series that do not take place, or not as the series has them.
    pub(super) fn gone(&self, series: &Event) -> Gone {
        let replaced = self.of_series(series).iter().map(|(_, moment)| *moment);
        Gone::new(&series.start, series.except.iter().chain(replaced))
    }

    /// How a series goes on, by the instants from which it does.
    pub(super) fn turns(&self, series: &Event) -> Turns {
        let turns = self.of_series(series).iter().filter(|(event, _)| event.goes_on);
        let mut turns: Vec<Turn> = turns.map(|(event, moment)| Turn::new(series, event, moment)).collect();
        turns.sort_by_key(|turn| turn.from);
        Turns(turns)
    }
}

/// Occurrences that do not take place: by instant, or by date where the file names dates.
pub(super) struct Gone {
    instants: BTreeSet<Timestamp>,
    dates: BTreeSet<Date>,
}

impl Gone {
    fn new<'a>(series: &Moment, moments: impl Iterator<Item = &'a Moment>) -> Self {
        let mut gone = Self { instants: BTreeSet::new(), dates: BTreeSet::new() };
        for moment in moments {
            if series.all_day() || moment.all_day() {
                gone.dates.insert(moment.date(&series.zone));
            } else {
                gone.instants.insert(series.at(moment.on_clock_of(series)));
            }
        }
        gone
    }

    pub(super) fn has(&self, instant: Timestamp, civil: DateTime) -> bool {
        self.instants.contains(&instant) || self.dates.contains(&civil.date())
    }
}

/// How a series goes on from one of its occurrences (RFC 5545, 3.8.4.4).
pub(super) struct Turn {
    /// Counts for what the series has from here on, before anything is moved.
    from: Timestamp,
    /// On the wall clock of the series, so that it keeps its new hour across clock changes.
    pub(super) shift: SignedDuration,
    pub(super) length: Length,
    pub(super) busy: bool,
}

impl Turn {
    fn new(series: &Event, event: &Event, replaces: &Moment) -> Self {
        // A date alone stands for the occurrence of that day.
        let date = replaces.date(&series.start.zone);
        let (was, from) = if replaces.all_day() || series.start.all_day() {
            let time = if series.start.all_day() { Time::midnight() } else { series.start.civil.time() };
            (date.to_datetime(time), series.start.at(date.to_datetime(Time::midnight())))
        } else {
            let was = replaces.on_clock_of(&series.start);
            (was, series.start.at(was))
        };
        // Where whole days go on as times of a day, their hour counts too.
        let start = &event.start;
        let now = if start.all_day() { start.civil } else { series.start.zone.to_datetime(start.instant()) };
        let shift = now.duration_since(was);
        Self { from, shift, length: event.length, busy: event.busy }
    }
}

/// The turns of a series, earliest first.
pub(super) struct Turns(Vec<Turn>);

impl Turns {
    /// The turn that counts for an occurrence: the last one before it, and of two at once the last of the file.
    pub(super) fn at(&self, start: Timestamp) -> Option<&Turn> {
        self.0[..self.0.partition_point(|turn| turn.from <= start)].last()
    }

    /// Whether one of them makes busy.
    pub(super) fn any_busy(&self) -> bool {
        self.0.iter().any(|turn| turn.busy)
    }

    /// How much earlier occurrences take place than the series has them, at most.
    pub(super) fn earlier(&self) -> SignedDuration {
        self.0.iter().map(|turn| -turn.shift).max().unwrap_or_default().max(SignedDuration::ZERO)
    }
}
