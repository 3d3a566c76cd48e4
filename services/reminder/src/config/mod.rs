//! The section `reminder`.

mod limits;
mod providers;
mod smtp;
mod smtp_server;

use std::{collections::BTreeMap, fmt};

use domain::id::OrganizationId;
pub use limits::{Organization, Verifications};
pub use providers::{Http, Providers, Twilio, Vonage};
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};
pub use smtp::Smtp;
pub(crate) use smtp_server::{Security, SmtpServer};

/// The section `reminder`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The SMS provider: `sandbox` (delivers to nobody; the messages are readable here), `twilio`, `vonage`, or `http` (a
    /// gateway of your own that takes signed JSON).
    pub sms_provider: String,
    /// The SMS provider for messages that `sms_provider` does not accept: `twilio`, `vonage` or `http`, and another one. None:
    /// such messages wait.
    pub sms_fallback: Option<String>,
    /// The URL at which patients and providers reach the public interface, such as `https://book.example.org`, without a
    /// slash at the end. The binary's setting `public_url` is its default. None: messages carry no link, and providers send
    /// no delivery receipts.
    pub public_url: Option<String>,
    /// Whether reminders ask patients to reply by text message. Takes effect where each SMS provider passes replies on and
    /// no sender is alphanumeric.
    pub replies: bool,
    /// The delay of a message about a rescheduled appointment, so that several moves give one message, 0 to 3600 seconds.
    pub settle_seconds: u32,
    /// Messages for one patient on one day of the location's clock, 1 to 50. Further messages wait for the next day, except
    /// reminders, cancellations, moves and offers.
    pub daily_max: u32,
    /// Messages to one telephone number or e-mail address in 24 hours, whatever patients and reasons, 1 to 1000. Further ones
    /// are not sent.
    pub recipient_daily_max: u32,
    /// The countries to whose telephone numbers texts go, ISO 3166-1 codes of two letters. Empty: those of the organisation and
    /// of its locations.
    pub countries: Vec<String>,
    /// Messages that this process sends at the same time, 1 to 256.
    pub concurrency: u32,
    /// The lease on a message: the time after which another process may send it, 30 to 3600 seconds.
    pub lease_seconds: u32,
    /// Segments of text messages that this process gives each provider a second, 0 to 10000; 0: no limit. A long code of the
    /// United States sends about one a second.
    pub sms_per_second: u32,
    /// E-mails that this process gives the mail server a second, 0 to 10000; 0: no limit.
    pub emails_per_second: u32,
    /// Consecutive messages without an answer after which a provider is suspended for a while, 0 to 1000; 0: never.
    pub breaker_failures: u32,
    /// Attempts with each provider that is busy or unreachable, 1 to 20.
    pub attempts_max: u32,
    /// Calls with a right signature that each provider may make for each organisation in a second, 1 to 100000: delivery
    /// reports and patients' texts. Further ones are refused with `rate_limited`.
    pub callbacks_per_second: u32,
    /// The providers.
    pub providers: Providers,
    /// The mail server; without one, e-mails go to the sandbox.
    pub smtp: Smtp,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Codes that prove a telephone number or an address.
    pub verifications: Verifications,
    /// Settings of single organisations, by id: `countries` in `[reminder.organizations.org_…]` takes the place of
    /// `reminder.countries`.
    pub organizations: BTreeMap<String, Organization>,
}

/// The section `reminder.webhooks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Whether endpoints may lie in private networks and use `http`, for installations that trust their users with that.
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
            recipient_daily_max: 30,
            countries: vec![],
            concurrency: 24,
            lease_seconds: 120,
            sms_per_second: 0,
            emails_per_second: 0,
            breaker_failures: 20,
            attempts_max: 6,
            callbacks_per_second: 500,
            providers: Providers::default(),
            smtp: Smtp::default(),
            webhooks: Webhooks::default(),
            verifications: Verifications::default(),
            organizations: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("reminder::Config").field("sms_provider", &self.sms_provider).finish_non_exhaustive()
    }
}

impl Config {
    /// The countries that are configured for an organisation; empty: its own.
    pub(crate) fn countries(&self, organization: OrganizationId) -> &[String] {
        if self.organizations.is_empty() {
            return &self.countries;
        }
        let own = self.organizations.get(&organization.to_string());
        own.and_then(|own| own.countries.as_deref()).unwrap_or(&self.countries)
    }

