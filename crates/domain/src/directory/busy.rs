use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check_code;
use crate::fault::Faults;

/// The times at which a calendar kept elsewhere says that a practitioner is busy. Only times: what they are for
/// stays where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Busy {
    /// Which calendar it is; one of each name for a practitioner.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub source: String,
    /// Apart from one another, earliest first.
    #[cfg_attr(feature = "schema", schema(max_items = 10000))]
    pub times: Vec<BusyTime>,
    /// Where the calendar is read again and again; none for a file that was sent once. It may hold a secret of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 2000, nullable = false))]
    pub url: Option<String>,
    /// What was wrong when it was last read there: a code. The times are those of the last time that all was well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 64, nullable = false))]
    pub problem: Option<String>,
    /// Whether what cannot be read there is skipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub lenient: bool,
}

/// One stretch of busy time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BusyTime {
    /// From this instant.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub starts_at: Timestamp,
    /// Up to this instant.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub ends_at: Timestamp,
}

impl Busy {
    /// The most stretches of one calendar: what the largest file of a year holds, 25 a day.
    pub const TIMES_MAX: usize = 10_000;

    /// Notes every fault.
    pub fn check(&self, faults: &mut Faults) {
        check_code(faults, "/source", &self.source);
        let few = self.times.len() <= Self::TIMES_MAX;
        faults.check(few, "/times", "too_many", format!("at most {} busy times", Self::TIMES_MAX));
        let ordered = self.times.iter().all(|time| time.starts_at < time.ends_at)
            && self.times.windows(2).all(|pair| pair[0].ends_at < pair[1].starts_at);
        let schemes = ["https://", "http://", "webcal://", "webcals://"];
        let address = |url: &String| url.len() <= 2000 && schemes.iter().any(|scheme| url.starts_with(scheme));
        let detail = "give an address of at most 2000 characters that begins with https://, http:// or webcal://";
        faults.check(self.url.as_ref().is_none_or(address), "/url", "invalid_url", detail);
        faults.check(ordered, "/times", "not_in_order", "give them apart from one another, earliest first");
    }
}
