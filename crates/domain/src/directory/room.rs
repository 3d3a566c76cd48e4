use serde::{Deserialize, Serialize};

use super::check_code;
use crate::fault::{Faults, check_text};

/// A room at a location. A service requires a room by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// The name on the door.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub name: String,
    /// The type, such as `treatment-room`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub room_type: String,
}

/// A pool of equal units of equipment at a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Equipment {
    /// The name that staff use.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub name: String,
    /// The type, such as `electrostimulation-unit`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub equipment_type: String,
    /// The number of units, 1 to 100.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub units: u32,
}

impl Room {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_text(faults, "/name", &self.name, 200);
        check_code(faults, "/type", &self.room_type);
    }
}

impl Equipment {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_text(faults, "/name", &self.name, 200);
        check_code(faults, "/type", &self.equipment_type);
        faults.check((1..=100).contains(&self.units), "/units", "out_of_range", "must lie between 1 and 100");
    }
}
