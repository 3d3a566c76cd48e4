//! Claims of resources, which keep appointments apart.
//!
//! A claim takes one resource for one half-open interval. The database refuses two overlapping claims of one resource.
//! Every rule of the form "these intervals must not overlap" is a claim, so that the database enforces it.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Interval;

/// The least hours between the end of a patient's needling session and the start of the next one.
pub const NEEDLING_SPACING_HOURS: i64 = 48;

/// The kind of a claimed resource. The numbers are stored and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A practitioner's time, preparation and clean-up included.
    Practitioner = 1,
    /// A room's time, preparation and clean-up included.
    Room = 2,
    /// One unit of a pool of equipment; the resource is the pool, the unit is [`Claim::unit`].
    Equipment = 3,
    /// A patient's time.
    Patient = 4,
    /// The time between a patient's needling sessions: from a session's start to [`NEEDLING_SPACING_HOURS`] after its end.
    Needling = 5,
    /// One place of a group session; the resource is the group session, the unit is the place.
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

/// A claim of one resource for one interval. Claims are inserted in this order, so that concurrent writers never deadlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The kind of resource.
    pub kind: Kind,
    /// The resource: a practitioner's, room's, equipment pool's, patient's or group session's UUID.
    pub resource: Uuid,
    /// The unit of the resource, from 0: a unit of an equipment pool, a place of a group session, or the lane of a deliberate
    /// double booking. 0 for all other claims.
    pub unit: i16,
    /// The time taken.
    pub interval: Interval,
    /// The location's UUID of a practitioner's claim; none for other kinds.
    pub location: Option<Uuid>,
    /// Whether a practitioner's claim is for needling; false for other kinds.
    pub needling: bool,
}

impl Claim {
    /// A claim without location and needling.
    pub fn new(kind: Kind, resource: Uuid, unit: i16, interval: Interval) -> Self {
        Self { kind, resource, unit, interval, location: None, needling: false }
    }
}

/// The claim that keeps a patient's needling sessions apart.
pub fn needling(patient: Uuid, session: Interval) -> Option<Claim> {
    let end = session.end().checked_add(SignedDuration::from_hours(NEEDLING_SPACING_HOURS)).ok()?;
    Some(Claim::new(Kind::Needling, patient, 0, Interval::new(session.start(), end)?))
}
