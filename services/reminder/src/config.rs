//! The section `reminder`.

use std::fmt;

use domain::patient::is_e164;
use runtime::config::{Fault, Section};
use serde::{Deserialize, Deserializer, Serialize, de};

/// The section `reminder`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who sends text messages: `sandbox` (kept here, nobody receives them) or `twilio`.
    pub sms_provider: String,
    /// Where patients and providers reach the public interface, such as `https://book.example.org`, without a slash at
    /// the end. None: messages carry no link, and providers are not asked to report what became of a message.
    pub public_url: Option<String>,
    /// How long a message about a moved visit waits for the move to settle, 0 to 3600 seconds.
    pub settle_seconds: u32,
    /// Messages on their way at a time, 1 to 256.
    pub concurrency: u32,
    /// How long a process may be busy with one message before another may take it up, 30 to 3600 seconds.
    pub lease_seconds: u32,
    /// How often a message is given to a provider that does not take it (busy, or not reached), 1 to 20 times.
    pub attempts_max: u32,
    /// The providers.
    pub providers: Providers,
    /// The mail server.
    pub smtp: Smtp,
    /// Webhooks.
    pub webhooks: Webhooks,
}

/// The section `reminder.webhooks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Whether endpoints may be in private networks, and over `http`: for installations whose users are trusted with that.
    pub private_addresses: bool,
}

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

/// The section `reminder.smtp`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The mail server's URL.
    pub url: Option<String>,
    /// The address that e-mails come from.
    pub from: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sms_provider: "sandbox".into(),
            public_url: None,
            settle_seconds: 120,
            concurrency: 8,
            lease_seconds: 120,
            attempts_max: 6,
            providers: Providers::default(),
            smtp: Smtp::default(),
            webhooks: Webhooks::default(),
        }
    }
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

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("reminder::Config").field("sms_provider", &self.sms_provider).finish_non_exhaustive()
    }
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twilio").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl fmt::Debug for Smtp {
    /// Shows no URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("configured", &self.url.is_some()).finish_non_exhaustive()
    }
}

impl Section for Config {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let mut check = |holds: bool, key: &str, problem: &str| {
            if !holds {
                faults.push(Fault { key: format!("{at}{key}"), problem: problem.to_owned() });
            }
        };
        match self.sms_provider.as_str() {
            "sandbox" | "twilio" => {}
            "http" => check(false, "sms_provider", "http is not there yet; use sandbox or twilio"),
            _ => check(false, "sms_provider", "use sandbox or twilio"),
        }
        let url = self.public_url.as_deref().is_none_or(|url| is_http(url) && !url.ends_with('/'));
        check(url, "public_url", "write a URL such as https://book.example.org, without a slash at the end");
        check(self.settle_seconds <= 3600, "settle_seconds", "must lie between 0 and 3600");
        check((1..=256).contains(&self.concurrency), "concurrency", "must lie between 1 and 256");
        check((30..=3600).contains(&self.lease_seconds), "lease_seconds", "must lie between 30 and 3600");
        check((1..=20).contains(&self.attempts_max), "attempts_max", "must lie between 1 and 20");
        let mail = self.smtp.url.is_none() && self.smtp.from.is_none();
        check(mail, "smtp.url", "sending e-mail is not there yet; leave smtp out, and e-mails stay in the sandbox");
        let twilio = &self.providers.twilio;
        check(is_http(&twilio.base_url), "providers.twilio.base_url", "write a URL such as https://api.twilio.com");
        let within = (1..=60).contains(&twilio.timeout_seconds) && twilio.timeout_seconds + 10 <= self.lease_seconds;
        let problem = "must lie between 1 and 60, and 10 below reminder.lease_seconds";
        check(within, "providers.twilio.timeout_seconds", problem);
        if self.sms_provider == "twilio" {
            twilio.validate(&mut check);
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

fn is_http(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Root {
        reminder: Config,
    }

    impl Section for Root {
        fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
            self.reminder.validate(&format!("{at}reminder."), faults);
        }
    }

    fn load(flags: &[(&str, &str)]) -> Result<Config, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"").unwrap();
        let flags: Vec<_> = flags.iter().map(|(k, v)| (format!("reminder.{k}"), (*v).to_owned())).collect();
        runtime::config::load::<Root>(Some(file.path()), &flags)
            .map(|root| root.reminder)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_valid_and_keep_messages_in_the_sandbox() {
        let config = load(&[]).unwrap();
        assert_eq!((config.sms_provider.as_str(), config.settle_seconds), ("sandbox", 120));
    }

    #[test]
    fn every_fault_is_named_and_no_secret_is_repeated() {
        let error = load(&[
            ("sms_provider", "twilio"),
            ("public_url", "book.example.org/"),
            ("concurrency", "0"),
            ("attempts_max", "0"),
            ("lease_seconds", "5"),
            ("smtp.url", "smtp://user:hunter2@mail"),
            ("providers.twilio.base_url", "nowhere"),
            ("providers.twilio.account_sid", "AC/../x"),
        ])
        .unwrap_err();
        for key in [
            "public_url",
            "concurrency",
            "attempts_max",
            "lease_seconds",
            "smtp.url",
            "providers.twilio.base_url",
            "providers.twilio.account_sid",
            "providers.twilio.auth_token",
            "providers.twilio.from",
            "providers.twilio.timeout_seconds",
        ] {
            assert!(error.contains(&format!("reminder.{key}:")), "{key} is missing in {error}");
        }
        assert!(!error.contains("hunter2"));
        assert!(load(&[("sms_provider", "http")]).unwrap_err().contains("http is not there yet"));
        assert!(load(&[("sms_provider", "pigeon")]).unwrap_err().contains("use sandbox or twilio"));
    }

    #[test]
    fn a_number_survives_the_way_through_an_environment_variable() {
        let config = load(&[
            ("sms_provider", "twilio"),
            ("providers.twilio.account_sid", "AC00000000000000000000000000000000"),
            ("providers.twilio.auth_token", "12345"),
            ("providers.twilio.from", "+15005550006"),
        ])
        .unwrap();
        assert_eq!(config.providers.twilio.from.as_deref(), Some("+15005550006"));
        assert_eq!(config.providers.twilio.auth_token.as_deref(), Some("12345"));
        assert!(!format!("{config:?} {:?}", config.providers).contains("12345"));
    }
}
