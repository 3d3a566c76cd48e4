//! Vonage's SMS API: its requests, the meaning of its answers, its delivery receipts and its inbound messages.
//!
//! Vonage answers and reports on each part of a text separately. It has no idempotency key: a text of which some parts may
//! have left is sent again, whole, only where its rule repeats unknown messages. Source:
//! <https://developer.vonage.com/en/api/sms>.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::{Client, StatusCode, Url};
use rpc::Fault;
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use wire::reminder::ReceiveRequest;

use super::{
    OutgoingMessage, Provider, SendOutcome,
    fields::{self, Fields, field},
    http_client,
    inbound::{InboundMessage, text_or_note},
    receipt::{DeliveryReceipt, Retry, Stage},
};
use crate::{
    config::Vonage as Config,
    templates::gsm7::{self, Encoding},
};

/// Throttled, or too many connections: Vonage did not process the request.
const RETRYABLE: [&str; 2] = ["1", "10"];
/// An internal error: Vonage may have sent the text before.
const INTERNAL: &str = "5";
/// The number is on the list of barred numbers.
const BARRED: &str = "7";
/// The fields of a receipt that are stored.
const RETAINED: [&str; 7] =
    ["messageId", "status", "err-code", "network-code", "scts", "message-timestamp", "client-ref"];

/// The provider `vonage`.
pub(crate) struct Vonage {
    client: Client,
    url: String,
    config: Config,
}

/// The fields of an answer that matter here.
#[derive(Debug, Deserialize)]
struct Answer {
    messages: Vec<Part>,
}

/// The answer for one part of the text.
#[derive(Debug, Deserialize)]
struct Part {
    status: String,
    #[serde(rename = "message-id", default)]
    id: String,
}

impl Vonage {
    /// The provider for a validated configuration.
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let url = format!("{}/sms/json", config.base_url.trim_end_matches('/'));
        Ok(Self { client: http_client::client(config.timeout_seconds)?, url, config: config.clone() })
    }
}

#[tonic::async_trait]
impl Provider for Vonage {
    fn name(&self) -> &'static str {
        "vonage"
    }

    async fn send(&self, message: &OutgoingMessage) -> SendOutcome {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut form = vec![
            ("api_key", text(&self.config.api_key)),
            ("api_secret", text(&self.config.api_secret)),
            ("from", text(&self.config.from).trim_start_matches('+').to_owned()),
            ("to", message.to.trim_start_matches('+').to_owned()),
            ("text", message.text.clone()),
            ("client-ref", message.reference.clone()),
        ];
        if gsm7::segments(&message.text).0 == Encoding::Ucs2 {
            form.push(("type", "unicode".to_owned()));
        }
        if let Some(url) = &message.callback_url {
            form.extend([("status-report-req", "1".to_owned()), ("callback", url.clone())]);
        }
        let response = match self.client.post(&self.url).form(&form).send().await {
            Ok(response) => response,
            Err(error) => return http_client::outcome_of_error(&error),
        };
        let status = response.status();
        let retry_after = http_client::retry_after(response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            return SendOutcome::Busy { retry_after, code: "429".to_owned(), may_hold: false };
        }
        if status.is_client_error() {
            return SendOutcome::refused(status.as_str());
        }
        match http_client::read_json::<Answer>(response).await {
            Some(answer) if status.is_success() => outcome(&answer.messages),
            _ => SendOutcome::Unknown { detail: "the provider failed" },
        }
    }

    fn verify(&self, callback: &ReceiveRequest, _: Timestamp) -> Result<Fields, Fault> {
        let Some(secret) = &self.config.signature_secret else { return Err(Fault::not_found()) };
        let fields = fields::of_callback(callback);
        if !is_signed(secret, &callback.url, &fields) {
            return Err(fields::invalid_signature());
        }
        Ok(fields)
    }

    fn parse_receipt(&self, fields: &Fields) -> Result<Option<DeliveryReceipt>, Fault> {
        Ok(parse_receipt(fields))
    }

    fn parse_inbound(&self, fields: &Fields) -> Result<Option<InboundMessage>, Fault> {
        // Vonage writes numbers without the plus sign.
        let from = format!("+{}", fields::required_sender(fields, "msisdn")?.trim_start_matches('+'));
        let text = text_or_note(field(fields, "text"), 0);
        Ok(InboundMessage::new("vonage", field(fields, "messageId"), &from, &text))
    }
}

