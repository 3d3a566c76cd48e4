//! Busy times from an iCalendar file (RFC 5545). Pure.
//!
//! `calcard` reads the lines and lays out recurrence rules on wall clocks; `jiff` alone turns wall clocks into
//! instants, so that a series keeps its hour across clock changes the way rosters do. Start reading at [`busy`].

mod event;
mod free_busy;
mod lines;
mod moment;
mod series;
mod turn;
mod zone;

#[cfg(test)]
mod tests;

use calcard::{
    Entry, Parser,
    icalendar::{ICalendar, ICalendarComponentType},
};
use domain::{
    directory::{Busy, BusyTime},
    fault::Faults,
    time::Interval,
};
use jiff::{Timestamp, tz::TimeZone};

use self::{event::Event, lines::List, moment::Zones};

/// Something that cannot be read, and where.
#[derive(Debug)]
struct Wrong {
    line: usize,
    code: &'static str,
    detail: String,
}

impl Wrong {
    fn new(line: usize, code: &'static str, detail: impl Into<String>) -> Self {
        Self { line, code, detail: detail.into() }
    }

    /// The fault that the caller sees. The file's own words are not repeated: they may name people.
    fn note(self, faults: &mut Faults) {
        faults.push("/calendar", self.code, format!("line {}: {}", self.line, self.detail));
    }
}

/// The busy times of a file within a window, earliest first and apart.
///
/// `home` is the zone of all-day events and of times without a zone.
///
/// # Errors
/// Every fault found, each with the line of its event.
pub(crate) fn busy(text: &str, home: Option<&TimeZone>, window: Interval) -> Result<Vec<BusyTime>, Faults> {
    let mut faults = Faults::new();
    let lines = lines::lines(text).map_err(|wrong| noted(wrong, Faults::new()))?;
    let calendar = match Parser::new(text).entry() {
        Entry::ICalendar(calendar) => calendar,
        _ => return Err(noted(Wrong::new(1, "not_a_calendar", "begin with BEGIN:VCALENDAR"), faults)),
    };
    let events = events(&calendar, &lines.events, home, &mut faults);
    let listed = listed(&calendar, &lines.lists, &mut faults);
    faults.result()?;
    let mut faults = Faults::new();
    let mut spans = series::spans(&events, window).map_err(|wrong| noted(wrong, Faults::new()))?;
    spans.extend(listed);
    let mut spans: Vec<_> = spans.into_iter().filter_map(|span| within(window, span)).collect();
    spans.sort_unstable();
    let times = apart(spans);
    let detail = format!("more than {} busy times in the next 400 days; import fewer calendars", Busy::TIMES_MAX);
    faults.check(times.len() <= Busy::TIMES_MAX, "/calendar", "too_many", detail);
    faults.result().map(|()| times)
}

fn noted(wrong: Wrong, mut faults: Faults) -> Faults {
    wrong.note(&mut faults);
    faults
}

fn events(calendar: &ICalendar, begins: &[usize], home: Option<&TimeZone>, faults: &mut Faults) -> Vec<Event> {
    let zones = Zones::new(calendar, home);
    let of_events = calendar.components.iter().filter(|one| one.component_type == ICalendarComponentType::VEvent);
    let mut events = Vec::new();
    for (component, line) in of_events.zip(begins) {
        match Event::read(component, &zones, *line) {
            Ok(event) => events.push(event),
            Err(wrong) => wrong.note(faults),
        }
    }
    events
}

/// What the calendar lists as busy without saying why.
fn listed(calendar: &ICalendar, lists: &[List], faults: &mut Faults) -> Vec<(Timestamp, Timestamp)> {
    let components = calendar.components.iter().filter(|one| one.component_type == ICalendarComponentType::VFreebusy);
    let mut left = free_busy::PERIODS_MAX;
    components.zip(lists).flat_map(|(component, list)| free_busy::spans(component, list, &mut left, faults)).collect()
}

/// What of a stretch is in the window; nothing of one that takes no time.
fn within(window: Interval, (start, end): (Timestamp, Timestamp)) -> Option<(Timestamp, Timestamp)> {
    let touches = start < end && start < window.end() && end > window.start();
    touches.then(|| (start.max(window.start()), end.min(window.end())))
}

/// The same time as stretches that do not touch.
fn apart(sorted: Vec<(Timestamp, Timestamp)>) -> Vec<BusyTime> {
    let mut times: Vec<BusyTime> = Vec::new();
    for (starts_at, ends_at) in sorted {
        match times.last_mut() {
            Some(last) if starts_at <= last.ends_at => last.ends_at = last.ends_at.max(ends_at),
            _ => times.push(BusyTime { starts_at, ends_at }),
        }
    }
    times
}
