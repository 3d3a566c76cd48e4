//! Rules by which an event repeats: RRULE and EXRULE. `calcard` lays them out on a wall clock.

use calcard::{
    Entry, Parser,
    common::{PartialDateTime, timezone::Tz},
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarFrequency, ICalendarProperty,
        ICalendarRecurrenceRule, ICalendarValue,
    },
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{Wrong, date_time::Value, lines::Property};

/// The most times of one day that a rule may name.
const TIMES_OF_A_DAY_MAX: usize = 24;
/// The parts of a rule that are numbers, with the least and the most of each (RFC 5545, 3.3.10).
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
    /// Its last moment on the wall clock of what it repeats, where it names one.
    pub(super) until: Option<DateTime>,
}

impl Rule {
    /// Reads a rule; its end is put on the wall clock by `until`.
    pub(super) fn read(
        property: &Property,
        until: impl FnOnce(Value) -> Result<DateTime, Wrong>,
    ) -> Result<Self, Wrong> {
        let unreadable =
            || Wrong::new(0, "invalid_value", format!("{} of this event cannot be read; see RFC 5545", property.name));
        let (text, end) = checked(&property.value).map_err(|part| match part {
            Part::Wrong => unreadable(),
            Part::Unknown => {
                let detail =
                    format!("{} has a part that is not read; write it without or as two events", property.name);
                Wrong::new(0, "unsupported", detail)
            }
        })?;
        let rule = parsed(&text).ok_or_else(unreadable)?;
        let often = [ICalendarFrequency::Secondly, ICalendarFrequency::Minutely, ICalendarFrequency::Hourly];
        if often.contains(&rule.freq) {
            let detail = "RRULE repeats more than daily, which is not read; write one longer event for each day";
            return Err(Wrong::new(0, "unsupported", detail));
        }
        let times = [&rule.byhour, &rule.byminute, &rule.bysecond].map(|list| list.len().max(1));
        let times = times.iter().product::<usize>();
        if times > TIMES_OF_A_DAY_MAX {
            let detail = format!("RRULE names {times} times a day; at most {TIMES_OF_A_DAY_MAX} are read");
            return Err(Wrong::new(0, "unsupported", detail));
        }
        let until = end.map(|end| Value::read(&end).ok_or_else(unreadable).and_then(until)).transpose()?;
        Ok(Self { rule, until })
    }

    /// Whether it means the same day of each year, whichever year it begins in.
    pub(super) fn is_plainly_yearly(&self) -> bool {
        let one_by_one = self.rule.interval.unwrap_or(1) == 1 && self.rule.count.is_none();
        self.rule.freq == ICalendarFrequency::Yearly && one_by_one
    }

    /// The days of a step.
    pub(super) fn days_of_a_step(&self) -> i64 {
        match self.rule.freq {
            ICalendarFrequency::Yearly => 365,
            ICalendarFrequency::Monthly => 28,
            ICalendarFrequency::Weekly => 7,
            _ => 1,
        }
    }

    /// The wall-clock starts up to an end, at most so many. What the rule begins from is among them only where the rule
    /// has it.
    ///
    /// # Errors
    /// Where the rule contradicts itself.
    pub(super) fn starts(&self, begins: DateTime, end: DateTime, most: usize) -> Result<Vec<DateTime>, Wrong> {
        let until = self.until.map_or(end, |until| until.min(end));
        if until < begins {
            return Ok(vec![]);
        }
        let rule = ICalendarRecurrenceRule { until: Some(partial(until)), ..self.rule.clone() };
        let found = on_the_wall_clock(begins, rule).expand_dates(Tz::Floating, most);
        if !found.errors.is_empty() {
            return Err(Wrong::new(0, "invalid_value", "RRULE of this event contradicts itself; see RFC 5545"));
        }
        let civil = |seconds: i64| Timestamp::from_second(seconds).ok().map(|at| TimeZone::UTC.to_datetime(at));
        Ok(found.events.iter().filter_map(|one| civil(one.start.naive_local().and_utc().timestamp())).collect())
    }
}

enum Part {
    Wrong,
    Unknown,
}

/// The rule without its end, and its end. What would change which days are meant must be understood; what programs add of
/// their own (`X-…`) does not.
fn checked(text: &str) -> Result<(String, Option<String>), Part> {
    let (mut kept, mut end): (Vec<String>, _) = (Vec::new(), None);
    let mut seen: Vec<String> = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or(Part::Wrong)?;
        let (name, value) = (name.trim().to_ascii_uppercase(), value.trim());
        if seen.contains(&name) {
            return Err(Part::Wrong);
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
            let right = |text: &str| text.trim().parse::<i64>().is_ok_and(|number| (*least..=*most).contains(&number));
            value.split(',').all(right).then_some(()).ok_or(Part::Wrong)?;
        } else if !OTHERS.contains(&name.as_str()) {
            // RFC 7529's two parts, where they say what holds without them.
            let usual = [("RSCALE", "GREGORIAN"), ("SKIP", "OMIT")];
            let usual = usual.iter().any(|(own, usual)| *own == name && value.eq_ignore_ascii_case(usual));
            usual.then_some(()).ok_or(Part::Unknown)?;
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

/// A calendar of one series that knows no zone.
fn on_the_wall_clock(start: DateTime, rule: ICalendarRecurrenceRule) -> ICalendar {
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

/// A wall-clock time in the parser's form, without a zone.
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
