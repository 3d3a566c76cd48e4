//! An SMS gateway of the clinic's own: JSON over HTTP, signed to Standard Webhooks, each message under its own id.
//!
//! The gateway sends a repeated id only once. After a timeout or a server error the message is therefore sent again, to this
//! gateway and to no other provider.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use rpc::Fault;
use runtime::Clock;
use serde::{Deserialize, Serialize};
use signing::{Headers, ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER};
use wire::reminder::ReceiveRequest;

use super::{
    OutgoingMessage, Provider, SendOutcome,
    fields::{self, Fields, field, header},
    http_client,
    inbound::{self, InboundMessage},
    receipt::{DeliveryReceipt, Retry, Stage},
};
use crate::config::Http as Config;

/// The error code of a patient who opted out.
const OPTED_OUT: &str = "opted_out";
/// The fields of a receipt that are stored.
const RETAINED: [&str; 3] = ["id", "status", "error_code"];

/// The provider `http`.
pub(crate) struct Http {
    client: Client,
    url: String,
    /// `None`: neither sends nor verifies. A validated configuration always has one.
    secret: Option<Secret>,
    clock: Clock,
}

/// The body of a request.
#[derive(Serialize)]
struct RequestBody<'a> {
    id: &'a str,
    to: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_url: Option<&'a str>,
}

/// The fields of an answer that matter here; all are optional.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    /// The gateway's id of the message.
    #[serde(default)]
    id: String,
    /// The cause of a refusal.
    #[serde(default)]
    code: String,
}

impl Http {
    /// The provider for a validated configuration.
    pub(crate) fn new(config: &Config, clock: Clock) -> Result<Self, reqwest::Error> {
        let url = config.url.clone().unwrap_or_default();
        let secret = config.secret.as_deref().and_then(|secret| secret.parse().ok());
        Ok(Self { client: http_client::client(config.timeout_seconds)?, url, secret, clock })
    }
}

#[tonic::async_trait]
impl Provider for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn send(&self, message: &OutgoingMessage) -> SendOutcome {
        let OutgoingMessage { key: id, to, text, callback_url, .. } = message;
        let Ok(body) = serde_json::to_vec(&RequestBody { id, to, text, status_url: callback_url.as_deref() }) else {
            return SendOutcome::refused("invalid_message");
        };
        let Some(secret) = &self.secret else { return SendOutcome::refused("no_secret") };
        let timestamp = self.clock.now().as_second();
        let request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ID_HEADER, id)
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, secret.sign(id, timestamp, &body));
        let response = match request.body(body).send().await {
            Ok(response) => response,
            Err(error) => {
                return match http_client::outcome_of_error(&error) {
                    SendOutcome::Unknown { .. } => SendOutcome::may_hold("no_answer"),
                    outcome => outcome,
                };
            }
        };
        let (status, retry_after) = (response.status(), http_client::retry_after(response.headers()));
        outcome(status, retry_after, http_client::read_json(response).await.unwrap_or_default())
    }

    fn verify(&self, callback: &ReceiveRequest, now: Timestamp) -> Result<Fields, Fault> {
        let headers = Headers {
            id: header(callback, ID_HEADER),
            timestamp: header(callback, TIMESTAMP_HEADER),
            signature: header(callback, SIGNATURE_HEADER),
        };
        let secret = self.secret.as_ref();
        if !secret.is_some_and(|secret| secret.verifies(&headers, &callback.body, now.as_second())) {
            return Err(fields::invalid_signature());
        }
        // The signature covers the body alone, so no field may come from elsewhere.
        fields::parse_json(&callback.body)
    }

    fn parse_receipt(&self, fields: &Fields) -> Result<Option<DeliveryReceipt>, Fault> {
        let fault = |code, detail| Fault::violation("/status", code, detail);
        match (parse_receipt(fields), field(fields, "status")) {
            (Some(receipt), _) => Ok(Some(receipt)),
            (None, "") => Err(fault("missing", "this field is needed: sent, delivered, undelivered or failed")),
            (None, _) => Err(fault("invalid_value", "expected one of sent, delivered, undelivered, failed")),
        }
    }

    fn parse_inbound(&self, fields: &Fields) -> Result<Option<InboundMessage>, Fault> {
        inbound::parse(fields).map(Some)
    }

    fn uses_own_format(&self) -> bool {
        true
    }
}

