//! Twilio's Messages API: its requests, the meaning of its answers, its delivery receipts and its inbound messages.
//!
//! Twilio has no idempotency key for a new message, so each failure raises one question: may Twilio have processed the
//! request? A 429 and a refused connection say no; a timeout leaves it open. Source:
//! <https://www.twilio.com/docs/messaging/api/message-resource> and <https://www.twilio.com/docs/api/errors>.

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
    OutgoingMessage, Provider, SendOutcome,
    fields::{self, Fields, field},
    http_client,
    inbound::{InboundMessage, text_or_note},
    receipt::{DeliveryReceipt, Retry, Stage},
};
use crate::config::Twilio as Config;

/// With these codes Twilio says that it did not process the request.
const RETRYABLE: [u32; 3] = [20429, 20503, 21611];
/// The patient opted out at the carrier.
const OPTED_OUT: u32 = 21610;
/// The queue of the sender's number is full.
const QUEUE_FULL: u32 = 30001;
/// The phone is off or out of reach.
const UNREACHABLE: u32 = 30003;
/// Not delivered for an unknown reason.
const UNKNOWN: u32 = 30008;
/// The carrier filtered the message as spam.
pub(crate) const FILTERED: u32 = 30007;
/// The fields of a receipt that are stored.
const RETAINED: [&str; 7] =
    ["MessageSid", "MessageStatus", "ErrorCode", "AccountSid", "MessagingServiceSid", "RawDlrDoneDate", "ApiVersion"];

/// The provider `twilio`.
pub(crate) struct Twilio {
    client: Client,
    url: String,
    config: Config,
}

/// The fields of an answer that matter here.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    sid: Option<String>,
    /// The status of the message; in a refusal, the HTTP status.
    status: Option<serde_json::Value>,
    /// The code of a refusal.
    code: Option<u32>,
    /// The code of a message that was accepted and failed at once.
    error_code: Option<u32>,
}

impl Twilio {
    /// The provider for a validated configuration.
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let client = http_client::client(config.timeout_seconds)?;
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

    async fn send(&self, message: &OutgoingMessage) -> SendOutcome {
        let mut form = vec![("To", message.to.as_str()), ("Body", message.text.as_str())];
        if let Some(from) = &self.config.from {
            form.push(("From", from));
        }
        if let Some(pool) = &self.config.messaging_service_sid {
            form.push(("MessagingServiceSid", pool));
        }
        if let Some(url) = &message.callback_url {
            form.push(("StatusCallback", url));
        }
        let account = self.config.account_sid.as_deref().unwrap_or_default();
        let request = self.client.post(&self.url).basic_auth(account, self.config.auth_token.as_ref()).form(&form);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return http_client::outcome_of_error(&error),
        };
        let status = response.status();
        let retry_after = http_client::retry_after(response.headers());
        let answer = http_client::read_json::<Answer>(response).await.unwrap_or_default();
        outcome(status, retry_after, answer)
    }

    fn verify(&self, callback: &ReceiveRequest, _: Timestamp) -> Result<Fields, Fault> {
        let Some(token) = &self.config.auth_token else { return Err(Fault::not_found()) };
        let fields = fields::of_callback(callback);
        if !signature::is_valid(token, &callback.url, &fields, &callback.signature) {
            return Err(fields::invalid_signature());
        }
        Ok(fields)
    }

    fn parse_receipt(&self, fields: &Fields) -> Result<Option<DeliveryReceipt>, Fault> {
        Ok(parse_receipt(fields))
    }

    fn parse_inbound(&self, fields: &Fields) -> Result<Option<InboundMessage>, Fault> {
        let from = fields::required_sender(fields, "From")?;
        let pictures = field(fields, "NumMedia").parse().unwrap_or(0);
        let text = text_or_note(field(fields, "Body"), pictures);
        Ok(InboundMessage::new("twilio", field(fields, "MessageSid"), from, &text))
    }
}

/// `None` for an unknown status.
fn parse_receipt(fields: &[(String, String)]) -> Option<DeliveryReceipt> {
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
    let error_code = fields::error_code(field(fields, "ErrorCode"));
    let number = error_code.parse().unwrap_or(0);
    Some(DeliveryReceipt {
        stage,
        id: field(fields, "MessageSid").to_owned(),
        is_part: false,
        reference: None,
        by_key: false,
        opted_out: number == OPTED_OUT,
        filtered: number == FILTERED,
        retry: match number {
            QUEUE_FULL | UNREACHABLE => Retry::UpToMax,
            UNKNOWN => Retry::Once,
            _ => Retry::Never,
        },
        error_code,
        retained: fields::select_as_json(fields, &RETAINED),
    })
}

