//! Recurrence rules: RRULE and EXRULE. `calcard` expands them on a wall clock.

use calcard::{
    Entry, Parser,
    common::{PartialDateTime, timezone::Tz},
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarFrequency, ICalendarProperty,
        ICalendarRecurrenceRule, ICalendarValue,
    },
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{ReadError, date_time::Value, lines::Property};

/// The most times of one day that a rule may name.
const TIMES_OF_A_DAY_MAX: usize = 24;
/// The numeric parts of a rule with their ranges (RFC 5545, 3.3.10).
const NUMBERS: [(&str, i64, i64); 10] = [
    ("COUNT", 1, i64::MAX),
    ("INTERVAL", 1, 65_535),
    ("BYSECOND", 0, 60),
    ("BYMINUTE", 0, 59),
    ("BYHOUR", 0, 23),
    ("BYMONTHDAY", -31, 31),
    ("BYYEARDAY", -366, 366),
    ("BYWEEKNO", -53, 53),
    ("BYMONTH", 1, 12),
    ("BYSETPOS", -366, 366),
];
const OTHERS: [&str; 3] = ["FREQ", "BYDAY", "WKST"];

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    rule: ICalendarRecurrenceRule,
    /// UNTIL, on the wall clock of the event.
    pub(super) until: Option<DateTime>,
}

impl Rule {
    /// Reads a rule; `until` puts its end on the wall clock.
    pub(super) fn read(
        property: &Property,
        until: impl FnOnce(Value) -> Result<DateTime, ReadError>,
    ) -> Result<Self, ReadError> {
        let unreadable = || {
            ReadError::new(0, "invalid_value", format!("{} of this event cannot be read; see RFC 5545", property.name))
        };
        let (text, end) = split_until(&property.value).map_err(|error| match error {
            PartError::Invalid => unreadable(),
            PartError::Unknown => {
                let detail =
                    format!("{} has a part that is not read; write it without or as two events", property.name);
                ReadError::new(0, "unsupported", detail)
            }
        })?;
        let rule = parsed(&text).ok_or_else(unreadable)?;
        let often = [ICalendarFrequency::Secondly, ICalendarFrequency::Minutely, ICalendarFrequency::Hourly];
        if often.contains(&rule.freq) {
            let detail = "RRULE repeats more than daily, which is not read; write one longer event for each day";
            return Err(ReadError::new(0, "unsupported", detail));
        }
        let times = [&rule.byhour, &rule.byminute, &rule.bysecond].map(|list| list.len().max(1));
        let times = times.iter().product::<usize>();
        if times > TIMES_OF_A_DAY_MAX {
            let detail = format!("RRULE names {times} times a day; at most {TIMES_OF_A_DAY_MAX} are read");
            return Err(ReadError::new(0, "unsupported", detail));
        }
        let until = end.map(|end| Value::read(&end).ok_or_else(unreadable).and_then(until)).transpose()?;
        Ok(Self { rule, until })
    }

    /// Whether its occurrences do not depend on the year in which it begins.
    pub(super) fn is_plainly_yearly(&self) -> bool {
        let one_by_one = self.rule.interval.unwrap_or(1) == 1 && self.rule.count.is_none();
        self.rule.freq == ICalendarFrequency::Yearly && one_by_one
    }

    /// The least days between two steps of its frequency.
    pub(super) fn step_days(&self) -> i64 {
        match self.rule.freq {
            ICalendarFrequency::Yearly => 365,
            ICalendarFrequency::Monthly => 28,
            ICalendarFrequency::Weekly => 7,
            _ => 1,
        }
    }

