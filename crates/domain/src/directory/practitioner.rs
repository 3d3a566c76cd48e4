use serde::{Deserialize, Serialize};

use crate::fault::{Faults, check_text};

/// A person who treats patients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Practitioner {
    /// Given name.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100))]
    pub given_name: String,
    /// Family name.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100))]
    pub family_name: String,
    /// Languages spoken with patients, IETF BCP 47 tags.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(max_items = 20))]
    pub languages: Vec<String>,
    /// The most sessions on one local day, 1 to 100; none: no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100, nullable = false))]
    pub daily_cap: Option<u32>,
    /// The most sessions in one local week from Monday to Sunday, 1 to 500; none: no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 500, nullable = false))]
    pub weekly_cap: Option<u32>,
    /// The most needling sessions on one local day, 1 to 100; none: no separate cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100, nullable = false))]
    pub daily_needling_cap: Option<u32>,
    /// The most needling sessions in one local week, 1 to 500; none: no separate cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 500, nullable = false))]
    pub weekly_needling_cap: Option<u32>,
    /// Whether patients may book this practitioner online.
    #[serde(default = "online")]
    pub online: bool,
}

fn online() -> bool {
    true
}

impl Practitioner {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_text(faults, "/given_name", &self.given_name, 100);
        check_text(faults, "/family_name", &self.family_name, 100);
        faults.check(self.languages.len() <= 20, "/languages", "too_many", "at most 20 languages");
        for (at, language) in self.languages.iter().enumerate() {
            let ok =
                (2..=35).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            faults.check(
                ok,
                format!("/languages/{at}"),
                "invalid_language",
                "give a BCP 47 language tag such as en or fr-CA",
            );
        }
        for (pointer, cap) in [("/daily_cap", self.daily_cap), ("/daily_needling_cap", self.daily_needling_cap)] {
            let ok = cap.is_none_or(|cap| (1..=100).contains(&cap));
            faults.check(ok, pointer, "out_of_range", "must lie between 1 and 100, or be left out");
        }
        for (pointer, cap) in [("/weekly_cap", self.weekly_cap), ("/weekly_needling_cap", self.weekly_needling_cap)] {
            let ok = cap.is_none_or(|cap| (1..=500).contains(&cap));
            faults.check(ok, pointer, "out_of_range", "must lie between 1 and 500, or be left out");
        }
    }
}
