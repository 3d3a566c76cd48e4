//! The directory of a clinic chain: locations, practitioners, services and their parts.
//!
//! Each kind of entry is one file with its fields and the check that notes every fault. The public interface and the
//! database use these types in the same JSON form.

mod busy;
mod certificate;
mod closure;
mod location;
mod organization;
mod plan_template;
mod practitioner;
mod room;
mod roster;
mod service;
mod time_off;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    busy::{Busy, BusyTime},
    certificate::Certificate,
    closure::Closure,
    location::{DayHours, Location, TravelTime},
    organization::Organization,
    plan_template::{Course, GapDays, Phase, PlanTemplate, SessionRange},
    practitioner::Practitioner,
    room::{Equipment, Room},
    roster::{Roster, RosterDay, WallInterval},
    service::Service,
    time_off::TimeOff,
};
use crate::fault::Faults;

/// The kinds of entry. The names are stored and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is a type of this module")]
pub enum Kind {
    Location,
    Room,
    Equipment,
    Closure,
    Practitioner,
    Certificate,
    Roster,
    TimeOff,
    Service,
    PlanTemplate,
    Busy,
}

impl Kind {
    /// All kinds, parents before their children.
    pub const ALL: [Self; 11] = [
        Self::Location,
        Self::Room,
        Self::Equipment,
        Self::Closure,
        Self::Practitioner,
        Self::Certificate,
        Self::Roster,
        Self::TimeOff,
        Self::Service,
        Self::PlanTemplate,
        Self::Busy,
    ];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Location => "location",
            Self::Room => "room",
            Self::Equipment => "equipment",
            Self::Closure => "closure",
            Self::Practitioner => "practitioner",
            Self::Certificate => "certificate",
            Self::Roster => "roster",
            Self::TimeOff => "time_off",
            Self::Service => "service",
            Self::PlanTemplate => "plan_template",
            Self::Busy => "busy",
        }
    }

    /// The TypeID prefix of its ids.
    pub fn prefix(self) -> &'static str {
        use crate::id::{self, Kind as _};
        match self {
            Self::Location => id::Location::PREFIX,
            Self::Room => id::Room::PREFIX,
            Self::Equipment => id::Equipment::PREFIX,
            Self::Closure => id::Closure::PREFIX,
            Self::Practitioner => id::Practitioner::PREFIX,
            Self::Certificate => id::Certificate::PREFIX,
            Self::Roster => id::Roster::PREFIX,
            Self::TimeOff => id::TimeOff::PREFIX,
            Self::Service => id::Service::PREFIX,
            Self::PlanTemplate => id::PlanTemplate::PREFIX,
            Self::Busy => id::Busy::PREFIX,
        }
    }

    /// The kind of the parent entry.
    pub fn parent(self) -> Option<Self> {
        match self {
            Self::Room | Self::Equipment | Self::Closure => Some(Self::Location),
            Self::Certificate | Self::Roster | Self::TimeOff | Self::Busy => Some(Self::Practitioner),
            _ => None,
        }
    }
}

/// The body of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is a type of this module")]
pub enum Body {
    Location(Location),
    Room(Room),
    Equipment(Equipment),
    Closure(Closure),
    Practitioner(Practitioner),
    Certificate(Certificate),
    Roster(Roster),
    TimeOff(TimeOff),
    Service(Service),
    PlanTemplate(PlanTemplate),
    Busy(Busy),
}

impl Body {
    /// The kind of the entry.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Location(_) => Kind::Location,
            Self::Room(_) => Kind::Room,
            Self::Equipment(_) => Kind::Equipment,
            Self::Closure(_) => Kind::Closure,
            Self::Practitioner(_) => Kind::Practitioner,
            Self::Certificate(_) => Kind::Certificate,
            Self::Roster(_) => Kind::Roster,
            Self::TimeOff(_) => Kind::TimeOff,
            Self::Service(_) => Kind::Service,
            Self::PlanTemplate(_) => Kind::PlanTemplate,
            Self::Busy(_) => Kind::Busy,
        }
    }

    /// Notes every fault that can be found without other entries. Pointers start at the entry's root.
    pub fn check(&self, faults: &mut Faults) {
        match self {
            Self::Location(body) => body.check(faults),
            Self::Room(body) => body.check(faults),
            Self::Equipment(body) => body.check(faults),
            Self::Closure(body) => body.check(faults),
            Self::Practitioner(body) => body.check(faults),
            Self::Certificate(body) => body.check(faults),
            Self::Roster(body) => body.check(faults),
            Self::TimeOff(body) => body.check(faults),
            Self::Service(body) => body.check(faults),
            Self::PlanTemplate(body) => body.check(faults),
            Self::Busy(body) => body.check(faults),
        }
    }

    /// The referenced entries, with the JSON pointer of each reference.
    pub fn references(&self) -> Vec<(String, Kind, Uuid)> {
        match self {
            Self::Roster(roster) => vec![("/location_id".into(), Kind::Location, roster.location_id.uuid())],
            Self::Location(location) => {
                let travel_times = location.travel_times.iter().enumerate();
                let pointer = |at: usize| format!("/travel_times/{at}/location_id");
                travel_times.map(|(at, travel)| (pointer(at), Kind::Location, travel.location_id.uuid())).collect()
            }
            Self::Service(service) => service
                .requires_prior
                .map(|prior| ("/requires_prior".into(), Kind::Service, prior.uuid()))
                .into_iter()
                .collect(),
            Self::PlanTemplate(template) => template
                .phases
                .iter()
                .enumerate()
                .map(|(at, phase)| (format!("/phases/{at}/service_id"), Kind::Service, phase.service_id.uuid()))
                .collect(),
            _ => vec![],
        }
    }
}

/// Notes a fault unless the year lies between 1900 and 2200: other years are typing errors.
fn check_date(faults: &mut Faults, pointer: &str, date: jiff::civil::Date) {
    faults.check(
        (1900..=2200).contains(&date.year()),
        pointer,
        "absurd_date",
        "the year must lie between 1900 and 2200",
    );
}

/// Notes a fault unless the text is a code: 1 to 64 lower-case letters, digits, hyphens and underscores.
fn check_code(faults: &mut Faults, pointer: &str, code: &str) {
    let ok = (1..=64).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    faults.check(ok, pointer, "invalid_code", "use 1 to 64 lower-case letters, digits, hyphens and underscores");
}
