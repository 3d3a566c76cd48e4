//! One event: its time, its recurrence, and whether its owner is busy.

use jiff::{
    SignedDuration, Timestamp,
    civil::{DateTime, Time},
    tz::Offset,
};

use super::{
    ReadError,
    date_time::{Value, ZonedDateTime, Zones, duration},
    lines::{Component, Property},
    rule::Rule,
};

/// The length of an occurrence: a part on the wall clock, and then a part in elapsed time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Length {
    civil: SignedDuration,
    exact: SignedDuration,
}

impl Length {
    /// The end of an occurrence that begins at this wall-clock time.
    pub(super) fn end(self, start: &ZonedDateTime, civil: DateTime) -> Timestamp {
        let end = start.at(civil.saturating_add(self.civil));
        end.saturating_add(self.exact).unwrap_or(Timestamp::MAX)
    }

    /// The end of an occurrence that begins at this instant, on a clock that never changes.
    pub(super) fn after(self, start: Timestamp) -> Timestamp {
        start.saturating_add(self.civil).and_then(|end| end.saturating_add(self.exact)).unwrap_or(Timestamp::MAX)
    }

    fn between(start: &ZonedDateTime, end: &ZonedDateTime) -> Self {
        if start.zone == end.zone {
            return Self { civil: end.civil.duration_since(start.civil), ..Self::default() };
        }
        Self { exact: end.instant().duration_since(start.instant()), ..Self::default() }
    }

    fn one_day() -> Self {
        Self { civil: SignedDuration::from_hours(24), ..Self::default() }
    }

    /// Reads a DURATION; `None` for any other text.
    pub(super) fn read(text: &str) -> Option<Self> {
        duration(text).map(|(civil, exact)| Self { civil, exact })
    }
}

/// An event of the file.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) line: usize,
    pub(super) uid: String,
    /// SEQUENCE, the version of the event; 0 by default.
    pub(super) sequence: i64,
    pub(super) start: ZonedDateTime,
    pub(super) length: Length,
    pub(super) rules: Vec<Rule>,
    /// EXRULE of RFC 2445: rules of occurrences that are left out.
    pub(super) except_rules: Vec<Rule>,
    /// RDATE: further occurrences, each with its own length where it has one.
    pub(super) additions: Vec<(ZonedDateTime, Option<Length>)>,
    /// EXDATE: occurrences that are left out.
    pub(super) exceptions: Vec<ZonedDateTime>,
    /// RECURRENCE-ID: the occurrence of its series that this event overrides.
    pub(super) recurrence_id: Option<ZonedDateTime>,
    /// RANGE=THISANDFUTURE: whether it overrides all later occurrences, too.
    pub(super) this_and_future: bool,
    /// Whether the event is neither cancelled nor transparent.
    pub(super) busy: bool,
}

impl Event {
    /// Reads an event; `None` for a transparent or cancelled one that overrides an unreadable occurrence.
    pub(super) fn read(component: &Component, zones: &Zones<'_>) -> Result<Option<Self>, ReadError> {
        let busy = is_busy(component);
        let reader = Reader { component, zones };
        match reader.event(busy) {
            Ok(event) => Ok(Some(event)),
            Err(_) if !busy => Ok(reader.tombstone()),
            Err(error) if error.line == 0 => Err(ReadError { line: component.line, ..error }),
            Err(error) => Err(error),
        }
    }
}

fn is_busy(component: &Component) -> bool {
    !component.is("TRANSP", "TRANSPARENT") && !component.is("STATUS", "CANCELLED")
}

/// Whether its RECURRENCE-ID has RANGE=THISANDFUTURE.
fn this_and_future(component: &Component) -> bool {
    let range = component.first("RECURRENCE-ID").and_then(|property| property.parameter("RANGE"));
    range.is_some_and(|range| range.trim().eq_ignore_ascii_case("THISANDFUTURE"))
}

fn unreadable(property: &Property) -> ReadError {
    ReadError::new(0, "invalid_value", format!("{} of this event cannot be read; see RFC 5545", property.name))
}

struct Reader<'a> {
    component: &'a Component,
    zones: &'a Zones<'a>,
}

