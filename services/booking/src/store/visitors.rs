//! Limits on the visitors of front ends, as parts of a batch.

use serde::Serialize;
use uuid::Uuid;

/// The slots of a visitor's hold, with the limits that it must keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct VisitorHold {
    pub(crate) hold_id: Uuid,
    pub(crate) caller: String,
    pub(crate) visitor: String,
    pub(crate) expires_at_us: i64,
    /// Most live holds of the visitor, this one included.
    pub(crate) holds_max: i64,
    pub(crate) slots: Vec<HeldSlot>,
}

/// A slot of a visitor's hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct HeldSlot {
    pub(crate) practitioner_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) location_id: Uuid,
    /// The beginning of the location's day.
    pub(crate) day_us: i64,
    pub(crate) minutes: i64,
    /// Most minutes that the caller's visitors may hold on this day at this location, unless they hold this slot alone.
    pub(crate) minutes_max: i64,
}

/// A count of the day's bookings that cause messages, with the most that it may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MessageCount {
    /// `number`, `address`, `visitor` or `key`, a colon, and an opaque name without personal data.
    pub(crate) subject: String,
    pub(crate) most: i64,
}

/// Microseconds in a day of UTC, in which messages are counted.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// A limit on visitors' holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldLimit {
    /// The live holds of a visitor.
    Visitor,
    /// The slot that a visitor has just held.
    Slot,
    /// The share of a key of a location's day.
    Share,
}

impl HoldLimit {
    /// The limit with this name in the function on PostgreSQL.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "visitor" => Some(Self::Visitor),
            "slot" => Some(Self::Slot),
            "share" => Some(Self::Share),
            _ => None,
        }
    }
}
