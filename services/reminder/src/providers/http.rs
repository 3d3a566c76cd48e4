//! Whoever sends text messages and speaks this form: JSON, signed to Standard Webhooks, each message under its own id.
//!
//! The receiver sends a message that comes again under the same id only once. So a silence and a failure of theirs are no
//! reason to leave a message unknown: it is simply given again. They are a reason to give it to nobody else.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use rpc::Fault;
use runtime::Clock;
use serde::{Deserialize, Serialize};
use signing::{Headers, ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER};
use wire::reminder::ReceiveRequest;

use super::{
    Outcome, Outgoing, Provider, http_client as post, inbound,
    receipt::{self, Again, Fields, Receipt, Stage, field, header},
};
use crate::{config::Http as Config, replies::Heard};

/// The code that says that the patient wants no more messages.
const OPTED_OUT: &str = "opted_out";
/// What is kept of a report.
const KEPT: [&str; 3] = ["id", "status", "error_code"];

/// The provider.
pub(crate) struct Http {
    client: Client,
    url: String,
    /// `None` verifies nothing; the configuration excludes it where this provider is chosen.
    secret: Option<Secret>,
    clock: Clock,
}

/// A message as it is posted.
#[derive(Serialize)]
struct Posted<'a> {
    id: &'a str,
    to: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_url: Option<&'a str>,
}

/// What is read of an answer; all of it may be missing.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    /// The receiver's own id.
    #[serde(default)]
    id: String,
    /// Why it was refused.
    #[serde(default)]
    code: String,
}

impl Http {
    /// The provider that the configuration, checked before, describes.
    pub(crate) fn new(config: &Config, clock: Clock) -> Result<Self, reqwest::Error> {
        let url = config.url.clone().unwrap_or_default();
        let secret = config.secret.as_deref().and_then(|secret| secret.parse().ok());
        Ok(Self { client: post::client(config.timeout_seconds)?, url, secret, clock })
    }
}

#[tonic::async_trait]
impl Provider for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn send(&self, message: &Outgoing) -> Outcome {
        let Outgoing { key: id, to, text, callback, .. } = message;
        let Ok(body) = serde_json::to_vec(&Posted { id, to, text, status_url: callback.as_deref() }) else {
            return Outcome::refused("invalid_message");
        };
        let Some(secret) = &self.secret else { return Outcome::refused("no_secret") };
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
                return match post::unanswered(&error) {
                    Outcome::Unknown { .. } => Outcome::may_hold("no_answer"),
                    known => known,
                };
            }
        };
        let (status, after) = (response.status(), post::retry_after(response.headers()));
        outcome(status, after, post::json(response).await.unwrap_or_default())
    }

    fn signed(&self, call: &ReceiveRequest, now: Timestamp) -> Result<Fields, Fault> {
        let headers = Headers {
            id: header(call, ID_HEADER),
            timestamp: header(call, TIMESTAMP_HEADER),
            signature: header(call, SIGNATURE_HEADER),
        };
        let secret = self.secret.as_ref();
        if !secret.is_some_and(|secret| secret.verifies(&headers, &call.body, now.as_second())) {
            return Err(receipt::forged());
        }
        // The signature covers the body: fields that were read elsewhere are nobody's.
        receipt::read_json(&call.body)
    }

    fn receipt(&self, fields: &Fields) -> Result<Option<Receipt>, Fault> {
        let fault = |code, detail| Fault::violation("/status", code, detail);
        match (read(fields), field(fields, "status")) {
            (Some(receipt), _) => Ok(Some(receipt)),
            (None, "") => Err(fault("missing", "this field is needed: sent, delivered, undelivered or failed")),
            (None, _) => Err(fault("invalid_value", "expected one of sent, delivered, undelivered, failed")),
        }
    }

    fn heard(&self, fields: &Fields) -> Result<Option<Heard>, Fault> {
        inbound::read(fields).map(Some)
    }

    fn has_our_form(&self) -> bool {
        true
    }
}

