use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check_code;
use crate::fault::Faults;

/// The busy times of a practitioner from an external calendar. Titles and other details are not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Busy {
    /// The name of the calendar, unique for a practitioner.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub source: String,
    /// Separate intervals, earliest first.
    #[cfg_attr(feature = "schema", schema(max_items = 10000))]
    pub times: Vec<BusyTime>,
    /// The URL from which the calendar is fetched regularly; none for an uploaded file. It may hold a secret of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 2000, nullable = false))]
    pub url: Option<String>,
    /// The code of the failure of the last fetch. The times are then those of the last successful fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 64, nullable = false))]
    pub problem: Option<String>,
    /// Whether components that cannot be parsed are skipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub lenient: bool,
}

/// A busy interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BusyTime {
    /// The start.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub starts_at: Timestamp,
    /// The end.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub ends_at: Timestamp,
}

impl Busy {
    /// The most intervals of one calendar: about 25 for each day of a year.
    pub const TIMES_MAX: usize = 10_000;

    /// Notes every fault.
    pub fn check(&self, faults: &mut Faults) {
        check_code(faults, "/source", &self.source);
        let within_limit = self.times.len() <= Self::TIMES_MAX;
        faults.check(within_limit, "/times", "too_many", format!("at most {} busy times", Self::TIMES_MAX));
        let ordered = self.times.iter().all(|time| time.starts_at < time.ends_at)
            && self.times.windows(2).all(|pair| pair[0].ends_at < pair[1].starts_at);
        let schemes = ["https://", "http://", "webcal://", "webcals://"];
        let address = |url: &String| url.len() <= 2000 && schemes.iter().any(|scheme| url.starts_with(scheme));
        let detail = "give an address of at most 2000 characters that begins with https://, http:// or webcal://";
        faults.check(self.url.as_ref().is_none_or(address), "/url", "invalid_url", detail);
        faults.check(ordered, "/times", "not_in_order", "give them apart from one another, earliest first");
    }
}
