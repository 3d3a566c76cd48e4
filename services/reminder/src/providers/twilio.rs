//! Twilio's form of sending text messages, and what its answers mean.
//!
//! It has no idempotency key on create, so the one question after every failure is whether the request may have been
//! processed. A 429 and a connection that never stood say no; a silence says nothing.

mod sha1;
mod signature;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, StatusCode};
use rpc::Fault;
use serde::Deserialize;
use wire::reminder::ReceiveRequest;

pub use self::signature::twilio_signature;
use super::{
    Outcome, Outgoing, Provider, http_client as post, inbound,
    receipt::{self, Again, Fields, Receipt, Stage, field},
};
use crate::{config::Twilio as Config, replies::Heard};

/// Not processed, says Twilio by these codes.
const TRY_AGAIN: [u32; 3] = [20429, 20503, 21611];
/// The patient has told the carrier to stop.
const OPTED_OUT: u32 = 21610;
/// The sender's queue was full.
const QUEUE_FULL: u32 = 30001;
/// The telephone was off or out of reach.
const UNREACHABLE: u32 = 30003;
/// Not delivered, for no known reason.
const UNKNOWN: u32 = 30008;
/// The carrier took the message for spam.
pub(crate) const FILTERED: u32 = 30007;
/// What is kept of a report.
const KEPT: [&str; 7] =
    ["MessageSid", "MessageStatus", "ErrorCode", "AccountSid", "MessagingServiceSid", "RawDlrDoneDate", "ApiVersion"];

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
        let client = post::client(config.timeout_seconds)?;
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
            Err(error) => return post::unanswered(&error),
        };
        let status = response.status();
        let after = post::retry_after(response.headers());
        // An answer that cannot be read is still an answer.
        let answer = post::json::<Answer>(response).await.unwrap_or_default();
        outcome(status, after, answer)
    }

    fn signed(&self, call: &ReceiveRequest, _: Timestamp) -> Result<Fields, Fault> {
        let Some(token) = &self.config.auth_token else { return Err(Fault::not_found()) };
        let fields = receipt::fields(call);
        if !signature::is_valid(token, &call.url, &fields, &call.signature) {
            return Err(receipt::forged());
        }
        Ok(fields)
    }

    fn receipt(&self, fields: &Fields) -> Result<Option<Receipt>, Fault> {
        Ok(read(fields))
    }

    fn heard(&self, fields: &Fields) -> Result<Option<Heard>, Fault> {
        let from = receipt::needed(fields, "From")?;
        let pictures = field(fields, "NumMedia").parse().unwrap_or(0);
        let text = inbound::text(field(fields, "Body"), pictures);
        Ok(Heard::new("twilio", field(fields, "MessageSid"), from, &text))
    }
}

/// A report; `None` where its status is not known.
fn read(fields: &[(String, String)]) -> Option<Receipt> {
    let stage = match field(fields, "MessageStatus") {
        "accepted" | "scheduled" => Stage::Accepted,
        "queued" => Stage::Queued,
        "sending" => Stage::Sending,
        "sent" => Stage::Sent,
        "delivered" => Stage::Delivered,
        "undelivered" => Stage::Undelivered,
        "failed" | "canceled" => Stage::Failed,
        "read" => Stage::Read,
        _ => return None,
    };
    let error_code = receipt::code(field(fields, "ErrorCode"));
    let number = error_code.parse().unwrap_or(0);
    Some(Receipt {
        stage,
        id: field(fields, "MessageSid").to_owned(),
        is_part: false,
        reference: None,
        by_key: false,
        opted_out: number == OPTED_OUT,
        filtered: number == FILTERED,
        again: match number {
            QUEUE_FULL | UNREACHABLE => Again::Patiently,
            UNKNOWN => Again::Once,
            _ => Again::Never,
        },
        error_code,
        kept: receipt::kept(fields, &KEPT),
    })
}

/// What an answer means.
fn outcome(status: StatusCode, after: Option<Duration>, answer: Answer) -> Outcome {
    let code = answer.code.or(answer.error_code).unwrap_or(0);
    let named = |fallback: String| if code == 0 { fallback } else { code.to_string() };
    if status == StatusCode::TOO_MANY_REQUESTS || TRY_AGAIN.contains(&code) {
        return Outcome::Busy { after, code: named("429".to_owned()), may_hold: false };
    }
    if status.is_success() {
        let word = answer.status.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        if matches!(word, "failed" | "undelivered" | "canceled") {
            return Outcome::Refused { code: named(word.to_owned()), opted_out: code == OPTED_OUT };
        }
        return Outcome::sent(answer.sid.unwrap_or_default());
    }
    if status.is_client_error() {
        return Outcome::Refused { code: named(status.as_u16().to_string()), opted_out: code == OPTED_OUT };
    }
    // A failure of theirs, or a redirection: the message may have been taken before it.
    Outcome::Unknown { detail: "the provider failed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Outcome {
        outcome(StatusCode::from_u16(status).unwrap(), None, serde_json::from_str(body).unwrap_or_default())
    }

    #[test]
    fn each_answer_has_one_meaning() {
        let sent = answered(201, r#"{"sid":"SM1","status":"queued","error_code":null,"num_segments":"1"}"#);
        assert_eq!(sent, Outcome::sent("SM1"));
        assert_eq!(answered(200, "not json"), Outcome::sent(""));
        for (status, code) in [(429, 20429), (503, 20503), (400, 21611)] {
            assert_eq!(
                answered(status, &format!(r#"{{"code":{code},"status":{status}}}"#)),
                Outcome::busy(code.to_string())
            );
        }
        assert_eq!(answered(429, ""), Outcome::busy("429"));
        for code in [21211, 21612, 21614, 21635, 30005, 30006, 20003] {
            assert_eq!(answered(400, &format!(r#"{{"code":{code}}}"#)), Outcome::refused(code.to_string()));
        }
        assert_eq!(
            answered(400, r#"{"code":21610,"status":400}"#),
            Outcome::Refused { code: "21610".into(), opted_out: true }
        );
        assert_eq!(answered(201, r#"{"sid":"SM1","status":"failed","error_code":30006}"#), Outcome::refused("30006"));
        assert!(matches!(answered(500, "{}"), Outcome::Unknown { .. }));
        assert!(matches!(answered(503, ""), Outcome::Unknown { .. }));
        assert!(matches!(answered(302, ""), Outcome::Unknown { .. }));
        assert_eq!(answered(403, ""), Outcome::refused("403"));
    }

    #[test]
    fn reports_are_read_in_our_words() {
        let report = |status: &str, code: &str| {
            let form = [("To", "+15005550009"), ("Body", "Hello"), ("MessageStatus", status), ("ErrorCode", code)];
            read(&form.map(|(name, value)| (name.to_owned(), value.to_owned())))
        };
        let stage = |status| report(status, "").map(|it| it.stage);
        let travel = ["accepted", "queued", "sending", "sent", "delivered", "read"].map(stage).map(Option::unwrap);
        assert!(travel.windows(2).all(|pair| pair[0].rank() < pair[1].rank()));
        assert_eq!(stage("receiving"), None);
        let lost = |code| report("undelivered", code).unwrap();
        assert_eq!(["30001", "30003", "30008", "30005"].map(|code| lost(code).again), {
            [Again::Patiently, Again::Patiently, Again::Once, Again::Never]
        });
        assert!(lost("21610").opted_out && lost("30007").filtered && !lost("30003").opted_out);
        assert_eq!(lost("30003").kept, r#"{"MessageStatus":"undelivered","ErrorCode":"30003"}"#);
    }
}
