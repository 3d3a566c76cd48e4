//! Claims: what keeps two visits apart.
//!
//! A claim takes one resource for one half-open interval. The database refuses two overlapping claims on one
//! resource, so every rule of exclusion that can be put as "these two intervals must not overlap" is put as a
//! claim, and holds whatever runs above it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Interval;

/// Least time between the end of one needling session of a patient and the start of the next.
pub const NEEDLING_SPACING_HOURS: i64 = 48;

/// What sort of resource a claim takes. The numbers are stored; they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A practitioner's time, preparation and clean-up included.
    Practitioner = 1,
    /// A room's time, preparation and clean-up included.
    Room = 2,
    /// One unit of a pool of equipment; the resource is the pool, the unit is [`Claim::unit`].
    Equipment = 3,
    /// A patient's own time: nobody is in two places.
    Patient = 4,
    /// A patient's needling spacing: from a session's start to [`NEEDLING_SPACING_HOURS`] after its end.
    Needling = 5,
    /// One place of a group session; the resource is the group session, the unit is the place's number.
    Place = 6,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Practitioner, Self::Room, Self::Equipment, Self::Patient, Self::Needling, Self::Place];

    /// The stored number.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// The kind with this stored number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// One resource taken for one interval. The order is the order in which claims are laid, so that writers who
/// want the same resources never wait for each other in a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The sort of resource.
    pub kind: Kind,
    /// The resource: a practitioner's, room's, equipment pool's, patient's or group session's UUID.
    pub resource: Uuid,
    /// Which unit of the resource, from 0: an equipment pool's unit, a group's place, or the extra lane of a
    /// deliberate double booking. 0 for all else.
    pub unit: i16,
    /// The time taken.
    pub interval: Interval,
    /// Where a practitioner's time is spent: a location's UUID. None for other kinds.
    pub location: Option<Uuid>,
    /// Whether a practitioner's time is spent on needling. False for other kinds.
    pub needling: bool,
}

impl Claim {
    /// A claim of which no more is to be said.
    pub fn new(kind: Kind, resource: Uuid, unit: i16, interval: Interval) -> Self {
        Self { kind, resource, unit, interval, location: None, needling: false }
    }
}

/// The claim that keeps a patient's needling sessions apart.
pub fn needling(patient: Uuid, session: Interval) -> Option<Claim> {
    let end = spaced(session.end())?;
    Some(Claim::new(Kind::Needling, patient, 0, Interval::new(session.start(), end)?))
}

fn spaced(end: Timestamp) -> Option<Timestamp> {
    end.checked_add(SignedDuration::from_hours(NEEDLING_SPACING_HOURS)).ok()
}