/// The outcome that an answer stands for.
fn outcome(status: StatusCode, retry_after: Option<Duration>, answer: Answer) -> SendOutcome {
    let code = answer.code.or(answer.error_code).unwrap_or(0);
    let named = |fallback: String| if code == 0 { fallback } else { code.to_string() };
    if status == StatusCode::TOO_MANY_REQUESTS || RETRYABLE.contains(&code) {
        return SendOutcome::Busy { retry_after, code: named("429".to_owned()), may_hold: false };
    }
    if status.is_success() {
        let word = answer.status.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        if matches!(word, "failed" | "undelivered" | "canceled") {
            return SendOutcome::Refused { code: named(word.to_owned()), opted_out: code == OPTED_OUT };
        }
        return SendOutcome::sent(answer.sid.unwrap_or_default());
    }
    if status.is_client_error() {
        return SendOutcome::Refused { code: named(status.as_u16().to_string()), opted_out: code == OPTED_OUT };
    }
    // A server error or a redirection: Twilio may have accepted the message before.
    SendOutcome::Unknown { detail: "the provider failed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> SendOutcome {
        outcome(StatusCode::from_u16(status).unwrap(), None, serde_json::from_str(body).unwrap_or_default())
    }

    #[test]
    fn each_answer_has_one_meaning() {
        let sent = answered(201, r#"{"sid":"SM1","status":"queued","error_code":null,"num_segments":"1"}"#);
        assert_eq!(sent, SendOutcome::sent("SM1"));
        assert_eq!(answered(200, "not json"), SendOutcome::sent(""));
        for (status, code) in [(429, 20429), (503, 20503), (400, 21611)] {
            assert_eq!(
                answered(status, &format!(r#"{{"code":{code},"status":{status}}}"#)),
                SendOutcome::busy(code.to_string())
            );
        }
        assert_eq!(answered(429, ""), SendOutcome::busy("429"));
        for code in [21211, 21612, 21614, 21635, 30005, 30006, 20003] {
            assert_eq!(answered(400, &format!(r#"{{"code":{code}}}"#)), SendOutcome::refused(code.to_string()));
        }
        assert_eq!(
            answered(400, r#"{"code":21610,"status":400}"#),
            SendOutcome::Refused { code: "21610".into(), opted_out: true }
        );
        assert_eq!(
            answered(201, r#"{"sid":"SM1","status":"failed","error_code":30006}"#),
            SendOutcome::refused("30006")
        );
        assert!(matches!(answered(500, "{}"), SendOutcome::Unknown { .. }));
        assert!(matches!(answered(503, ""), SendOutcome::Unknown { .. }));
        assert!(matches!(answered(302, ""), SendOutcome::Unknown { .. }));
        assert_eq!(answered(403, ""), SendOutcome::refused("403"));
    }

    #[test]
    fn receipts_are_parsed_into_stages() {
        let report = |status: &str, code: &str| {
            let form = [("To", "+15005550009"), ("Body", "Hello"), ("MessageStatus", status), ("ErrorCode", code)];
            parse_receipt(&form.map(|(name, value)| (name.to_owned(), value.to_owned())))
        };
        let stage = |status| report(status, "").map(|receipt| receipt.stage);
        let order = ["accepted", "queued", "sending", "sent", "delivered", "read"].map(stage).map(Option::unwrap);
        assert!(order.windows(2).all(|pair| pair[0].rank() < pair[1].rank()));
        assert_eq!(stage("receiving"), None);
        let lost = |code| report("undelivered", code).unwrap();
        assert_eq!(["30001", "30003", "30008", "30005"].map(|code| lost(code).retry), {
            [Retry::UpToMax, Retry::UpToMax, Retry::Once, Retry::Never]
        });
        assert!(lost("21610").opted_out && lost("30007").filtered && !lost("30003").opted_out);
        assert_eq!(lost("30003").retained, r#"{"MessageStatus":"undelivered","ErrorCode":"30003"}"#);
    }
}
