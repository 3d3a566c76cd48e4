//! One event: when it is, how it repeats, and whether it makes its owner busy.

use calcard::{
    common::PartialDateTime,
    icalendar::{
        ICalendarComponent, ICalendarDuration, ICalendarEntry, ICalendarFrequency, ICalendarParameterName,
        ICalendarPeriod, ICalendarProperty, ICalendarRecurrenceRule, ICalendarStatus, ICalendarTransparency,
        ICalendarValue,
    },
};
use jiff::{
    SignedDuration, Timestamp,
    civil::{DateTime, Time},
};

use super::{
    Wrong,
    moment::{self, Moment, Zones, name_of},
};

/// The most times of one day that a rule may name.
const TIMES_OF_A_DAY_MAX: usize = 24;

/// How long an occurrence lasts: first on the wall clock, then in elapsed time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Length {
    civil: SignedDuration,
    exact: SignedDuration,
}

impl Length {
    /// When what begins at this wall-clock time ends.
    pub(super) fn end(self, start: &Moment, civil: DateTime) -> Timestamp {
        let end = start.at(civil.saturating_add(self.civil));
        end.saturating_add(self.exact).unwrap_or(Timestamp::MAX)
    }

    /// When what begins at this instant ends, on a clock that never changes.
    pub(super) fn after(self, start: Timestamp) -> Timestamp {
        start.saturating_add(self.civil).and_then(|end| end.saturating_add(self.exact)).unwrap_or(Timestamp::MAX)
    }

    fn between(start: &Moment, end: &Moment) -> Self {
        if start.zone == end.zone {
            return Self { civil: end.civil.duration_since(start.civil), ..Self::default() };
        }
        Self { exact: end.instant().duration_since(start.instant()), ..Self::default() }
    }

    pub(super) fn of(duration: &ICalendarDuration) -> Self {
        let days = i64::from(duration.weeks) * 7 + i64::from(duration.days);
        let seconds = i64::from(duration.hours) * 3600 + i64::from(duration.minutes) * 60 + i64::from(duration.seconds);
        Self { civil: SignedDuration::from_hours(days * 24), exact: SignedDuration::from_secs(seconds) }
    }
}

/// An event as the file has it.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) line: usize,
    pub(super) uid: String,
    pub(super) start: Moment,
    pub(super) length: Length,
    pub(super) rule: Option<ICalendarRecurrenceRule>,
    /// The rule's last moment, where it names one.
    pub(super) until: Option<Moment>,
    pub(super) more: Vec<(Moment, Option<Length>)>,
    pub(super) except: Vec<Moment>,
    /// Which occurrence of its series it stands for.
    pub(super) replaces: Option<Moment>,
    /// Whether all occurrences that follow that one go with it.
    pub(super) goes_on: bool,
    /// Neither cancelled nor transparent.
    pub(super) busy: bool,
}

impl Event {
    pub(super) fn read(component: &ICalendarComponent, zones: &Zones<'_>, line: usize) -> Result<Self, Wrong> {
        let start = one(component, &ICalendarProperty::Dtstart, zones, line)?
            .ok_or_else(|| Wrong::new(line, "missing", "this event has no DTSTART"))?;
        let rule = rule(component, line)?;
        let mut event = Self {
            line,
            uid: uid(component),
            length: length(component, &start, zones, line)?,
            until: None,
            more: vec![],
            except: vec![],
            replaces: one(component, &ICalendarProperty::RecurrenceId, zones, line)?,
            goes_on: goes_on(component),
            busy: is_busy(component),
            start,
            rule: None,
        };
        if let Some((entry, rule)) = rule {
            event.until =
                rule.until.as_ref().map(|until| until_of(entry, until, &event.start, zones, line)).transpose()?;
            event.rule = Some(rule);
        }
        for entry in &component.entries {
            match &entry.name {
                ICalendarProperty::Rdate => event.more.extend(additions(entry, zones, line)?),
                ICalendarProperty::Exdate => {
                    for value in &entry.values {
                        event.except.push(moment_of(entry, value, zones, line)?);
                    }
                }
                _ => {}
            }
        }
        let own = event.rule.is_some() || !event.more.is_empty() || !event.except.is_empty();
        if event.goes_on && own {
            let detail = "an event with RANGE=THISANDFUTURE follows its series and has no RRULE, RDATE or EXDATE; \
                export the series as two";
            return Err(Wrong::new(line, "unsupported", detail));
        }
        Ok(event)
    }
}

fn first<'a>(component: &'a ICalendarComponent, name: &ICalendarProperty) -> Option<&'a ICalendarEntry> {
    component.entries.iter().find(|entry| entry.name == *name)
}

fn uid(component: &ICalendarComponent) -> String {
    match first(component, &ICalendarProperty::Uid).and_then(|entry| entry.values.first()) {
        Some(ICalendarValue::Text(uid)) => uid.clone(),
        _ => String::new(),
    }
}

