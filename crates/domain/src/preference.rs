//! Preferences between the series of a care plan.

use serde::{Deserialize, Serialize};

/// What counts most of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Preference {
    /// Each session as near as can be to the first day that the ideal gaps give.
    Soonest,
    /// One practitioner.
    Continuity,
    /// The wished hours, and one part of the day throughout.
    Hours,
}
