//! Twilio's form of sending text messages, and what its answers mean.
//!
//! It has no idempotency key on create, so the one question after every failure is whether the request may have been
//! processed. A 429 and a connection that never stood say no; a silence says nothing.

use std::time::Duration;

use reqwest::{Client, StatusCode, redirect, retry};
use serde::Deserialize;

use super::{Outcome, Outgoing, Provider};
use crate::config::Twilio as Config;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Not processed, says Twilio by these codes.
const TRY_AGAIN: [u32; 3] = [20429, 20503, 21611];
/// The patient has told the carrier to stop.
pub(crate) const OPTED_OUT: u32 = 21610;
/// The sender's queue was full.
pub(crate) const QUEUE_FULL: u32 = 30001;
/// The telephone was off or out of reach.
pub(crate) const UNREACHABLE: u32 = 30003;
/// Not delivered, for no known reason.
pub(crate) const UNKNOWN: u32 = 30008;
/// The carrier took the message for spam.
pub(crate) const FILTERED: u32 = 30007;

/// The provider.
pub(crate) struct Twilio {
    client: Client,
    url: String,
    config: Config,
}

/// What is read of an answer; its other fields are not asked about.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    sid: Option<String>,
    /// The message's status, or where it was refused the HTTP status again.
    status: Option<serde_json::Value>,
    /// The code of a refusal.
    code: Option<u32>,
    /// The code of a message that was taken and failed at once.
    error_code: Option<u32>,
}

impl Twilio {
    /// The provider that the configuration, checked before, describes.
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(Duration::from_secs(u64::from(config.timeout_seconds)))
            // What is not idempotent is neither repeated nor sent elsewhere.
            .retry(retry::never())
            .redirect(redirect::Policy::none())
            .build()?;
        let account = config.account_sid.as_deref().unwrap_or_default();
        let base = config.base_url.trim_end_matches('/');
        let url = format!("{base}/2010-04-01/Accounts/{account}/Messages.json");
        Ok(Self { client, url, config: config.clone() })
    }
}

#[tonic::async_trait]
impl Provider for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    async fn send(&self, message: &Outgoing) -> Outcome {
        let mut form = vec![("To", message.to.as_str()), ("Body", message.text.as_str())];
        if let Some(from) = &self.config.from {
            form.push(("From", from));
        }
        if let Some(pool) = &self.config.messaging_service_sid {
            form.push(("MessagingServiceSid", pool));
        }
        if let Some(callback) = &message.callback {
            form.push(("StatusCallback", callback));
        }
        let account = self.config.account_sid.as_deref().unwrap_or_default();
        let request = self.client.post(&self.url).basic_auth(account, self.config.auth_token.as_ref()).form(&form);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return busy(None, "not_connected"),
            Err(error) if error.is_builder() => return refused("invalid_request"),
            Err(error) if error.is_timeout() => {
                return Outcome::Unknown { detail: "the provider did not answer in time" };
            }
            Err(_) => return Outcome::Unknown { detail: "the connection to the provider broke off" },
        };
        let status = response.status();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(seconds);
        // An answer that cannot be read is still an answer.
        let answer = response.json::<Answer>().await.unwrap_or_default();
        outcome(status, after, answer)
    }
}

/// What an answer means.
fn outcome(status: StatusCode, after: Option<Duration>, answer: Answer) -> Outcome {
    let code = answer.code.or(answer.error_code).unwrap_or(0);
    let named = |fallback: String| if code == 0 { fallback } else { code.to_string() };
    if status == StatusCode::TOO_MANY_REQUESTS || TRY_AGAIN.contains(&code) {
        return busy(after, &named("429".to_owned()));
    }
    if status.is_success() {
        let word = answer.status.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        if matches!(word, "failed" | "undelivered" | "canceled") {
            return Outcome::Refused { code: named(word.to_owned()), opted_out: code == OPTED_OUT };
        }
        return Outcome::Sent { id: answer.sid.unwrap_or_default() };
    }
    if status.is_client_error() {
        return Outcome::Refused { code: named(status.as_u16().to_string()), opted_out: code == OPTED_OUT };
    }
    // A failure of theirs, or a redirection: the message may have been taken before it.
    Outcome::Unknown { detail: "the provider failed" }
}

fn busy(after: Option<Duration>, code: &str) -> Outcome {
    Outcome::Busy { after, code: code.to_owned() }
}

fn refused(code: &str) -> Outcome {
    Outcome::Refused { code: code.to_owned(), opted_out: false }
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Outcome {
        outcome(StatusCode::from_u16(status).unwrap(), None, serde_json::from_str(body).unwrap_or_default())
    }

    #[test]
    fn each_answer_has_one_meaning() {
        let sent = read(201, r#"{"sid":"SM1","status":"queued","error_code":null,"num_segments":"1"}"#);
        assert_eq!(sent, Outcome::Sent { id: "SM1".into() });
        assert_eq!(read(200, "not json"), Outcome::Sent { id: String::new() });
        for (status, code) in [(429, 20429), (503, 20503), (400, 21611)] {
            assert_eq!(read(status, &format!(r#"{{"code":{code},"status":{status}}}"#)), busy(None, &code.to_string()));
        }
        assert_eq!(read(429, ""), busy(None, "429"));
        for code in [21211, 21612, 21614, 21635, 30005, 30006, 20003] {
            assert_eq!(read(400, &format!(r#"{{"code":{code}}}"#)), refused(&code.to_string()));
        }
        assert_eq!(
            read(400, r#"{"code":21610,"status":400}"#),
            Outcome::Refused { code: "21610".into(), opted_out: true }
        );
        assert_eq!(read(201, r#"{"sid":"SM1","status":"failed","error_code":30006}"#), refused("30006"));
        assert!(matches!(read(500, "{}"), Outcome::Unknown { .. }));
        assert!(matches!(read(503, ""), Outcome::Unknown { .. }));
        assert!(matches!(read(302, ""), Outcome::Unknown { .. }));
        assert_eq!(read(403, ""), refused("403"));
    }

    #[test]
    fn a_wait_is_read_in_seconds_only() {
        assert_eq!(seconds(" 30 "), Some(Duration::from_secs(30)));
        assert_eq!(seconds("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