fn is_busy(component: &ICalendarComponent) -> bool {
    component.entries.iter().flat_map(|entry| &entry.values).all(|value| {
        !matches!(
            value,
            ICalendarValue::Transparency(ICalendarTransparency::Transparent)
                | ICalendarValue::Status(ICalendarStatus::Cancelled)
        )
    })
}

/// Whether its RECURRENCE-ID has a RANGE: the parser knows the one that there is, THISANDFUTURE.
fn goes_on(component: &ICalendarComponent) -> bool {
    first(component, &ICalendarProperty::RecurrenceId)
        .is_some_and(|entry| entry.parameters(&ICalendarParameterName::Range).next().is_some())
}

fn unreadable(entry: &ICalendarEntry, line: usize) -> Wrong {
    Wrong::new(line, "invalid_value", format!("{} of this event cannot be read; see RFC 5545", name_of(entry)))
}

fn moment_of(entry: &ICalendarEntry, value: &ICalendarValue, zones: &Zones<'_>, line: usize) -> Result<Moment, Wrong> {
    match value {
        ICalendarValue::PartialDateTime(value) => zones.moment(entry, value, line),
        _ => Err(unreadable(entry, line)),
    }
}

fn one(
    component: &ICalendarComponent,
    name: &ICalendarProperty,
    zones: &Zones<'_>,
    line: usize,
) -> Result<Option<Moment>, Wrong> {
    let Some(entry) = first(component, name) else { return Ok(None) };
    let value = entry.values.first().ok_or_else(|| unreadable(entry, line))?;
    moment_of(entry, value, zones, line).map(Some)
}

fn length(component: &ICalendarComponent, start: &Moment, zones: &Zones<'_>, line: usize) -> Result<Length, Wrong> {
    if let Some(end) = one(component, &ICalendarProperty::Dtend, zones, line)? {
        if end.instant() < start.instant() {
            return Err(Wrong::new(line, "ends_before_start", "DTEND of this event is before its DTSTART"));
        }
        return Ok(Length::between(start, &end));
    }
    match first(component, &ICalendarProperty::Duration) {
        Some(entry) => match entry.values.first() {
            Some(ICalendarValue::Duration(duration)) if !duration.neg => Ok(Length::of(duration)),
            _ => Err(unreadable(entry, line)),
        },
        // RFC 5545, 3.6.1: a date alone lasts its day, a time alone no time at all.
        None if start.all_day => Ok(Length { civil: SignedDuration::from_hours(24), ..Length::default() }),
        None => Ok(Length::default()),
    }
}

fn rule(
    component: &ICalendarComponent,
    line: usize,
) -> Result<Option<(&ICalendarEntry, ICalendarRecurrenceRule)>, Wrong> {
    let Some(entry) = first(component, &ICalendarProperty::Rrule) else { return Ok(None) };
    let Some(ICalendarValue::RecurrenceRule(rule)) = entry.values.first() else { return Err(unreadable(entry, line)) };
    let often = [ICalendarFrequency::Secondly, ICalendarFrequency::Minutely, ICalendarFrequency::Hourly];
    if often.contains(&rule.freq) {
        let detail = "RRULE repeats more than daily, which is not read; write one longer event for each day";
        return Err(Wrong::new(line, "unsupported", detail));
    }
    let times = [&rule.byhour, &rule.byminute, &rule.bysecond].map(|list| list.len().max(1)).iter().product::<usize>();
    if times > TIMES_OF_A_DAY_MAX {
        let detail = format!("RRULE names {times} times a day; at most {TIMES_OF_A_DAY_MAX} are read");
        return Err(Wrong::new(line, "unsupported", detail));
    }
    Ok(Some((entry, rule.as_ref().clone())))
}

/// The rule's end on the wall clock of its start; a date counts to its end.
fn until_of(
    entry: &ICalendarEntry,
    until: &PartialDateTime,
    start: &Moment,
    zones: &Zones<'_>,
    line: usize,
) -> Result<Moment, Wrong> {
    if until.tz_hour.is_some() {
        let civil = start.zone.to_datetime(zones.moment(entry, until, line)?.instant());
        return Ok(Moment { civil, ..start.clone() });
    }
    let (civil, all_day) = moment::civil(until).ok_or_else(|| unreadable(entry, line))?;
    let civil = if all_day { civil.date().to_datetime(Time::MAX) } else { civil };
    Ok(Moment { civil, ..start.clone() })
}

fn additions(entry: &ICalendarEntry, zones: &Zones<'_>, line: usize) -> Result<Vec<(Moment, Option<Length>)>, Wrong> {
    let addition = |value: &ICalendarValue| match value {
        ICalendarValue::Period(ICalendarPeriod::Range { start, end }) => {
            let (start, end) = (zones.moment(entry, start, line)?, zones.moment(entry, end, line)?);
            let length = Length::between(&start, &end);
            Ok((start, Some(length)))
        }
        ICalendarValue::Period(ICalendarPeriod::Duration { start, duration }) => {
            Ok((zones.moment(entry, start, line)?, Some(Length::of(duration))))
        }
        other => Ok((moment_of(entry, other, zones, line)?, None)),
    };
    entry.values.iter().map(addition).collect()
}