    /// The names of the SMS providers in order of preference.
    pub(crate) fn sms_providers(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.sms_provider.as_str()).chain(self.sms_fallback.as_deref())
    }

    /// Whether patients' replies arrive: the text is rendered before its provider is chosen, so every provider must pass
    /// replies on. Nobody can reply to an alphanumeric sender, and the sandbox passes nothing on.
    pub(crate) fn receives_replies(&self) -> bool {
        let is_alphanumeric =
            |from: &Option<String>| from.as_ref().is_some_and(|from| from.chars().any(char::is_alphabetic));
        let receives = |name: &str| match name {
            "twilio" => !is_alphanumeric(&self.providers.twilio.from),
            "vonage" => {
                self.providers.vonage.signature_secret.is_some() && !is_alphanumeric(&self.providers.vonage.from)
            }
            "http" => true,
            _ => false,
        };
        self.replies && self.sms_providers().all(receives)
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
        let differs = self.sms_fallback.as_ref() != Some(&self.sms_provider);
        check(differs, "sms_fallback", "must be another than reminder.sms_provider");
        check(self.public_url.as_deref().is_none_or(is_public_url), "public_url", PUBLIC_URL_FORM);
        check(self.settle_seconds <= 3600, "settle_seconds", "must lie between 0 and 3600");
        check((1..=50).contains(&self.daily_max), "daily_max", "must lie between 1 and 50");
        check((1..=1000).contains(&self.recipient_daily_max), "recipient_daily_max", "must lie between 1 and 1000");
        check(limits::are_countries(&self.countries), "countries", "use codes of two letters, such as CA");
        for (id, own) in &self.organizations {
            let key = format!("organizations.{id}");
            check(id.parse::<OrganizationId>().is_ok(), &key, "name an organisation by its id: org_…");
            let countries = own.countries.as_deref().is_none_or(limits::are_countries);
            check(countries, &format!("{key}.countries"), "use codes of two letters, such as CA");
        }
        self.verifications.validate(&mut check);
        check((1..=256).contains(&self.concurrency), "concurrency", "must lie between 1 and 256");
        check((30..=3600).contains(&self.lease_seconds), "lease_seconds", "must lie between 30 and 3600");
        for (key, rate) in [("sms_per_second", self.sms_per_second), ("emails_per_second", self.emails_per_second)] {
            check(rate <= 10_000, key, "must lie between 0 and 10000");
            // A message waits for its permit within its lease: the last one must get it in half of that time.
            let in_time = rate == 0 || self.concurrency * 2 <= rate * self.lease_seconds / 2;
            check(in_time, key, "too slow for so many at a time: lower reminder.concurrency");
        }
        check(self.breaker_failures <= 1000, "breaker_failures", "must lie between 0 and 1000");
        check((1..=20).contains(&self.attempts_max), "attempts_max", "must lie between 1 and 20");
        let callbacks = (1..=100_000).contains(&self.callbacks_per_second);
        check(callbacks, "callbacks_per_second", "must lie between 1 and 100000");
        self.providers.validate(self.sms_providers(), self.lease_seconds, &mut check);
        self.smtp.validate(self.lease_seconds, &mut check);
    }
}

/// The form that [`is_public_url`] requires, in words.
pub const PUBLIC_URL_FORM: &str = "write a URL such as https://book.example.org, without a slash at the end";

/// Whether a path can be appended to the URL as it is.
pub fn is_public_url(url: &str) -> bool {
    let ends_with_path = |url: reqwest::Url| url.query().is_none() && url.fragment().is_none();
    is_http(url) && !url.ends_with('/') && reqwest::Url::parse(url).is_ok_and(ends_with_path)
}

fn is_http(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

/// The fault of a timeout. The lease of a message must outlast the timeout, with time to record the outcome.
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
    fn each_fault_is_named_and_no_secret_is_repeated() {
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
    fn a_chosen_provider_without_its_settings_is_refused() {
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
    fn a_fallback_differs_from_the_first_provider_and_is_complete() {
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
        assert!(config.sms_providers().eq(["http", "vonage"]) && config.receives_replies());
        // Nobody can reply to an alphanumeric sender.
        flags.push(("providers.vonage.from", "Northside"));
        assert!(!load(&flags).unwrap().receives_replies());
    }

    #[test]
    fn a_ca_file_needs_tls() {
        let with =
            |url| load(&[("smtp.url", url), ("smtp.from", "a@example.org"), ("smtp.ca_file", "/nowhere/ca.pem")]);
        // Validation does not read the file: other processes with the same configuration may lack it.
        assert!(with("smtps://mail.example.org").is_ok());
        let error = with("smtp://127.0.0.1").unwrap_err();
        assert!(error.contains("reminder.smtp.ca_file: leave it out"), "{error}");
    }

    #[test]
    fn a_phone_number_survives_an_environment_variable() {
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
