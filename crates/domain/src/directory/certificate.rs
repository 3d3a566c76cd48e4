use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{check_code, check_date};
use crate::fault::{Faults, check_text};

/// A practitioner's licence or certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The certified skill, such as `dry-needling`; services require it by this code.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub code: String,
    /// The issuing body.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub issuer: String,
    /// The jurisdiction, such as `CA-AB`.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 64))]
    pub jurisdiction: String,
    /// The first day of validity.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Date))]
    pub valid_from: Date,
    /// The last day of validity; none: does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = Date, nullable = false))]
    pub valid_to: Option<Date>,
}

impl Certificate {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_code(faults, "/code", &self.code);
        check_text(faults, "/issuer", &self.issuer, 200);
        check_text(faults, "/jurisdiction", &self.jurisdiction, 64);
        check_date(faults, "/valid_from", self.valid_from);
        if let Some(last) = self.valid_to {
            check_date(faults, "/valid_to", last);
            faults.check(self.valid_from <= last, "/valid_to", "ends_before_start", "must not be before `valid_from`");
        }
    }

    /// Whether it is valid on this day.
    pub fn valid_on(&self, day: Date) -> bool {
        self.valid_from <= day && self.valid_to.is_none_or(|last| day <= last)
    }
}
