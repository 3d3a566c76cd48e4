//! Vonage's form of sending text messages, and what its answers and receipts mean.
//!
//! It answers for each part of a text, and reports on each part by itself. Nothing makes a request idempotent: a text of
//! which some parts may have left is sent again, whole, only where its rule has it repeated.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::{Client, StatusCode, Url};
use rpc::Fault;
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use wire::reminder::ReceiveRequest;

use super::{
    Outcome, Outgoing, Provider, http_client as post, inbound,
    receipt::{self, Again, Fields, Receipt, Stage, field},
};
use crate::{
    config::Vonage as Config,
    replies::Heard,
    templates::gsm7::{self, Encoding},
};

/// Not processed, says Vonage: sent too fast, or over too many connections.
const TRY_AGAIN: [&str; 2] = ["1", "10"];
/// It has failed, and may have sent the text before.
const INTERNAL: &str = "5";
/// The number is on a list of those that must not be written to.
const BARRED: &str = "7";
/// What is kept of a receipt.
const KEPT: [&str; 7] = ["messageId", "status", "err-code", "network-code", "scts", "message-timestamp", "client-ref"];

/// The provider.
pub(crate) struct Vonage {
    client: Client,
    url: String,
    config: Config,
}

/// What is read of an answer.
#[derive(Debug, Deserialize)]
struct Answer {
    messages: Vec<Part>,
}

/// What became of one part.
#[derive(Debug, Deserialize)]
struct Part {
    status: String,
    #[serde(rename = "message-id", default)]
    id: String,
}

impl Vonage {
    /// The provider that the configuration, checked before, describes.
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let url = format!("{}/sms/json", config.base_url.trim_end_matches('/'));
        Ok(Self { client: post::client(config.timeout_seconds)?, url, config: config.clone() })
    }
}

#[tonic::async_trait]
impl Provider for Vonage {
    fn name(&self) -> &'static str {
        "vonage"
    }

    async fn send(&self, message: &Outgoing) -> Outcome {
        let given = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut form = vec![
            ("api_key", given(&self.config.api_key)),
            ("api_secret", given(&self.config.api_secret)),
            ("from", given(&self.config.from).trim_start_matches('+').to_owned()),
            ("to", message.to.trim_start_matches('+').to_owned()),
            ("text", message.text.clone()),
            ("client-ref", message.reference.clone()),
        ];
        if gsm7::segments(&message.text).0 == Encoding::Ucs2 {
            form.push(("type", "unicode".to_owned()));
        }
        if let Some(callback) = &message.callback {
            form.extend([("status-report-req", "1".to_owned()), ("callback", callback.clone())]);
        }
        let response = match self.client.post(&self.url).form(&form).send().await {
            Ok(response) => response,
            Err(error) => return post::unanswered(&error),
        };
        let status = response.status();
        let after = post::retry_after(response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Outcome::Busy { after, code: "429".to_owned(), may_hold: false };
        }
        if status.is_client_error() {
            return Outcome::refused(status.as_str());
        }
        match post::json::<Answer>(response).await {
            Some(answer) if status.is_success() => outcome(&answer.messages),
            _ => Outcome::Unknown { detail: "the provider failed" },
        }
    }

    fn signed(&self, call: &ReceiveRequest, _: Timestamp) -> Result<Fields, Fault> {
        let Some(secret) = &self.config.signature_secret else { return Err(Fault::not_found()) };
        let fields = receipt::fields(call);
        if !is_signed(secret, &call.url, &fields) {
            return Err(receipt::forged());
        }
        Ok(fields)
    }

    fn receipt(&self, fields: &Fields) -> Result<Option<Receipt>, Fault> {
        Ok(read(fields))
    }

    fn heard(&self, fields: &Fields) -> Result<Option<Heard>, Fault> {
        // Its numbers come without their sign.
        let from = format!("+{}", receipt::needed(fields, "msisdn")?.trim_start_matches('+'));
        let text = inbound::text(field(fields, "text"), 0);
        Ok(Heard::new("vonage", field(fields, "messageId"), &from, &text))
    }
}

/// What an answer means.
fn outcome(parts: &[Part]) -> Outcome {
    let Some(first) = parts.first() else { return Outcome::Unknown { detail: "the provider's answer is empty" } };
    if parts.iter().all(|part| part.status == "0") {
        return Outcome::Sent { id: first.id.clone(), parts: i32::try_from(parts.len()).unwrap_or(i32::MAX) };
    }
    if parts.iter().any(|part| part.status == "0") {
        return Outcome::Unknown { detail: "the provider has taken some parts of the text only" };
    }
    if parts.iter().any(|part| part.status == INTERNAL) {
        return Outcome::Unknown { detail: "the provider failed" };
    }
    let code = receipt::code(&first.status);
    if parts.iter().all(|part| TRY_AGAIN.contains(&part.status.as_str())) {
        return Outcome::busy(code);
    }
    Outcome::Refused { opted_out: parts.iter().any(|part| part.status == BARRED), code }
}

