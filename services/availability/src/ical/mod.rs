//! Busy times from an iCalendar file (RFC 5545). Pure.
//!
//! `lines` reads the components and keeps only the properties of times; `calcard` expands recurrence rules on wall clocks
//! and knows Windows' zone names; `jiff` alone turns wall clocks into instants, so that a series keeps its hour across
//! clock changes as rosters do. Start reading at [`read_busy_times`].

mod date_time;
mod event;
mod free_busy;
mod lines;
mod recurrence_override;
mod rule;
mod series;
mod version;
mod vtimezone;
mod zone_name;

#[cfg(test)]
mod tests;

use domain::{
    directory::{Busy, BusyTime},
    fault::Faults,
    time::Interval,
};
use jiff::{Timestamp, tz::TimeZone};

use self::{
    date_time::Zones,
    event::Event,
    lines::{Component, File},
};

/// The domain of the UIDs in Meridian's own feeds: `<appointment id>@<organisation id>.<domain>`.
const OWN_DOMAIN: &str = "meridian-scheduling.org";

/// A part of the file that cannot be read. It never repeats the file's own words, which may name people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadError {
    /// The component: `VEVENT`, `VFREEBUSY`, or `VCALENDAR` for the file's structure.
    pub(crate) component: &'static str,
    /// The line at which the component begins, from 1.
    pub(crate) line: usize,
    pub(crate) code: &'static str,
    /// The problem and its remedy, for people.
    pub(crate) detail: String,
}

impl ReadError {
    /// An error in an event.
    fn new(line: usize, code: &'static str, detail: impl Into<String>) -> Self {
        Self { component: "VEVENT", line, code, detail: detail.into() }
    }

    /// The same error in another component.
    fn of(self, component: &'static str) -> Self {
        Self { component, ..self }
    }

    /// Adds the error to the faults of a request.
    fn add_to(&self, faults: &mut Faults) {
        faults.push("/calendar", self.code, format!("line {}: {}", self.line, self.detail));
    }
}

/// The options of reading a file.
pub(crate) struct ReadOptions<'a> {
    /// The zone of all-day events and of times without a zone.
    pub(crate) home: Option<&'a TimeZone>,
    /// Times outside the window are left out.
    pub(crate) window: Interval,
    /// Whether unreadable parts are skipped.
    pub(crate) lenient: bool,
    /// The id of the organisation whose own appointments are left out.
    pub(crate) organization: &'a str,
}

/// The busy times of a file.
#[derive(Debug)]
pub(crate) struct BusyTimes {
    /// Sorted and disjoint.
    pub(crate) times: Vec<BusyTime>,
    /// The parts that a lenient reader skipped, sorted by line.
    pub(crate) skipped: Vec<ReadError>,
}

/// Reads the busy times of a file within a window.
///
/// # Errors
/// Every unreadable part, each with the line of its event. A lenient reader refuses only a text that is no calendar, and a
/// file beyond a limit.
pub(crate) fn read_busy_times(text: &str, options: &ReadOptions<'_>) -> Result<BusyTimes, Faults> {
    let file = File::read(text, options.lenient).map_err(|error| faults(&[error]))?;
    let mut errors = file.skipped;
    let zones = Zones::new(&file.zones, options.home, options.window);
    let events = events(&file.events, &zones, options.organization, &mut errors);
    let mut left = free_busy::PERIODS_MAX;
    let listed: Vec<_> =
        file.free_busy.iter().flat_map(|list| free_busy::spans(list, &mut left, &mut errors)).collect();
    let (events, unsupported) = recurrence_override::split_unsupported(version::latest(events));
    errors.extend(unsupported);
    if !options.lenient && !errors.is_empty() {
        return Err(faults(&errors));
    }
    let expanded = series::spans(&events, options.window, options.lenient);
    let (mut spans, skipped) = expanded.map_err(|error| faults(&[error]))?;
    errors.extend(skipped);
    spans.extend(listed);
    let mut spans: Vec<_> = spans.into_iter().filter_map(|span| clip(options.window, span)).collect();
    spans.sort_unstable();
    let times = merged(spans);
    if times.len() > Busy::TIMES_MAX {
        let mut faults = Faults::new();
        let detail = format!("more than {} busy times in the next 400 days; export fewer months", Busy::TIMES_MAX);
        faults.push("/calendar", "too_many", detail);
        return Err(faults);
    }
    errors.sort_by_key(|error| error.line);
    Ok(BusyTimes { times, skipped: errors })
}

/// The most errors that are reported.
pub(crate) const ERRORS_MAX: usize = 500;

fn faults(errors: &[ReadError]) -> Faults {
    let mut faults = Faults::new();
    errors.iter().take(ERRORS_MAX).for_each(|error| error.add_to(&mut faults));
    faults
}

fn events(components: &[Component], zones: &Zones<'_>, organization: &str, errors: &mut Vec<ReadError>) -> Vec<Event> {
    let mut events = Vec::new();
    for component in components.iter().filter(|component| !is_own(component, organization)) {
        match Event::read(component, zones) {
            Ok(event) => events.extend(event),
            Err(error) => errors.push(error),
        }
    }
    events
}

/// Whether an event is one of the organisation's own appointments, read back from its feed. Appointments of another
/// organisation count as busy: a practitioner may work for both.
fn is_own(component: &Component, organization: &str) -> bool {
    let Some(uid) = component.text("UID") else { return false };
    let Some((id, host)) = uid.trim().split_once('@') else { return false };
    let own_host = host == OWN_DOMAIN || host.strip_suffix(OWN_DOMAIN) == Some(&format!("{organization}."));
    own_host && id.starts_with("appt_")
}

/// The part of an interval in the window; `None` for an empty one.
fn clip(window: Interval, (start, end): (Timestamp, Timestamp)) -> Option<(Timestamp, Timestamp)> {
    let meets = start < end && start < window.end() && end > window.start();
    meets.then(|| (start.max(window.start()), end.min(window.end())))
}

/// The same time as disjoint intervals.
fn merged(sorted: Vec<(Timestamp, Timestamp)>) -> Vec<BusyTime> {
    let mut times: Vec<BusyTime> = Vec::new();
    for (starts_at, ends_at) in sorted {
        match times.last_mut() {
            Some(last) if starts_at <= last.ends_at => last.ends_at = last.ends_at.max(ends_at),
            _ => times.push(BusyTime { starts_at, ends_at }),
        }
    }
    times
}
