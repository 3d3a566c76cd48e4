//! Limits of messages that nobody of the clinic wrote: their countries, and their number.

use serde::{Deserialize, Serialize};

/// The section `reminder.verifications`: the most codes that prove a telephone number or an e-mail address, in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifications {
    /// Codes to one number or address, 1 to 1000.
    pub per_recipient: u32,
    /// Codes for one visitor of a front end, 1 to 1000.
    pub per_visitor: u32,
    /// Codes through one key, 1 to 1000000.
    pub per_key: u32,
}

impl Default for Verifications {
    fn default() -> Self {
        Self { per_recipient: 4, per_visitor: 6, per_key: 600 }
    }
}

impl Verifications {
    pub(super) fn validate(&self, check: &mut impl FnMut(bool, &str, &str)) {
        let recipient = (1..=1000).contains(&self.per_recipient);
        check(recipient, "verifications.per_recipient", "must lie between 1 and 1000");
        let visitor = (1..=1000).contains(&self.per_visitor);
        check(visitor, "verifications.per_visitor", "must lie between 1 and 1000");
        let key = (1..=1_000_000).contains(&self.per_key);
        check(key, "verifications.per_key", "must lie between 1 and 1000000");
    }
}

/// The settings of one organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Organization {
    /// In the place of `reminder.countries`.
    pub countries: Option<Vec<String>>,
}

/// Whether these are codes of countries in ISO 3166-1, two letters.
pub(super) fn are_countries(codes: &[String]) -> bool {
    codes.iter().all(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic()))
}
