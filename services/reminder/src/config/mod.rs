//! The section `reminder`.

mod providers;
mod smtp;

use std::fmt;

pub use providers::{Http, Providers, Twilio, Vonage};
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};
pub use smtp::Smtp;

/// The section `reminder`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who sends text messages: `sandbox` (kept here, nobody receives them), `twilio`,
    /// `vonage`, or `http` (whoever takes signed JSON).
    pub sms_provider: String,
    /// Who sends the text messages that `sms_provider` does not take: `twilio`, `vonage` or `http`, and not the same. None:
    /// they wait for it.
    pub sms_fallback: Option<String>,
    /// Where patients and providers reach the public interface, such as `https://book.example.org`, without a slash at
    /// the end. The binary knows it as `public_url`, too. None: messages carry no link, and providers are not asked to
    /// report what became of a message.
    pub public_url: Option<String>,
    /// Whether patients may answer by text message: reminders then ask them to. Only where each SMS provider passes replies
    /// on, and not where messages come from a name.
    pub replies: bool,
    /// How long a message about a moved visit waits for the move to settle, 0 to 3600 seconds.
    pub settle_seconds: u32,
    /// Messages that a patient gets on one day of the location's clock, 1 to 50. What waits until tomorrow is never a
    /// reminder, a cancellation or a move.
    pub daily_max: u32,
    /// Messages on their way at a time, 1 to 256.
    pub concurrency: u32,
    /// How long a process may be busy with one message before another may take it up, 30 to 3600 seconds.
    pub lease_seconds: u32,
    /// Segments of text messages that this process gives each provider a second, 0 to 10000; 0: as many as it takes. A long code
    /// of the United States sends about one.
    pub sms_per_second: u32,
    /// E-mails that this process gives the mail server a second, 0 to 10000; 0: as many as it takes.
    pub emails_per_second: u32,
    /// So many messages in a row that a provider did not answer, and it is left alone for a while, 0 to 1000; 0: never.
    pub breaker_failures: u32,
    /// How often a message is given to each provider that does not take it (busy, or not reached), 1 to 20 times.
    pub attempts_max: u32,
    /// The providers.
    pub providers: Providers,
    /// The mail server; without one, e-mails stay in the sandbox.
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

impl Default for Config {
    fn default() -> Self {
        Self {
            sms_provider: "sandbox".into(),
            sms_fallback: None,
            public_url: None,
            replies: true,
            settle_seconds: 120,
            daily_max: 8,
            concurrency: 24,
            lease_seconds: 120,
            sms_per_second: 0,
            emails_per_second: 0,
            breaker_failures: 20,
            attempts_max: 6,
            providers: Providers::default(),
            smtp: Smtp::default(),
            webhooks: Webhooks::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("reminder::Config").field("sms_provider", &self.sms_provider).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the files that the configuration names, so that a wrong one is refused before anything is opened.
    ///
    /// # Errors
    /// When `smtp.ca_file` cannot be read or holds no certificate.
    pub fn check_files(&self) -> Result<(), crate::Error> {
        match &self.smtp.url {
            Some(url) => {
                crate::providers::smtp::check_trust(url, self.smtp.ca_file.as_deref()).map_err(crate::Error::Smtp)
            }
            None => Ok(()),
        }
    }

    /// Who sends text messages, in the order in which they are asked.
    pub(crate) fn sms_providers(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.sms_provider.as_str()).chain(self.sms_fallback.as_deref())
    }

    /// Whether a patient's answer comes here: not to a name, and not from the sandbox. The text is made before it is known
    /// who sends it, so each must hear.
    pub(crate) fn hears_replies(&self) -> bool {
        let named = |from: &Option<String>| from.as_ref().is_some_and(|from| from.chars().any(char::is_alphabetic));
        let heard = |name: &str| match name {
            "twilio" => !named(&self.providers.twilio.from),
            "vonage" => self.providers.vonage.signature_secret.is_some() && !named(&self.providers.vonage.from),
            "http" => true,
            _ => false,
        };
        self.replies && self.sms_providers().all(heard)
    }
}

impl Section for Config {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let mut check = |holds: bool, key: &str, problem: &str| {
            if !holds {
                faults.push(Fault { key: format!("{at}{key}"), problem: problem.to_owned() });
            }
        };
        let known = matches!(self.sms_provider.as_str(), "sandbox" | "twilio" | "vonage" | "http");
        check(known, "sms_provider", "use sandbox, twilio, vonage or http");
        let known = self.sms_fallback.as_deref().is_none_or(|name| matches!(name, "twilio" | "vonage" | "http"));
        check(known, "sms_fallback", "use twilio, vonage or http, or leave it out");
        let other = self.sms_fallback.as_ref() != Some(&self.sms_provider);
        check(other, "sms_fallback", "must be another than reminder.sms_provider");
        check(self.public_url.as_deref().is_none_or(is_public_url), "public_url", PUBLIC_URL_FORM);
        check(self.settle_seconds <= 3600, "settle_seconds", "must lie between 0 and 3600");
        check((1..=50).contains(&self.daily_max), "daily_max", "must lie between 1 and 50");
        check((1..=256).contains(&self.concurrency), "concurrency", "must lie between 1 and 256");
        check((30..=3600).contains(&self.lease_seconds), "lease_seconds", "must lie between 30 and 3600");
        for (key, rate) in [("sms_per_second", self.sms_per_second), ("emails_per_second", self.emails_per_second)] {
            check(rate <= 10_000, key, "must lie between 0 and 10000");
            // Who waits for a turn has a lease: the last in line must have it in half of that.
            let in_time = rate == 0 || self.concurrency * 2 <= rate * self.lease_seconds / 2;
            check(in_time, key, "too slow for so many at a time: lower reminder.concurrency");
        }
        check(self.breaker_failures <= 1000, "breaker_failures", "must lie between 0 and 1000");
        check((1..=20).contains(&self.attempts_max), "attempts_max", "must lie between 1 and 20");
        self.providers.validate(self.sms_providers(), self.lease_seconds, &mut check);
        self.smtp.validate(self.lease_seconds, &mut check);
    }
}

