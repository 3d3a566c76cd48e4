//! Busy times from an iCalendar file (RFC 5545). Pure.
//!
//! `lines` reads the frame and leaves out all that does not say when; `calcard` lays out recurrence rules on wall clocks
//! and knows Windows' names of zones; `jiff` alone turns wall clocks into instants, so that a series keeps its hour across
//! clock changes the way rosters do. Start reading at [`busy`].

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

/// The end of the UIDs of Meridian's own feeds; before it stand the appointment's id and, after an `@`, the
/// organisation's.
const OWN_DOMAIN: &str = "meridian-scheduling.org";

/// Something that cannot be read, and where. The file's own words are not repeated: they may name people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What it is in: `VEVENT`, `VFREEBUSY`, or `VCALENDAR` for the file's frame.
    pub(crate) component: &'static str,
    /// Where that begins.
    pub(crate) line: usize,
    pub(crate) code: &'static str,
    /// What is wrong, and how to mend it.
    pub(crate) detail: String,
}

impl Wrong {
    /// Something wrong in an event.
    fn new(line: usize, code: &'static str, detail: impl Into<String>) -> Self {
        Self { component: "VEVENT", line, code, detail: detail.into() }
    }

    /// The same in another component.
    fn of(self, component: &'static str) -> Self {
        Self { component, ..self }
    }

    /// The fault that the caller sees.
    fn note(&self, faults: &mut Faults) {
        faults.push("/calendar", self.code, format!("line {}: {}", self.line, self.detail));
    }
}

/// How a file is read.
pub(crate) struct Reading<'a> {
    /// The zone of all-day events and of times without a zone.
    pub(crate) home: Option<&'a TimeZone>,
    /// What lies outside it is left out.
    pub(crate) window: Interval,
    /// Whether what cannot be read is skipped.
    pub(crate) lenient: bool,
    /// The organisation whose own visits are left out, by its id.
    pub(crate) organization: &'a str,
}

/// What a file says.
#[derive(Debug)]
pub(crate) struct Read {
    /// Earliest first and apart.
    pub(crate) times: Vec<BusyTime>,
    /// What a lenient reader has left out, by its lines.
    pub(crate) skipped: Vec<Wrong>,
}

/// The busy times of a file within a window.
///
/// # Errors
/// Every fault found, each with the line of its event. A lenient reader refuses only a file that is none, and one that is
/// too large.
pub(crate) fn busy(text: &str, reading: &Reading<'_>) -> Result<Read, Faults> {
    let file = File::read(text, reading.lenient).map_err(|wrong| faults(&[wrong]))?;
    let mut wrongs = file.skipped;
    let zones = Zones::new(&file.zones, reading.home, reading.window);
    let events = events(&file.events, &zones, reading.organization, &mut wrongs);
    let mut left = free_busy::PERIODS_MAX;
    let listed: Vec<_> = file.lists.iter().flat_map(|list| free_busy::spans(list, &mut left, &mut wrongs)).collect();
    let (events, odd) = recurrence_override::without_rules_of_their_own(version::standing(events));
    wrongs.extend(odd);
    if !reading.lenient && !wrongs.is_empty() {
        return Err(faults(&wrongs));
    }
    let placed = series::spans(&events, reading.window, reading.lenient);
    let (mut spans, unending) = placed.map_err(|wrong| faults(&[wrong]))?;
    wrongs.extend(unending);
    spans.extend(listed);
    let mut spans: Vec<_> = spans.into_iter().filter_map(|span| within(reading.window, span)).collect();
    spans.sort_unstable();
    let times = apart(spans);
    if times.len() > Busy::TIMES_MAX {
        let mut faults = Faults::new();
        let detail = format!("more than {} busy times in the next 400 days; export fewer months", Busy::TIMES_MAX);
        faults.push("/calendar", "too_many", detail);
        return Err(faults);
    }
    wrongs.sort_by_key(|wrong| wrong.line);
    Ok(Read { times, skipped: wrongs })
}

/// The most faults that are listed.
pub(crate) const WRONGS_MAX: usize = 500;

fn faults(wrongs: &[Wrong]) -> Faults {
    let mut faults = Faults::new();
    wrongs.iter().take(WRONGS_MAX).for_each(|wrong| wrong.note(&mut faults));
    faults
}

fn events(components: &[Component], zones: &Zones<'_>, organization: &str, wrongs: &mut Vec<Wrong>) -> Vec<Event> {
    let mut events = Vec::new();
    for component in components.iter().filter(|component| !is_own(component, organization)) {
        match Event::read(component, zones) {
            Ok(event) => events.extend(event),
            Err(wrong) => wrongs.push(wrong),
        }
    }
    events
}

/// Whether an event is one of the organisation's own visits, read back from its feed. Those of another organisation make
/// busy: a practitioner may work for both.
fn is_own(component: &Component, organization: &str) -> bool {
    let Some(uid) = component.text("UID") else { return false };
    let Some((id, host)) = uid.trim().split_once('@') else { return false };
    let of_ours = host == OWN_DOMAIN || host.strip_suffix(OWN_DOMAIN) == Some(&format!("{organization}."));
    of_ours && id.starts_with("appt_")
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