/// The outcome that the answers for all parts stand for.
fn outcome(parts: &[Part]) -> SendOutcome {
    let Some(first) = parts.first() else { return SendOutcome::Unknown { detail: "the provider's answer is empty" } };
    if parts.iter().all(|part| part.status == "0") {
        return SendOutcome::Sent { id: first.id.clone(), parts: i32::try_from(parts.len()).unwrap_or(i32::MAX) };
    }
    if parts.iter().any(|part| part.status == "0") {
        return SendOutcome::Unknown { detail: "the provider accepted some parts of the text only" };
    }
    if parts.iter().any(|part| part.status == INTERNAL) {
        return SendOutcome::Unknown { detail: "the provider failed" };
    }
    let code = fields::error_code(&first.status);
    if parts.iter().all(|part| RETRYABLE.contains(&part.status.as_str())) {
        return SendOutcome::busy(code);
    }
    SendOutcome::Refused { opted_out: parts.iter().any(|part| part.status == BARRED), code }
}

/// `None` for an unknown status.
fn parse_receipt(fields: &[(String, String)]) -> Option<DeliveryReceipt> {
    let stage = match field(fields, "status") {
        "buffered" => Stage::Sending,
        // The carrier has the text and does not say whether the phone has it.
        "accepted" | "unknown" => Stage::Sent,
        "delivered" => Stage::Delivered,
        "failed" | "rejected" | "expired" | "deleted" => Stage::Undelivered,
        _ => return None,
    };
    let error_code = fields::error_code(field(fields, "err-code"));
    Some(DeliveryReceipt {
        stage,
        id: field(fields, "messageId").to_owned(),
        is_part: true,
        reference: Some(field(fields, "client-ref").to_owned()),
        by_key: false,
        // Barred by the subscriber, or on the list of opt-outs.
        opted_out: stage.is_lost() && matches!(error_code.as_str(), "4" | "9"),
        filtered: stage.is_lost() && error_code == "6",
        retry: match error_code.as_str() {
            // Phone unreachable, phone busy, or network failure.
            "2" | "7" | "8" => Retry::UpToMax,
            "1" => Retry::Once,
            _ => Retry::Never,
        },
        // Zero stands for no error.
        error_code: if error_code == "0" { String::new() } else { error_code },
        retained: fields::select_as_json(fields, &RETAINED),
    })
}

/// Whether `sig` signs these fields; Vonage's own examples sign the URL's parameters, too.
fn is_signed(secret: &str, url: &str, fields: &[(String, String)]) -> bool {
    let Some(given) = unhex(field(fields, "sig")) else { return false };
    let query = Url::parse(url).map(|url| url.query_pairs().into_owned().collect::<Vec<_>>()).unwrap_or_default();
    let with_query = [fields, &query].concat();
    [fields, &with_query].iter().any(|fields| bool::from(signature(secret, fields).as_slice().ct_eq(&given)))
}

/// The field `sig` of a callback with these fields: HMAC-SHA256 in upper-case hexadecimal digits. Source:
/// <https://developer.vonage.com/en/getting-started/concepts/signing-messages>.
pub fn vonage_signature(secret: &str, fields: &[(String, String)]) -> String {
    signature(secret, fields).iter().map(|byte| format!("{byte:02X}")).collect()
}

