//! The section `reminder.providers`: the SMS providers.

use std::fmt;

use domain::patient::is_e164;
use serde::{Deserialize, Deserializer, Serialize, de};
use signing::Secret;

use super::{TIMEOUT, is_http, is_timeout};

/// The section `reminder.providers`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Providers {
    /// Twilio, or a service with its API.
    pub twilio: Twilio,
    /// Vonage, or a service with its SMS API.
    pub vonage: Vonage,
    /// A gateway of your own that takes signed JSON.
    pub http: Http,
}

/// The section `reminder.providers.twilio`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Twilio {
    /// The base URL of the API.
    pub base_url: String,
    /// The account's id.
    #[serde(deserialize_with = "plain")]
    pub account_sid: Option<String>,
    /// The account's auth token: authenticates requests, and verifies the signatures of callbacks.
    #[serde(deserialize_with = "plain")]
    pub auth_token: Option<String>,
    /// The sender, a number or a name; this or `messaging_service_sid`.
    #[serde(deserialize_with = "sender")]
    pub from: Option<String>,
    /// The pool of sender numbers; this or `from`.
    #[serde(deserialize_with = "plain")]
    pub messaging_service_sid: Option<String>,
    /// The timeout of a request, 1 to 60 seconds; after it the outcome is unknown.
    pub timeout_seconds: u32,
}

/// The section `reminder.providers.vonage`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vonage {
    /// The base URL of the API.
    pub base_url: String,
    /// The account's key.
    #[serde(deserialize_with = "plain")]
    pub api_key: Option<String>,
    /// The account's secret.
    #[serde(deserialize_with = "plain")]
    pub api_secret: Option<String>,
    /// Verifies the signatures of receipts; the account's signature method must be SHA-256 HMAC, and receipts must come by
    /// POST.
    #[serde(deserialize_with = "plain")]
    pub signature_secret: Option<String>,
    /// The sender, a number or a name.
    #[serde(deserialize_with = "sender")]
    pub from: Option<String>,
    /// The timeout of a request, 1 to 60 seconds; after it the outcome is unknown.
    pub timeout_seconds: u32,
}

/// The section `reminder.providers.http`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The URL to which messages are posted.
    pub url: Option<String>,
    /// Signs messages and verifies the signatures of callbacks (Standard Webhooks): `whsec_` and base64 of 24 to 64 bytes.
    pub secret: Option<String>,
    /// The timeout of a request, 1 to 60 seconds; after it the message is sent again under the same id.
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

impl Default for Vonage {
    fn default() -> Self {
        Self {
            base_url: "https://rest.nexmo.com".into(),
            api_key: None,
            api_secret: None,
            signature_secret: None,
            from: None,
            timeout_seconds: 10,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { url: None, secret: None, timeout_seconds: 10 }
    }
}

impl fmt::Debug for Http {
    /// Shows no URL: its path may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("configured", &self.url.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twilio").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl fmt::Debug for Vonage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vonage").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Providers {
    pub(super) fn validate<'a>(
        &self,
        chosen: impl Iterator<Item = &'a str>,
        lease_seconds: u32,
        check: &mut impl FnMut(bool, &str, &str),
    ) {
        let twilio = &self.twilio;
        check(is_http(&twilio.base_url), "providers.twilio.base_url", "write a URL such as https://api.twilio.com");
        check(is_timeout(twilio.timeout_seconds, lease_seconds), "providers.twilio.timeout_seconds", TIMEOUT);
        let vonage = &self.vonage;
        check(is_http(&vonage.base_url), "providers.vonage.base_url", "write a URL such as https://rest.nexmo.com");
        check(is_timeout(vonage.timeout_seconds, lease_seconds), "providers.vonage.timeout_seconds", TIMEOUT);
        let timeout = self.http.timeout_seconds;
        check(is_timeout(timeout, lease_seconds), "providers.http.timeout_seconds", TIMEOUT);
        for name in chosen {
            match name {
                "twilio" => twilio.validate(check),
                "vonage" => vonage.validate(check),
                "http" => self.http.validate(check),
                _ => {}
            }
        }
    }
}

impl Twilio {
    fn validate(&self, check: &mut impl FnMut(bool, &str, &str)) {
        let sid = self.account_sid.as_ref().is_some_and(|sid| is_sid(sid));
        check(sid, "providers.twilio.account_sid", "needed for twilio: letters and digits, such as AC followed by 32");
        check(given(&self.auth_token), "providers.twilio.auth_token", "needed for twilio");
        let exactly_one = given(&self.from) != given(&self.messaging_service_sid);
        check(exactly_one, "providers.twilio.from", "give either from or messaging_service_sid");
        let sender = self.from.as_ref().is_none_or(|from| is_sender(from));
        check(sender, "providers.twilio.from", SENDER);
        let pool = self.messaging_service_sid.as_ref().is_none_or(|sid| is_sid(sid));
        check(pool, "providers.twilio.messaging_service_sid", "letters and digits, such as MG followed by 32");
    }
}

impl Vonage {
    fn validate(&self, check: &mut impl FnMut(bool, &str, &str)) {
        check(given(&self.api_key), "providers.vonage.api_key", "needed for vonage");
        check(given(&self.api_secret), "providers.vonage.api_secret", "needed for vonage");
        let problem = "needed for vonage: without it nobody can tell its receipts from others'";
        check(given(&self.signature_secret), "providers.vonage.signature_secret", problem);
        check(self.from.as_ref().is_some_and(|from| is_sender(from)), "providers.vonage.from", SENDER);
    }
}

impl Http {
    fn validate(&self, check: &mut impl FnMut(bool, &str, &str)) {
        let url = self.url.as_ref().is_some_and(|url| is_http(url));
        check(url, "providers.http.url", "needed for http: write a URL such as https://sms.example.org/messages");
        let secret = self.secret.as_deref().is_some_and(|secret| secret.parse::<Secret>().is_ok());
        check(secret, "providers.http.secret", "needed for http: whsec_ and base64 of 24 to 64 bytes");
    }
}

const SENDER: &str = "write a number such as +17805550100, or a name of at most 11 letters";

/// Whether the text is a phone number, a short code, or a name of at most 11 letters, digits and spaces.
fn is_sender(from: &str) -> bool {
    let name = from.len() <= 11 && from.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
    is_e164(from) || (name && !from.trim().is_empty())
}

fn given(value: &Option<String>) -> bool {
    value.as_ref().is_some_and(|text| !text.trim().is_empty())
}

fn is_sid(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A text that a layer of the configuration may have parsed as a number.
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

/// `+17805550100` in an environment variable arrives as a number without its sign; at most six digits are a short code.
fn sender<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(text_or_number(deserializer)?.map(|value| match value {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) if number > 999_999 => format!("+{number}"),
        TextOrNumber::Number(number) => number.to_string(),
    }))
}
