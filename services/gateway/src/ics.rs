//! Appointments as an iCalendar file (RFC 5545) with method PUBLISH (RFC 5546). `calcard` folds lines and escapes texts.

use calcard::{
    common::PartialDateTime,
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarDuration, ICalendarMethod, ICalendarProperty,
        ICalendarStatus,
    },
};
use domain::time::from_micros;
use jiff::tz::TimeZone;

/// An appointment in a calendar. Instants are microseconds since the Unix epoch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    /// Stays the same when the appointment moves.
    pub(crate) uid: String,
    /// Rises with each change.
    pub(crate) sequence: i64,
    pub(crate) cancelled: bool,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) summary: String,
    pub(crate) location: String,
}

/// The interval at which a calendar program should fetch the file again.
const REFRESH_INTERVAL: ICalendarDuration =
    ICalendarDuration { neg: false, weeks: 0, days: 0, hours: 0, minutes: 15, seconds: 0 };

/// Writes the file.
pub(crate) fn write(name: &str, events: &[Event]) -> String {
    let mut calendar = ICalendarComponent::new(ICalendarComponentType::VCalendar);
    calendar.add_property(ICalendarProperty::Version, "2.0");
    calendar.add_property(ICalendarProperty::Prodid, concat!("-//Meridian//", env!("CARGO_PKG_VERSION"), "//EN"));
    calendar.add_property(ICalendarProperty::Method, ICalendarMethod::Publish);
    // NAME is RFC 7986; most programs still read X-WR-CALNAME.
    calendar.add_property(ICalendarProperty::Name, name);
    calendar.add_property(ICalendarProperty::Other("X-WR-CALNAME".into()), name);
    calendar.add_property_with_params(ICalendarProperty::RefreshInterval, [duration()], REFRESH_INTERVAL);
    calendar.component_ids = (1..).zip(events).map(|(at, _)| at).collect();
    let components = std::iter::once(calendar).chain(events.iter().map(component)).collect();
    ICalendar { components }.to_string()
}

fn duration() -> calcard::icalendar::ICalendarParameter {
    use calcard::icalendar::{ICalendarParameter, ICalendarParameterName, ICalendarValueType};
    ICalendarParameter::new(ICalendarParameterName::Value, ICalendarValueType::Duration)
}

fn component(event: &Event) -> ICalendarComponent {
    let mut component = ICalendarComponent::new(ICalendarComponentType::VEvent);
    component.add_uid(&event.uid);
    component.add_sequence(event.sequence);
    component.add_dtstamp(utc(event.updated_at_us));
    component.add_property(ICalendarProperty::Created, utc(event.created_at_us));
    component.add_property(ICalendarProperty::LastModified, utc(event.updated_at_us));
    component.add_property(ICalendarProperty::Dtstart, utc(event.starts_at_us));
    component.add_property(ICalendarProperty::Dtend, utc(event.ends_at_us));
    component.add_property(ICalendarProperty::Summary, event.summary.as_str());
    if !event.location.is_empty() {
        component.add_property(ICalendarProperty::Location, event.location.as_str());
    }
    let status = if event.cancelled { ICalendarStatus::Cancelled } else { ICalendarStatus::Confirmed };
    component.add_property(ICalendarProperty::Status, status);
    component
}

/// An instant in UTC, so that no program needs the zone's rules to show the right hour.
fn utc(us: i64) -> PartialDateTime {
    let at = from_micros(us).unwrap_or_default().to_zoned(TimeZone::UTC);
    let field = |value: i8| Some(value.unsigned_abs());
    PartialDateTime {
        year: Some(at.year().unsigned_abs()),
        month: field(at.month()),
        day: field(at.day()),
        hour: field(at.hour()),
        minute: field(at.minute()),
        second: field(at.second()),
        tz_hour: Some(0),
        tz_minute: Some(0),
        tz_minus: false,
    }
}
