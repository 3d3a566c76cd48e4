use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fault::{Faults, check_text};

/// Time at which a practitioner does not work, despite the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TimeOff {
    /// The start.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub starts_at: Timestamp,
    /// The end, at most 400 days after the start.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub ends_at: Timestamp,
    /// The reason, for the clinic's staff.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub reason: String,
}

impl TimeOff {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.check(self.starts_at < self.ends_at, "/ends_at", "ends_before_start", "must be later than `starts_at`");
        let hours = self.ends_at.duration_since(self.starts_at).as_hours();
        faults.check(hours <= 400 * 24, "/ends_at", "too_long", "at most 400 days after `starts_at`");
        check_text(faults, "/reason", &self.reason, 200);
    }
}
