//! A zone that a file defines itself, for one whose name says nothing: programs write `Customized Time Zone` and the like.
//!
//! Its present rules are taken, as a POSIX rule: the last STANDARD and the last DAYLIGHT, each on a weekday of a month.

use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarFrequency, ICalendarProperty,
    ICalendarRecurrenceRule, ICalendarValue,
};
use jiff::{civil::DateTime, tz::TimeZone};

use super::moment::civil;

/// The zone that a VTIMEZONE of this name defines; `None` where there is none, or its rules are of another kind.
pub(super) fn defined(calendar: &ICalendar, name: &str) -> Option<TimeZone> {
    let named = |component: &&ICalendarComponent| {
        component.component_type == ICalendarComponentType::VTimezone
            && matches!(first(component, &ICalendarProperty::Tzid), Some(ICalendarValue::Text(own)) if own == name)
    };
    let zone = calendar.components.iter().find(named)?;
    let parts = || zone.component_ids.iter().filter_map(|id| calendar.components.get(*id as usize));
    let last = |kind: ICalendarComponentType| {
        parts().filter(|part| part.component_type == kind).filter_map(Observance::read).max_by_key(|it| it.from)
    };
    let standard = last(ICalendarComponentType::Standard)?;
    // The two names stand for nothing.
    let rule = match last(ICalendarComponentType::Daylight) {
        None => format!("<+00>{}", standard.offset()),
        Some(daylight) => {
            let (summer, winter) = (daylight.onset()?, standard.onset()?);
            format!("<+00>{}<+01>{},{summer},{winter}", standard.offset(), daylight.offset())
        }
    };
    TimeZone::posix(&rule).ok()
}

/// One of the two halves of a year.
struct Observance<'a> {
    from: DateTime,
    /// Seconds east of UTC.
    to_seconds: i32,
    rule: Option<&'a ICalendarRecurrenceRule>,
}

impl<'a> Observance<'a> {
    fn read(part: &'a ICalendarComponent) -> Option<Self> {
        let ICalendarValue::PartialDateTime(from) = first(part, &ICalendarProperty::Dtstart)? else { return None };
        let ICalendarValue::PartialDateTime(to) = first(part, &ICalendarProperty::Tzoffsetto)? else { return None };
        let seconds = i32::from(to.tz_hour?) * 3600 + i32::from(to.tz_minute.unwrap_or(0)) * 60;
        let rule = match first(part, &ICalendarProperty::Rrule) {
            Some(ICalendarValue::RecurrenceRule(rule)) => Some(rule.as_ref()),
            _ => None,
        };
        Some(Self { from: civil(from)?.0, to_seconds: if to.tz_minus { -seconds } else { seconds }, rule })
    }

    /// As POSIX writes it: west is positive.
    fn offset(&self) -> String {
        let west = -self.to_seconds;
        let (sign, seconds) = (if west < 0 { "-" } else { "" }, west.unsigned_abs());
        format!("{sign}{}:{:02}", seconds / 3600, seconds / 60 % 60)
    }

    /// When it begins in each year: `M3.2.0/2:00:00` is 02:00 on the second Sunday of March.
    fn onset(&self) -> Option<String> {
        let rule = self.rule.filter(|rule| rule.freq == ICalendarFrequency::Yearly && rule.until.is_none())?;
        let ([day], [month]) = (rule.byday.as_slice(), rule.bymonth.as_slice()) else { return None };
        let plain = rule.count.is_none() && rule.interval.unwrap_or(1) == 1 && rule.bymonthday.is_empty();
        let week = match day.ordwk? {
            week @ 1..=4 => week,
            5 | -1 => 5,
            _ => return None,
        };
        let at = self.from.time().strftime("%H:%M:%S");
        plain.then(|| format!("M{}.{week}.{}/{at}", month.month(), day.weekday as u8))
    }
}

fn first<'a>(component: &'a ICalendarComponent, name: &ICalendarProperty) -> Option<&'a ICalendarValue> {
    component.entries.iter().find(|entry| entry.name == *name)?.values.first()
}