/// The outcome that an answer stands for. A 429, and a 503 with `retry-after`, say that the gateway did not accept the
/// message; a 503 without it may come from any proxy on the way.
fn outcome(status: StatusCode, retry_after: Option<Duration>, answer: Answer) -> SendOutcome {
    let code = match fields::error_code(&answer.code) {
        code if code.is_empty() => status.as_u16().to_string(),
        code => code,
    };
    match status {
        status if status.is_success() => SendOutcome::sent(answer.id),
        StatusCode::TOO_MANY_REQUESTS => SendOutcome::Busy { retry_after, code, may_hold: false },
        status if status.is_client_error() => SendOutcome::Refused { opted_out: code == OPTED_OUT, code },
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => {
            SendOutcome::Busy { retry_after, code, may_hold: false }
        }
        _ => SendOutcome::Busy { retry_after, code, may_hold: true },
    }
}

/// `None` for an unknown status.
fn parse_receipt(fields: &[(String, String)]) -> Option<DeliveryReceipt> {
    let stage = match field(fields, "status") {
        "sent" => Stage::Sent,
        "delivered" => Stage::Delivered,
        "undelivered" => Stage::Undelivered,
        "failed" => Stage::Failed,
        _ => return None,
    };
    let error_code = fields::error_code(field(fields, "error_code"));
    let id = field(fields, "id");
    Some(DeliveryReceipt {
        stage,
        // The field `id` holds our id, not the gateway's.
        id: String::new(),
        is_part: false,
        reference: (!id.is_empty()).then(|| id.to_owned()),
        by_key: true,
        opted_out: error_code == OPTED_OUT,
        filtered: false,
        // The gateway knows why the attempt failed and retries by itself.
        retry: Retry::Never,
        error_code,
        retained: fields::select_as_json(fields, &RETAINED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> SendOutcome {
        outcome(StatusCode::from_u16(status).unwrap(), None, serde_json::from_str(body).unwrap_or_default())
    }

    #[test]
    fn each_answer_has_one_meaning() {
        assert_eq!(answered(202, r#"{"id":"theirs","more":1}"#), SendOutcome::sent("theirs"));
        assert_eq!(answered(204, ""), SendOutcome::sent(""));
        assert_eq!(answered(429, ""), SendOutcome::busy("429"));
        for status in [500, 502, 503, 504, 302] {
            assert_eq!(answered(status, ""), SendOutcome::may_hold(status.to_string()));
        }
        assert_eq!(answered(503, r#"{"code":"maintenance"}"#), SendOutcome::may_hold("maintenance"));
        // A gateway that names a delay did not accept the message; one that failed may have.
        let retry_after = Some(Duration::from_secs(90));
        for (status, may_hold) in [(429, false), (503, false), (500, true)] {
            let code = status.to_string();
            let answered = outcome(StatusCode::from_u16(status).unwrap(), retry_after, Answer::default());
            assert_eq!(answered, SendOutcome::Busy { retry_after, code, may_hold });
        }
        for status in [400, 401, 404, 410, 422] {
            assert_eq!(answered(status, "no json"), SendOutcome::refused(status.to_string()));
        }
        assert_eq!(answered(422, r#"{"code":"invalid number +1"}"#), SendOutcome::refused("invalidnumber1"));
        assert_eq!(
            answered(422, r#"{"code":"opted_out"}"#),
            SendOutcome::Refused { code: "opted_out".into(), opted_out: true }
        );
    }

    #[test]
    fn receipts_are_parsed_into_stages() {
        let report = |body: &str| parse_receipt(&fields::of_json(body.as_bytes()));
        let stage = |status| report(&format!(r#"{{"status":"{status}"}}"#)).map(|receipt| receipt.stage);
        let known = ["sent", "delivered", "undelivered", "failed"].map(|status| stage(status).unwrap());
        assert_eq!(known, [Stage::Sent, Stage::Delivered, Stage::Undelivered, Stage::Failed]);
        assert_eq!((stage("queued"), report("[]"), report("")), (None, None, None));
        let lost =
            report(r#"{"id":"msg_1-2","status":"failed","error_code":"opted_out","to":"+15005550009"}"#).unwrap();
        assert_eq!((lost.reference.as_deref(), lost.opted_out), (Some("msg_1-2"), true));
        assert_eq!(lost.retained, r#"{"id":"msg_1-2","status":"failed","error_code":"opted_out"}"#);
    }
}
