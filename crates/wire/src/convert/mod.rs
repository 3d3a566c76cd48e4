//! Conversions between the wire and the domain.
//!
//! From the wire every fault is collected with its JSON pointer in the public interface's terms; to the wire
//! nothing can fail. Optional texts are empty on the wire, optional instants 0.

pub mod claim;
pub mod directory;
pub mod event;
pub mod patient;

use domain::{
    fault::Faults,
    id::{Id, Kind},
    preference::Preference,
};
use jiff::{Timestamp, civil::Date};

use crate::availability::Preference as WirePreference;

/// Reads an id, noting a fault where it is not of the kind.
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

/// Reads a preference between series; `None` for none.
pub fn preference(wire: WirePreference) -> Option<Preference> {
    match wire {
        WirePreference::Unspecified => None,
        WirePreference::Soonest => Some(Preference::Soonest),
        WirePreference::Continuity => Some(Preference::Continuity),
        WirePreference::Hours => Some(Preference::Hours),
    }
}

/// Reads an id that may be left out: empty is `None` without a fault.
pub fn optional_id<K: Kind>(faults: &mut Faults, pointer: &str, text: &str) -> Option<Id<K>> {
    if text.is_empty() { None } else { id(faults, pointer, text) }
}

/// Reads an instant in microseconds since the Unix epoch.
pub fn instant(faults: &mut Faults, pointer: &str, us: i64) -> Option<Timestamp> {
    let at = domain::time::from_micros(us);
    faults.check(at.is_some(), pointer, "absurd_date", "must be an instant between the years -9999 and 9999");
    at
}

/// Reads an instant that may be absent: 0 is `None`.
pub fn optional_instant(us: i64) -> Option<Timestamp> {
    if us == 0 { None } else { domain::time::from_micros(us) }
}

/// An instant that may be absent, for the wire.
pub fn instant_to_wire(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_microsecond)
}

/// Reads a date.
pub fn date(faults: &mut Faults, pointer: &str, text: &str) -> Option<Date> {
    let found = text.parse().ok();
    faults.check(found.is_some(), pointer, "invalid_date", "write a date as YYYY-MM-DD");
    found
}

/// Reads a date that may be left out.
pub fn optional_date(faults: &mut Faults, pointer: &str, text: &str) -> Option<Date> {
    if text.is_empty() { None } else { date(faults, pointer, text) }
}

/// An optional text for the wire and back: empty is absent.
pub fn optional_text(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

/// Reads a text that has a fixed set of words, or a fixed form.
fn parsed<T: std::str::FromStr<Err = &'static str>>(faults: &mut Faults, pointer: String, text: &str) -> Option<T> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(expected) => {
            faults.push(pointer, "invalid_value", expected);
            None
        }
    }
}