/// A receipt; `None` where its status is not known.
fn read(fields: &[(String, String)]) -> Option<Receipt> {
    let stage = match field(fields, "status") {
        "buffered" => Stage::Sending,
        // The carrier has it; whether the patient does, it does not say.
        "accepted" | "unknown" => Stage::Sent,
        "delivered" => Stage::Delivered,
        "failed" | "rejected" | "expired" | "deleted" => Stage::Undelivered,
        _ => return None,
    };
    let error_code = receipt::code(field(fields, "err-code"));
    Some(Receipt {
        stage,
        id: field(fields, "messageId").to_owned(),
        is_part: true,
        reference: Some(field(fields, "client-ref").to_owned()),
        by_key: false,
        // Barred by the user, or asked not to be written to.
        opted_out: stage.is_lost() && matches!(error_code.as_str(), "4" | "9"),
        filtered: stage.is_lost() && error_code == "6",
        again: match error_code.as_str() {
            // Out of reach, busy, or the network failed.
            "2" | "7" | "8" => Again::Patiently,
            "1" => Again::Once,
            _ => Again::Never,
        },
        // Zero is none.
        error_code: if error_code == "0" { String::new() } else { error_code },
        kept: receipt::kept(fields, &KEPT),
    })
}

/// Whether `sig` is that of these fields; Vonage's own examples put the URL's parameters among them.
fn is_signed(secret: &str, url: &str, fields: &[(String, String)]) -> bool {
    let Some(given) = unhex(field(fields, "sig")) else { return false };
    let query = Url::parse(url).map(|url| url.query_pairs().into_owned().collect::<Vec<_>>()).unwrap_or_default();
    let with_query = [fields, &query].concat();
    [fields, &with_query].iter().any(|fields| bool::from(signature(secret, fields).as_slice().ct_eq(&given)))
}

/// The `sig` of a call with these fields: HMAC-SHA256, in hexadecimal capitals.
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

    fn answered(statuses: &[&str]) -> Outcome {
        let part = |(index, status): (usize, &&str)| Part { status: (*status).to_owned(), id: format!("id{index}") };
        outcome(&statuses.iter().enumerate().map(part).collect::<Vec<_>>())
    }

    #[test]
    fn each_answer_has_one_meaning() {
        assert_eq!(answered(&["0"]), Outcome::sent("id0"));
        assert_eq!(answered(&["0", "0"]), Outcome::Sent { id: "id0".into(), parts: 2 });
        for code in ["1", "10"] {
            assert_eq!(answered(&[code, code]), Outcome::busy(code));
        }
        for code in ["2", "3", "4", "6", "8", "9", "12", "15", "29", "33"] {
            assert_eq!(answered(&[code]), Outcome::refused(code));
        }
        assert_eq!(answered(&["7"]), Outcome::Refused { code: "7".into(), opted_out: true });
        assert_eq!(answered(&["1", "6"]), Outcome::refused("1"));
        for parts in [&["0", "1"][..], &["6", "0"], &["5"], &["1", "5"], &[]] {
            assert!(matches!(answered(parts), Outcome::Unknown { .. }), "{parts:?}");
        }
        let body = r#"{"message-count":"1","messages":[{"to":"1","message-id":"0A","status":"0","network":"1"}]}"#;
        assert_eq!(outcome(&serde_json::from_str::<Answer>(body).unwrap().messages), Outcome::sent("0A"));
        let body = r#"{"message-count":"1","messages":[{"status":"2","error-text":"Missing to param"}]}"#;
        assert_eq!(outcome(&serde_json::from_str::<Answer>(body).unwrap().messages), Outcome::refused("2"));
    }

    #[test]
    fn receipts_are_read_in_our_words() {
        let report = |status, code| {
            read(&pairs(&[("msisdn", "15005550009"), ("status", status), ("err-code", code), ("messageId", "0A")]))
        };
        let stage = |status| report(status, "0").map(|it| it.stage);
        assert_eq!(stage("delivered"), Some(Stage::Delivered));
        assert_eq!([stage("accepted"), stage("unknown")], [Some(Stage::Sent); 2]);
        assert_eq!(["failed", "rejected", "expired"].map(stage), [Some(Stage::Undelivered); 3]);
        assert_eq!((stage("buffered"), stage("read")), (Some(Stage::Sending), None));
        let lost = |code| report("failed", code).unwrap();
        let again = ["2", "7", "8", "1", "3"].map(|code| lost(code).again);
        assert_eq!(again, [Again::Patiently, Again::Patiently, Again::Patiently, Again::Once, Again::Never]);
        assert!(lost("9").opted_out && lost("4").opted_out && lost("6").filtered && !lost("3").opted_out);
        assert!(!report("accepted", "9").unwrap().opted_out);
        let arrived = report("delivered", "0").unwrap();
        assert_eq!((arrived.error_code.as_str(), arrived.id.as_str(), arrived.is_part), ("", "0A", true));
        assert_eq!(arrived.kept, r#"{"status":"delivered","err-code":"0","messageId":"0A"}"#);
    }

    // The vectors of Vonage's own client library for PHP.
    #[test]
    fn signatures_are_those_of_vonage() {
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
    fn a_value_cannot_pass_for_two_and_the_query_may_be_signed_too() {
        let two = vonage_signature("s", &pairs(&[("a", "1"), ("b", "2")]));
        assert_ne!(vonage_signature("s", &pairs(&[("a", "1&b=2")])), two);
        let body = pairs(&[("b", "2"), ("sig", &two)]);
        assert!(is_signed("s", "https://x.example/?a=1", &body));
        assert!(!is_signed("s", "https://x.example/?a=2", &body));
    }
}
