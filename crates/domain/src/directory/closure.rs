use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::check_date;
use crate::fault::{Faults, check_text};

/// Days on which a location is closed, in its own dates, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Closure {
    /// The first day.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Date))]
    pub starts_on: Date,
    /// The last day.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Date))]
    pub ends_on: Date,
    /// The reason, for the clinic's staff.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub reason: String,
}

impl Closure {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_date(faults, "/starts_on", self.starts_on);
        check_date(faults, "/ends_on", self.ends_on);
        faults.check(self.starts_on <= self.ends_on, "/ends_on", "ends_before_start", "must not be before `starts_on`");
        check_text(faults, "/reason", &self.reason, 200);
    }
}