/// What an answer means. That it was not taken say a 429, and a 503 with a time to come back: one without may be of
/// anybody on the way.
fn outcome(status: StatusCode, after: Option<Duration>, answer: Answer) -> Outcome {
    let code = match receipt::code(&answer.code) {
        code if code.is_empty() => status.as_u16().to_string(),
        code => code,
    };
    match status {
        status if status.is_success() => Outcome::sent(answer.id),
        StatusCode::TOO_MANY_REQUESTS => Outcome::Busy { after, code, may_hold: false },
        status if status.is_client_error() => Outcome::Refused { opted_out: code == OPTED_OUT, code },
        StatusCode::SERVICE_UNAVAILABLE if after.is_some() => Outcome::Busy { after, code, may_hold: false },
        _ => Outcome::Busy { after, code, may_hold: true },
    }
}

/// A report; `None` where its status is not known.
fn read(fields: &[(String, String)]) -> Option<Receipt> {
    let stage = match field(fields, "status") {
        "sent" => Stage::Sent,
        "delivered" => Stage::Delivered,
        "undelivered" => Stage::Undelivered,
        "failed" => Stage::Failed,
        _ => return None,
    };
    let error_code = receipt::code(field(fields, "error_code"));
    let id = field(fields, "id");
    Some(Receipt {
        stage,
        // It is ours, not the receiver's.
        id: String::new(),
        is_part: false,
        reference: (!id.is_empty()).then(|| id.to_owned()),
        by_key: true,
        opted_out: error_code == OPTED_OUT,
        filtered: false,
        // Another attempt is the receiver's business: it knows why this one failed.
        again: Again::Never,
        error_code,
        kept: receipt::kept(fields, &KEPT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Outcome {
        outcome(StatusCode::from_u16(status).unwrap(), None, serde_json::from_str(body).unwrap_or_default())
    }

    #[test]
    fn each_answer_has_one_meaning() {
        assert_eq!(answered(202, r#"{"id":"theirs","more":1}"#), Outcome::sent("theirs"));
        assert_eq!(answered(204, ""), Outcome::sent(""));
        assert_eq!(answered(429, ""), Outcome::busy("429"));
        for status in [500, 502, 503, 504, 302] {
            assert_eq!(answered(status, ""), Outcome::may_hold(status.to_string()));
        }
        assert_eq!(answered(503, r#"{"code":"maintenance"}"#), Outcome::may_hold("maintenance"));
        // Who says when to come back has not taken it; who has failed may have, whatever it says.
        let after = Some(Duration::from_secs(90));
        for (status, may_hold) in [(429, false), (503, false), (500, true)] {
            let code = status.to_string();
            let answered = outcome(StatusCode::from_u16(status).unwrap(), after, Answer::default());
            assert_eq!(answered, Outcome::Busy { after, code, may_hold });
        }
        for status in [400, 401, 404, 410, 422] {
            assert_eq!(answered(status, "no json"), Outcome::refused(status.to_string()));
        }
        assert_eq!(answered(422, r#"{"code":"invalid number +1"}"#), Outcome::refused("invalidnumber1"));
        assert_eq!(
            answered(422, r#"{"code":"opted_out"}"#),
            Outcome::Refused { code: "opted_out".into(), opted_out: true }
        );
    }

    #[test]
    fn reports_are_read_in_our_words() {
        let report = |body: &str| read(&receipt::json_fields(body.as_bytes()));
        let stage = |status| report(&format!(r#"{{"status":"{status}"}}"#)).map(|it| it.stage);
        let known = ["sent", "delivered", "undelivered", "failed"].map(|status| stage(status).unwrap());
        assert_eq!(known, [Stage::Sent, Stage::Delivered, Stage::Undelivered, Stage::Failed]);
        assert_eq!((stage("queued"), report("[]"), report("")), (None, None, None));
        let lost =
            report(r#"{"id":"msg_1-2","status":"failed","error_code":"opted_out","to":"+15005550009"}"#).unwrap();
        assert_eq!((lost.reference.as_deref(), lost.opted_out), (Some("msg_1-2"), true));
        assert_eq!(lost.kept, r#"{"id":"msg_1-2","status":"failed","error_code":"opted_out"}"#);
    }
}