/// What [`is_public_url`] asks for, in words.
pub const PUBLIC_URL_FORM: &str = "write a URL such as https://book.example.org, without a slash at the end";

/// Whether paths can be put behind a URL as they are.
pub fn is_public_url(url: &str) -> bool {
    let plain = |url: reqwest::Url| url.query().is_none() && url.fragment().is_none();
    is_http(url) && !url.ends_with('/') && reqwest::Url::parse(url).is_ok_and(plain)
}

fn is_http(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

/// How long anybody may take to answer. The lease of a message must outlast it, with time to record the outcome.
const TIMEOUT: &str = "must lie between 1 and 60, and 10 below reminder.lease_seconds";

fn is_timeout(seconds: u32, lease_seconds: u32) -> bool {
    (1..=60).contains(&seconds) && seconds + 10 <= lease_seconds
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
            ("smtp.url", "smtp://user:hunter2@mail.example.org"),
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
            "smtp.from",
            "smtp.timeout_seconds",
            "providers.twilio.base_url",
            "providers.twilio.account_sid",
            "providers.twilio.auth_token",
            "providers.twilio.from",
            "providers.twilio.timeout_seconds",
        ] {
            assert!(error.contains(&format!("reminder.{key}:")), "{key} is missing in {error}");
        }
        assert!(!error.contains("hunter2"));
        assert!(load(&[("sms_provider", "pigeon")]).unwrap_err().contains("use sandbox, twilio, vonage or http"));
    }

    #[test]
    fn what_the_chosen_provider_needs_is_asked_for() {
        let error = load(&[("sms_provider", "vonage"), ("providers.vonage.from", "much too long a name")]).unwrap_err();
        for key in ["api_key", "api_secret", "signature_secret", "from"] {
            assert!(error.contains(&format!("reminder.providers.vonage.{key}:")), "{key} is missing in {error}");
        }
        let mut flags = vec![
            ("sms_provider", "vonage"),
            ("providers.vonage.api_key", "12345678"),
            ("providers.vonage.api_secret", "hunter2"),
            ("providers.vonage.signature_secret", "hunter3"),
            ("providers.vonage.from", "+15005550006"),
        ];
        let config = load(&flags).unwrap();
        assert_eq!(config.providers.vonage.api_key.as_deref(), Some("12345678"));
        assert!(!format!("{:?}", config.providers).contains("hunter"));
        let http =
            [("sms_provider", "http"), ("providers.http.url", "sms.example.org"), ("providers.http.secret", "hunter2")];
        let error = load(&http).unwrap_err();
        assert!(error.contains("providers.http.url:") && error.contains("providers.http.secret:"), "{error}");
        assert!(!error.contains("hunter"));
        let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let http = [
            ("sms_provider", "http"),
            ("providers.http.url", "https://sms.example.org/m"),
            ("providers.http.secret", secret),
        ];
        assert!(!format!("{:?}", load(&http).unwrap().providers).contains(secret));
        flags.push(("providers.vonage.timeout_seconds", "0"));
        assert!(load(&flags).unwrap_err().contains("vonage.timeout_seconds"));
    }

    #[test]
    fn a_fallback_is_another_provider_and_as_complete() {
        let first = ("sms_provider", "http");
        let url = ("providers.http.url", "https://sms.example.org/m");
        let secret = ("providers.http.secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let error = load(&[first, url, secret, ("sms_fallback", "vonage")]).unwrap_err();
        for key in ["api_key", "api_secret", "signature_secret", "from"] {
            assert!(error.contains(&format!("reminder.providers.vonage.{key}:")), "{key} is missing in {error}");
        }
        let same = load(&[first, url, secret, ("sms_fallback", "http")]).unwrap_err();
        assert!(same.contains("reminder.sms_fallback: must be another"), "{same}");
        let sandbox = load(&[("sms_fallback", "sandbox")]).unwrap_err();
        assert!(sandbox.contains("reminder.sms_fallback: use twilio, vonage or http"), "{sandbox}");
        let mut flags = vec![first, url, secret, ("sms_fallback", "vonage")];
        flags.extend([
            ("providers.vonage.api_key", "12345678"),
            ("providers.vonage.api_secret", "hunter2"),
            ("providers.vonage.signature_secret", "hunter3"),
            ("providers.vonage.from", "+15005550006"),
        ]);
        let config = load(&flags).unwrap();
        assert!(config.sms_providers().eq(["http", "vonage"]) && config.hears_replies());
        // Who writes under a name hears no answer, so nobody is asked for one.
        flags.push(("providers.vonage.from", "Northside"));
        assert!(!load(&flags).unwrap().hears_replies());
    }

    #[test]
    fn a_file_of_authorities_is_for_tls() {
        let with =
            |url| load(&[("smtp.url", url), ("smtp.from", "a@example.org"), ("smtp.ca_file", "/nowhere/ca.pem")]);
        // Read by the service itself: in other processes of the same configuration it need not be.
        assert!(with("smtps://mail.example.org").is_ok());
        let error = with("smtp://127.0.0.1").unwrap_err();
        assert!(error.contains("reminder.smtp.ca_file: leave it out"), "{error}");
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
