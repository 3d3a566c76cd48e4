//! The section `reminder.providers`: who sends text messages.

use std::fmt;

use domain::patient::is_e164;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{TIMEOUT, is_http, is_timeout};

/// The section `reminder.providers`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Providers {
    /// Twilio, or whoever speaks its form.
    pub twilio: Twilio,
}

/// The section `reminder.providers.twilio`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Twilio {
    /// Where it is.
    pub base_url: String,
    /// The account's id.
    #[serde(deserialize_with = "plain")]
    pub account_sid: Option<String>,
    /// The account's secret: signs in, and checks the signatures of call-backs.
    #[serde(deserialize_with = "plain")]
    pub auth_token: Option<String>,
    /// The number or name that messages come from; this or `messaging_service_sid`.
    #[serde(deserialize_with = "sender")]
    pub from: Option<String>,
    /// The pool of numbers that messages come from; this or `from`.
    #[serde(deserialize_with = "plain")]
    pub messaging_service_sid: Option<String>,
    /// How long it may take to answer, 1 to 60 seconds; after that the outcome is unknown.
    pub timeout_seconds: u32,
}

impl Default for Twilio {
    fn default() -> Self {
        Self {
            base_url: "https://api.twilio.com".into(),
            account_sid: None,
            auth_token: None,
            from: None,
            messaging_service_sid: None,
            timeout_seconds: 10,
        }
    }
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twilio").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Providers {
    pub(super) fn validate(&self, chosen: &str, lease_seconds: u32, check: &mut impl FnMut(bool, &str, &str)) {
        let twilio = &self.twilio;
        check(is_http(&twilio.base_url), "providers.twilio.base_url", "write a URL such as https://api.twilio.com");
        check(is_timeout(twilio.timeout_seconds, lease_seconds), "providers.twilio.timeout_seconds", TIMEOUT);
        if chosen == "twilio" {
            twilio.validate(check);
        }
    }
}

impl Twilio {
    fn validate(&self, check: &mut impl FnMut(bool, &str, &str)) {
        let given = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.trim().is_empty());
        let sid = self.account_sid.as_ref().is_some_and(|sid| is_sid(sid));
        check(sid, "providers.twilio.account_sid", "needed for twilio: letters and digits, such as AC followed by 32");
        check(given(&self.auth_token), "providers.twilio.auth_token", "needed for twilio");
        let one = given(&self.from) != given(&self.messaging_service_sid);
        check(one, "providers.twilio.from", "give either from or messaging_service_sid");
        // A sender is a number, a short code, or a name of at most 11 letters and digits.
        let sender = self.from.as_ref().is_none_or(|from| {
            let name = from.len() <= 11 && from.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
            is_e164(from) || (name && !from.trim().is_empty())
        });
        check(sender, "providers.twilio.from", "write a number such as +17805550100, or a name of at most 11 letters");
        let pool = self.messaging_service_sid.as_ref().is_none_or(|sid| is_sid(sid));
        check(pool, "providers.twilio.messaging_service_sid", "letters and digits, such as MG followed by 32");
    }
}

fn is_sid(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// What a layer of the configuration may have taken for a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Number(u64),
    Text(String),
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TextOrNumber>, D::Error> {
    Option::<TextOrNumber>::deserialize(deserializer)
        .map_err(|_| de::Error::custom("must be a text; put it into quotes"))
}

fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(text_or_number(deserializer)?.map(|value| match value {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    }))
}

/// An environment variable's `+17805550100` arrives as a number, its sign lost; six digits at most are a short code.
fn sender<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(text_or_number(deserializer)?.map(|value| match value {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) if number > 999_999 => format!("+{number}"),
        TextOrNumber::Number(number) => number.to_string(),
    }))
}