impl Reader<'_> {
    fn event(&self, busy: bool) -> Result<Event, ReadError> {
        let start =
            self.one("DTSTART", None)?.ok_or_else(|| ReadError::new(0, "missing", "this event has no DTSTART"))?;
        let recurrence_id = self.recurrence_id(Some(&start))?;
        let this_and_future = this_and_future(self.component);
        // An override of one occurrence does not repeat, though programs copy the series' rule into it.
        let repeats = recurrence_id.is_none() || this_and_future;
        let (mut additions, mut exceptions) = (vec![], vec![]);
        for property in self.component.all("RDATE").filter(|_| repeats) {
            let texts = property.value.split(',').filter(|text| !text.trim().is_empty());
            additions.extend(texts.map(|text| self.addition(property, text, &start)).collect::<Result<Vec<_>, _>>()?);
        }
        for property in self.component.all("EXDATE").filter(|_| repeats) {
            for text in property.value.split(',').filter(|text| !text.trim().is_empty()) {
                exceptions.push(self.zones.date_time(property, text, Some(&start))?);
            }
        }
        let rules = |name| if repeats { self.rules(name, &start) } else { Ok(vec![]) };
        Ok(Event {
            line: self.component.line,
            uid: self.uid(),
            sequence: self.sequence(),
            length: self.length(&start)?,
            rules: rules("RRULE")?,
            except_rules: rules("EXRULE")?,
            additions,
            exceptions,
            recurrence_id,
            this_and_future,
            busy,
            start,
        })
    }

    /// The remains of an unreadable event whose owner is not busy: it removes an occurrence, or an older version of itself.
    /// It never takes place, so its start does not matter.
    fn tombstone(&self) -> Option<Event> {
        let recurrence_id = self.recurrence_id(None).ok()?;
        let never = ZonedDateTime::at_offset(DateTime::constant(1970, 1, 1, 0, 0, 0, 0), Offset::UTC);
        Some(Event {
            line: self.component.line,
            uid: self.uid(),
            sequence: self.sequence(),
            start: recurrence_id.clone().unwrap_or(never),
            length: Length::default(),
            rules: vec![],
            except_rules: vec![],
            additions: vec![],
            exceptions: vec![],
            this_and_future: recurrence_id.is_some() && this_and_future(self.component),
            recurrence_id,
            busy: false,
        })
    }

    fn uid(&self) -> String {
        self.component.text("UID").unwrap_or_default()
    }

    fn sequence(&self) -> i64 {
        self.component.first("SEQUENCE").and_then(|property| property.value.parse().ok()).unwrap_or(0)
    }

    /// The occurrence that the event overrides; one without a zone is on the clock of the event.
    fn recurrence_id(&self, clock: Option<&ZonedDateTime>) -> Result<Option<ZonedDateTime>, ReadError> {
        let Some(property) = self.component.first("RECURRENCE-ID") else { return Ok(None) };
        // RFC 2445's range would otherwise be taken for a single occurrence.
        let range = property.parameter("RANGE").unwrap_or_default();
        if range.trim().eq_ignore_ascii_case("THISANDPRIOR") {
            let detail = "RANGE=THISANDPRIOR is not read; export the series as two events";
            return Err(ReadError::new(property.line, "unsupported", detail));
        }
        self.one("RECURRENCE-ID", clock)
    }

    fn one(&self, name: &str, clock: Option<&ZonedDateTime>) -> Result<Option<ZonedDateTime>, ReadError> {
        let property = self.component.first(name);
        property.map(|property| self.zones.date_time(property, &property.value, clock)).transpose()
    }

    fn length(&self, start: &ZonedDateTime) -> Result<Length, ReadError> {
        if let Some(end) = self.one("DTEND", Some(start))? {
            if end.instant() < start.instant() {
                return Err(ReadError::new(0, "ends_before_start", "DTEND of this event is before its DTSTART"));
            }
            // A whole day that ends on its own date is that day: RFC 5545 excludes this, but programs write it.
            let same_day = start.all_day() && end.all_day() && start.civil == end.civil;
            return Ok(if same_day { Length::one_day() } else { Length::between(start, &end) });
        }
        match self.component.first("DURATION") {
            Some(property) => Length::read(&property.value).ok_or_else(|| unreadable(property)),
            // RFC 5545, 3.6.1: a date alone lasts its day, a time alone no time at all.
            None if start.all_day() => Ok(Length::one_day()),
            None => Ok(Length::default()),
        }
    }

    fn rules(&self, name: &str, start: &ZonedDateTime) -> Result<Vec<Rule>, ReadError> {
        let read = |property| Rule::read(property, |until| self.until(property, until, start));
        self.component.all(name).map(read).collect()
    }

    /// UNTIL on the wall clock of the event's start; a date includes its whole day.
    fn until(&self, property: &Property, until: Value, start: &ZonedDateTime) -> Result<DateTime, ReadError> {
        let (civil, all_day) = until.civil().ok_or_else(|| unreadable(property))?;
        if all_day {
            return Ok(civil.date().to_datetime(Time::MAX));
        }
        let Some(offset) = until.offset else { return Ok(civil) };
        Ok(ZonedDateTime::at_offset(civil, offset).on_clock_of(start))
    }

    fn addition(
        &self,
        property: &Property,
        text: &str,
        start: &ZonedDateTime,
    ) -> Result<(ZonedDateTime, Option<Length>), ReadError> {
        let Some((from, to)) = text.split_once('/') else {
            let date_time = self.zones.date_time(property, text, Some(start))?;
            return Ok((whole_day(date_time, start), None));
        };
        let from = self.zones.date_time(property, from, Some(start))?;
        let length = match Length::read(to) {
            Some(length) => length,
            None => {
                let to = self.zones.date_time(property, to, Some(start))?;
                if to.instant() < from.instant() {
                    return Err(ReadError::new(0, "ends_before_start", "a period of RDATE ends before it starts"));
                }
                Length::between(&from, &to)
            }
        };
        Ok((from, Some(length)))
    }
}

/// In a series of whole days, a midnight stands for its whole day.
fn whole_day(date_time: ZonedDateTime, series: &ZonedDateTime) -> ZonedDateTime {
    let at_home = series.zone.to_datetime(date_time.instant()).time();
    let midnight = date_time.civil.time() == Time::midnight() || at_home == Time::midnight();
    if !series.all_day() || !midnight {
        return date_time;
    }
    ZonedDateTime { civil: date_time.on_clock_of(series), ..series.clone() }
}