fn signature(secret: &str, fields: &[(String, String)]) -> Vec<u8> {
    let mut sorted: Vec<_> = fields.iter().filter(|(name, _)| name != "sig").collect();
    sorted.sort();
    let pair = |(name, value): &&(String, String)| format!("&{name}={}", value.replace(['&', '='], "_"));
    // HMAC takes a key of any length; were that wrong, the empty code equals no signature.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return vec![] };
    mac.update(sorted.iter().map(pair).collect::<String>().as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn answered(statuses: &[&str]) -> SendOutcome {
        let part = |(index, status): (usize, &&str)| Part { status: (*status).to_owned(), id: format!("id{index}") };
        outcome(&statuses.iter().enumerate().map(part).collect::<Vec<_>>())
    }

    #[test]
    fn each_answer_has_one_meaning() {
        assert_eq!(answered(&["0"]), SendOutcome::sent("id0"));
        assert_eq!(answered(&["0", "0"]), SendOutcome::Sent { id: "id0".into(), parts: 2 });
        for code in ["1", "10"] {
            assert_eq!(answered(&[code, code]), SendOutcome::busy(code));
        }
        for code in ["2", "3", "4", "6", "8", "9", "12", "15", "29", "33"] {
            assert_eq!(answered(&[code]), SendOutcome::refused(code));
        }
        assert_eq!(answered(&["7"]), SendOutcome::Refused { code: "7".into(), opted_out: true });
        assert_eq!(answered(&["1", "6"]), SendOutcome::refused("1"));
        for parts in [&["0", "1"][..], &["6", "0"], &["5"], &["1", "5"], &[]] {
            assert!(matches!(answered(parts), SendOutcome::Unknown { .. }), "{parts:?}");
        }
        let body = r#"{"message-count":"1","messages":[{"to":"1","message-id":"0A","status":"0","network":"1"}]}"#;
        assert_eq!(outcome(&serde_json::from_str::<Answer>(body).unwrap().messages), SendOutcome::sent("0A"));
        let body = r#"{"message-count":"1","messages":[{"status":"2","error-text":"Missing to param"}]}"#;
        assert_eq!(outcome(&serde_json::from_str::<Answer>(body).unwrap().messages), SendOutcome::refused("2"));
    }

    #[test]
    fn receipts_are_parsed_into_stages() {
        let report = |status, code| {
            parse_receipt(&pairs(&[
                ("msisdn", "15005550009"),
                ("status", status),
                ("err-code", code),
                ("messageId", "0A"),
            ]))
        };
        let stage = |status| report(status, "0").map(|receipt| receipt.stage);
        assert_eq!(stage("delivered"), Some(Stage::Delivered));
        assert_eq!([stage("accepted"), stage("unknown")], [Some(Stage::Sent); 2]);
        assert_eq!(["failed", "rejected", "expired"].map(stage), [Some(Stage::Undelivered); 3]);
        assert_eq!((stage("buffered"), stage("read")), (Some(Stage::Sending), None));
        let lost = |code| report("failed", code).unwrap();
        let retries = ["2", "7", "8", "1", "3"].map(|code| lost(code).retry);
        assert_eq!(retries, [Retry::UpToMax, Retry::UpToMax, Retry::UpToMax, Retry::Once, Retry::Never]);
        assert!(lost("9").opted_out && lost("4").opted_out && lost("6").filtered && !lost("3").opted_out);
        assert!(!report("accepted", "9").unwrap().opted_out);
        let arrived = report("delivered", "0").unwrap();
        assert_eq!((arrived.error_code.as_str(), arrived.id.as_str(), arrived.is_part), ("", "0A", true));
        assert_eq!(arrived.retained, r#"{"status":"delivered","err-code":"0","messageId":"0A"}"#);
    }

    // The vectors of Vonage's client library for PHP.
    #[test]
    fn signatures_equal_those_of_the_vendor() {
        let outgoing = pairs(&[
            ("api_key", "fake_api_key"),
            ("to", "14155550100"),
            ("from", "AcmeInc"),
            ("text", "Test From Nexmo"),
            ("type", "text"),
            ("timestamp", "1540924779"),
        ]);
        let expected = "9FEC5EF6D0F2B3D2BB7558B6E4042569823CAB9EA0DD30503472B7B304601975";
        assert_eq!(vonage_signature("71efab63122f1d179f51c46bac838fb5", &outgoing), expected);
        let mut incoming = pairs(&[
            ("message-timestamp", "2013-11-21 15:27:30"),
            ("messageId", "020000001B0FE827"),
            ("msisdn", "14843472194"),
            ("text", "Test again"),
            ("timestamp", "1385047698"),
            ("to", "13239877404"),
            ("type", "text"),
        ]);
        let expected = "DDB8397C2B90AAC7F3882D306475C9A5058C92322EEF43C92B298B6E0FC0D330";
        let (secret, url) = ("my_secret_key_for_testing", "https://a.example/status?org=1");
        assert_eq!(vonage_signature(secret, &incoming), expected);
        assert!(!is_signed(secret, url, &incoming));
        for sig in [expected.to_owned(), expected.to_lowercase()] {
            assert!(is_signed(secret, url, &[incoming.clone(), pairs(&[("sig", &sig)])].concat()));
        }
        incoming.push(("sig".into(), expected.into()));
        assert!(!is_signed("other", url, &incoming));
        incoming[3].1 = "Test never".into();
        assert!(!is_signed(secret, url, &incoming));
        for bad in ["", "zz", "abc", "+1"] {
            assert!(!is_signed(secret, url, &pairs(&[("sig", bad)])), "{bad}");
        }
    }

    #[test]
    fn separators_in_a_value_are_replaced_and_the_query_may_be_signed_too() {
        let two = vonage_signature("s", &pairs(&[("a", "1"), ("b", "2")]));
        assert_ne!(vonage_signature("s", &pairs(&[("a", "1&b=2")])), two);
        let body = pairs(&[("b", "2"), ("sig", &two)]);
        assert!(is_signed("s", "https://x.example/?a=1", &body));
        assert!(!is_signed("s", "https://x.example/?a=2", &body));
    }
}