    /// The wall-clock starts up to an end, at most `max`. The first start is among them only where the rule generates it.
    ///
    /// # Errors
    /// When the rule contradicts itself.
    pub(super) fn starts(&self, begins: DateTime, end: DateTime, max: usize) -> Result<Vec<DateTime>, ReadError> {
        let until = self.until.map_or(end, |until| until.min(end));
        if until < begins {
            return Ok(vec![]);
        }
        let rule = ICalendarRecurrenceRule { until: Some(partial(until)), ..self.rule.clone() };
        let found = floating_event(begins, rule).expand_dates(Tz::Floating, max);
        if !found.errors.is_empty() {
            return Err(ReadError::new(0, "invalid_value", "RRULE of this event contradicts itself; see RFC 5545"));
        }
        let civil = |seconds: i64| Timestamp::from_second(seconds).ok().map(|at| TimeZone::UTC.to_datetime(at));
        Ok(found.events.iter().filter_map(|event| civil(event.start.naive_local().and_utc().timestamp())).collect())
    }
}

/// The reason why a part of a rule is refused.
enum PartError {
    Invalid,
    Unknown,
}

/// Splits a rule into its other parts and UNTIL. Every part must be known, except the extensions of programs (`X-…`).
fn split_until(text: &str) -> Result<(String, Option<String>), PartError> {
    let (mut kept, mut end): (Vec<String>, _) = (Vec::new(), None);
    let mut seen: Vec<String> = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or(PartError::Invalid)?;
        let (name, value) = (name.trim().to_ascii_uppercase(), value.trim());
        if seen.contains(&name) {
            return Err(PartError::Invalid);
        }
        seen.push(name.clone());
        // Exchange writes COUNT=-1 for a series without an end; some programs leave lists empty.
        if name.starts_with("X-") || value.is_empty() || (name == "COUNT" && value.starts_with('-')) {
            continue;
        }
        if name == "UNTIL" {
            end = Some(value.to_owned());
            continue;
        }
        if let Some((_, least, most)) = NUMBERS.iter().find(|(own, ..)| *own == name) {
            let in_range =
                |text: &str| text.trim().parse::<i64>().is_ok_and(|number| (*least..=*most).contains(&number));
            value.split(',').all(in_range).then_some(()).ok_or(PartError::Invalid)?;
        } else if !OTHERS.contains(&name.as_str()) {
            // The two parts of RFC 7529, with their defaults.
            let defaults = [("RSCALE", "GREGORIAN"), ("SKIP", "OMIT")];
            let is_default = defaults.iter().any(|(own, default)| *own == name && value.eq_ignore_ascii_case(default));
            is_default.then_some(()).ok_or(PartError::Unknown)?;
            continue;
        }
        kept.push(format!("{name}={value}"));
    }
    Ok((kept.join(";"), end))
}

fn parsed(text: &str) -> Option<ICalendarRecurrenceRule> {
    let file = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nRRULE:{text}\nEND:VEVENT\nEND:VCALENDAR\n");
    let Entry::ICalendar(calendar) = Parser::new(&file).entry() else { return None };
    let entries = calendar.components.into_iter().flat_map(|component| component.entries);
    entries.flat_map(|entry| entry.values).find_map(|value| match value {
        ICalendarValue::RecurrenceRule(rule) => Some(*rule),
        _ => None,
    })
}

/// A calendar of one series without a zone.
fn floating_event(start: DateTime, rule: ICalendarRecurrenceRule) -> ICalendar {
    let entry = |name, value| ICalendarEntry { name, params: vec![], values: vec![value] };
    let event = ICalendarComponent {
        component_type: ICalendarComponentType::VEvent,
        entries: vec![
            entry(ICalendarProperty::Dtstart, ICalendarValue::PartialDateTime(Box::new(partial(start)))),
            entry(ICalendarProperty::Rrule, ICalendarValue::RecurrenceRule(Box::new(rule))),
        ],
        component_ids: vec![],
    };
    ICalendar { components: vec![event] }
}

/// A wall-clock time in calcard's form, without a zone.
fn partial(civil: DateTime) -> PartialDateTime {
    let small = |number: i8| u8::try_from(number).ok();
    PartialDateTime {
        year: u16::try_from(civil.year()).ok(),
        month: small(civil.month()),
        day: small(civil.day()),
        hour: small(civil.hour()),
        minute: small(civil.minute()),
        second: small(civil.second()),
        ..PartialDateTime::default()
    }
}
