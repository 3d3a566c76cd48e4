//! One event: when it is, how it repeats, and whether it makes its owner busy.

use jiff::{
    SignedDuration, Timestamp,
    civil::{DateTime, Time},
    tz::Offset,
};

use super::{
    Wrong,
    date_time::{Moment, Value, Zones, duration},
    lines::{Component, Property},
    rule::Rule,
};

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

    fn one_day() -> Self {
        Self { civil: SignedDuration::from_hours(24), ..Self::default() }
    }

    /// That of a DURATION; `None` where it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        duration(text).map(|(civil, exact)| Self { civil, exact })
    }
}

/// An event as the file has it.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) line: usize,
    pub(super) uid: String,
    /// Which version of it this is; 0 where it does not say.
    pub(super) sequence: i64,
    pub(super) start: Moment,
    pub(super) length: Length,
    pub(super) rules: Vec<Rule>,
    /// By which occurrences are left out: EXRULE, of RFC 2445.
    pub(super) except_rules: Vec<Rule>,
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
    /// Reads an event; `None` where it makes nobody busy and stands for an occurrence that cannot be read.
    pub(super) fn read(component: &Component, zones: &Zones<'_>) -> Result<Option<Self>, Wrong> {
        let busy = is_busy(component);
        let reader = Reader { component, zones };
        match reader.event(busy) {
            Ok(event) => Ok(Some(event)),
            Err(_) if !busy => Ok(reader.gone()),
            Err(wrong) if wrong.line == 0 => Err(Wrong { line: component.line, ..wrong }),
            Err(wrong) => Err(wrong),
        }
    }
}

fn is_busy(component: &Component) -> bool {
    !component.says("TRANSP", "TRANSPARENT") && !component.says("STATUS", "CANCELLED")
}

/// Whether its RECURRENCE-ID stands for all that follow, too.
fn goes_on(component: &Component) -> bool {
    let range = component.first("RECURRENCE-ID").and_then(|property| property.parameter("RANGE"));
    range.is_some_and(|range| range.trim().eq_ignore_ascii_case("THISANDFUTURE"))
}

fn unreadable(property: &Property) -> Wrong {
    Wrong::new(0, "invalid_value", format!("{} of this event cannot be read; see RFC 5545", property.name))
}

struct Reader<'a> {
    component: &'a Component,
    zones: &'a Zones<'a>,
}

impl Reader<'_> {
    fn event(&self, busy: bool) -> Result<Event, Wrong> {
        let start = self.one("DTSTART", None)?.ok_or_else(|| Wrong::new(0, "missing", "this event has no DTSTART"))?;
        let replaces = self.replaces(Some(&start))?;
        let goes_on = goes_on(self.component);
        // An occurrence of its own does not repeat: programs copy the rule of the series into it.
        let repeats = replaces.is_none() || goes_on;
        let (mut more, mut except) = (vec![], vec![]);
        for property in self.component.all("RDATE").filter(|_| repeats) {
            let texts = property.value.split(',').filter(|text| !text.trim().is_empty());
            more.extend(texts.map(|text| self.addition(property, text, &start)).collect::<Result<Vec<_>, _>>()?);
        }
        for property in self.component.all("EXDATE").filter(|_| repeats) {
            for text in property.value.split(',').filter(|text| !text.trim().is_empty()) {
                except.push(self.zones.moment(property, text, Some(&start))?);
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
            more,
            except,
            replaces,
            goes_on,
            busy,
            start,
        })
    }

    /// What is left of an event that makes nobody busy: that an occurrence does not take place, or that an older version
    /// does not count. It never takes place itself, so that its start says nothing.
    fn gone(&self) -> Option<Event> {
        let replaces = self.replaces(None).ok()?;
        let never = Moment::at_offset(DateTime::constant(1970, 1, 1, 0, 0, 0, 0), Offset::UTC);
        Some(Event {
            line: self.component.line,
            uid: self.uid(),
            sequence: self.sequence(),
            start: replaces.clone().unwrap_or(never),
            length: Length::default(),
            rules: vec![],
            except_rules: vec![],
            more: vec![],
            except: vec![],
            goes_on: replaces.is_some() && goes_on(self.component),
            replaces,
            busy: false,
        })
    }

    fn uid(&self) -> String {
        self.component.text("UID").unwrap_or_default()
    }

    fn sequence(&self) -> i64 {
        self.component.first("SEQUENCE").and_then(|property| property.value.parse().ok()).unwrap_or(0)
    }

    /// The occurrence that it stands for; one without a zone is meant on the clock of its series.
    fn replaces(&self, clock: Option<&Moment>) -> Result<Option<Moment>, Wrong> {
        let Some(property) = self.component.first("RECURRENCE-ID") else { return Ok(None) };
        // RFC 2445 had it, and the event would stand for one occurrence alone.
        let range = property.parameter("RANGE").unwrap_or_default();
        if range.trim().eq_ignore_ascii_case("THISANDPRIOR") {
            let detail = "RANGE=THISANDPRIOR is not read; export the series as two events";
            return Err(Wrong::new(property.line, "unsupported", detail));
        }
        self.one("RECURRENCE-ID", clock)
    }

    fn one(&self, name: &str, clock: Option<&Moment>) -> Result<Option<Moment>, Wrong> {
        let property = self.component.first(name);
        property.map(|property| self.zones.moment(property, &property.value, clock)).transpose()
    }

    fn length(&self, start: &Moment) -> Result<Length, Wrong> {
        if let Some(end) = self.one("DTEND", Some(start))? {
            if end.instant() < start.instant() {
                return Err(Wrong::new(0, "ends_before_start", "DTEND of this event is before its DTSTART"));
            }
            // A day that ends on itself is that day: RFC 5545 has no such end, and programs write it.
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

    fn rules(&self, name: &str, start: &Moment) -> Result<Vec<Rule>, Wrong> {
        let read = |property| Rule::read(property, |until| self.until(property, until, start));
        self.component.all(name).map(read).collect()
    }

    /// The rule's end on the wall clock of its start; a date counts to its end.
    fn until(&self, property: &Property, until: Value, start: &Moment) -> Result<DateTime, Wrong> {
        let (civil, all_day) = until.civil().ok_or_else(|| unreadable(property))?;
        if all_day {
            return Ok(civil.date().to_datetime(Time::MAX));
        }
        let Some(offset) = until.offset else { return Ok(civil) };
        Ok(Moment::at_offset(civil, offset).on_clock_of(start))
    }

    fn addition(&self, property: &Property, text: &str, start: &Moment) -> Result<(Moment, Option<Length>), Wrong> {
        let Some((from, to)) = text.split_once('/') else {
            let moment = self.zones.moment(property, text, Some(start))?;
            return Ok((day_of(moment, start), None));
        };
        let from = self.zones.moment(property, from, Some(start))?;
        let length = match Length::read(to) {
            Some(length) => length,
            None => {
                let to = self.zones.moment(property, to, Some(start))?;
                if to.instant() < from.instant() {
                    return Err(Wrong::new(0, "ends_before_start", "a period of RDATE ends before it starts"));
                }
                Length::between(&from, &to)
            }
        };
        Ok((from, Some(length)))
    }
}

/// Of a series of whole days the midnights, too, are whole days.
fn day_of(moment: Moment, series: &Moment) -> Moment {
    let at_home = series.zone.to_datetime(moment.instant()).time();
    let midnight = moment.civil.time() == Time::midnight() || at_home == Time::midnight();
    if !series.all_day() || !midnight {
        return moment;
    }
    Moment { civil: moment.on_clock_of(series), ..series.clone() }
}
