//! Conversions between the wire and the domain.
//!
//! Conversions from the wire collect every fault with its JSON pointer in the public interface; conversions to the wire
//! cannot fail. On the wire an absent text is empty and an absent instant 0.

pub mod claim;
pub mod directory;
pub mod event;
pub mod patient;

use domain::{
    fault::Faults,
    id::{Id, Kind, LocationId, PractitionerId},
    preference::Preference,
    time::{Day, WallTime},
};
use jiff::{Timestamp, civil::Date};

use crate::availability::{Preference as WirePreference, SlotFilters};

/// Parses an id, and notes a fault if it is not of this kind.
pub fn id<K: Kind>(faults: &mut Faults, pointer: &str, text: &str) -> Option<Id<K>> {
    match text.parse() {
        Ok(id) => Some(id),
        Err(error) => {
            faults.push(pointer, "invalid_id", format!("{error}"));
            None
        }
    }
}

/// A preference between series, for the wire.
pub fn preference_to_wire(preference: Option<Preference>) -> WirePreference {
    match preference {
        None => WirePreference::Unspecified,
        Some(Preference::Soonest) => WirePreference::Soonest,
        Some(Preference::Continuity) => WirePreference::Continuity,
        Some(Preference::Hours) => WirePreference::Hours,
    }
}

/// A preference between series from the wire.
pub fn preference(wire: WirePreference) -> Option<Preference> {
    match wire {
        WirePreference::Unspecified => None,
        WirePreference::Soonest => Some(Preference::Soonest),
        WirePreference::Continuity => Some(Preference::Continuity),
        WirePreference::Hours => Some(Preference::Hours),
    }
}

/// Converts the preferences of a plan or a waitlist entry to slot filters.
pub fn slot_filters(
    locations: &[LocationId],
    practitioner: Option<PractitionerId>,
    days: &[Day],
    (not_before, not_after): (Option<WallTime>, Option<WallTime>),
) -> SlotFilters {
    let time = |time: Option<WallTime>| time.map(|time| time.to_string()).unwrap_or_default();
    SlotFilters {
        location_ids: locations.iter().map(ToString::to_string).collect(),
        practitioner_ids: practitioner.iter().map(ToString::to_string).collect(),
        days: days.iter().map(|day| day.as_str().to_owned()).collect(),
        not_before: time(not_before),
        not_after: time(not_after),
        ..SlotFilters::default()
    }
}

/// Parses an id that may be absent.
pub fn optional_id<K: Kind>(faults: &mut Faults, pointer: &str, text: &str) -> Option<Id<K>> {
    if text.is_empty() { None } else { id(faults, pointer, text) }
}

/// Converts an instant in microseconds since the Unix epoch, and notes a fault if it is out of range.
pub fn instant(faults: &mut Faults, pointer: &str, us: i64) -> Option<Timestamp> {
    let at = domain::time::from_micros(us);
    faults.check(at.is_some(), pointer, "absurd_date", "must be an instant between the years -9999 and 9999");
    at
}

/// Converts an instant that may be absent.
pub fn optional_instant(us: i64) -> Option<Timestamp> {
    if us == 0 { None } else { domain::time::from_micros(us) }
}

/// An instant that may be absent, for the wire.
pub fn instant_to_wire(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_microsecond)
}

/// Parses a date, and notes a fault if it is malformed.
pub fn date(faults: &mut Faults, pointer: &str, text: &str) -> Option<Date> {
    let found = text.parse().ok();
    faults.check(found.is_some(), pointer, "invalid_date", "write a date as YYYY-MM-DD");
    found
}

/// Parses a date that may be absent.
pub fn optional_date(faults: &mut Faults, pointer: &str, text: &str) -> Option<Date> {
    if text.is_empty() { None } else { date(faults, pointer, text) }
}

/// A text that may be absent.
pub fn optional_text(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

/// Parses a public word or a text of a fixed form, and notes a fault if it is neither.
fn parse<T: std::str::FromStr<Err = &'static str>>(faults: &mut Faults, pointer: String, text: &str) -> Option<T> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(expected) => {
            faults.push(pointer, "invalid_value", expected);
            None
        }
    }
}
