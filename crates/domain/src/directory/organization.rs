use serde::{Deserialize, Serialize};

use crate::fault::{Faults, check_text};

/// A chain of clinics. No organisation sees the data of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// The name that patients read.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub name: String,
    /// The language of messages to patients without a language of their own: an IETF BCP 47 tag.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length = 35))]
    pub default_language: String,
    /// ISO 3166-1 alpha-2 country code.
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Z]{2}$"))]
    pub country: String,
}

impl Organization {
    /// Notes every fault.
    pub fn check(&self, faults: &mut Faults) {
        check_text(faults, "/name", &self.name, 200);
        let language = self.default_language.len() <= 35
            && self.default_language.bytes().take_while(u8::is_ascii_lowercase).count() >= 2;
        faults.check(
            language,
            "/default_language",
            "invalid_language",
            "give a BCP 47 language tag such as en or fr-CA",
        );
        let country = self.country.len() == 2 && self.country.bytes().all(|b| b.is_ascii_uppercase());
        faults.check(
            country,
            "/country",
            "invalid_country",
            "give an ISO 3166-1 code of two capital letters, such as CA",
        );
    }
}
