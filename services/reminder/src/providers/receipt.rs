//! What a provider reports of an attempt, in our words. Each provider reads its own form into this.

use domain::fault::Faults;
use rpc::{Code, Fault};
use serde_json::{Map, Value};
use wire::reminder::ReceiveRequest;

use super::inbound;

/// The fields of a provider's call, its signature checked.
pub(crate) type Fields = Vec<(String, String)>;

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Accepted,
    Queued,
    Sending,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    Read,
}

/// Whether a message that was not delivered is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    Never,
    /// Nobody can say why it failed: it may have arrived after all.
    Once,
    /// As often as a busy provider is asked.
    Patiently,
}

/// A report on an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) stage: Stage,
    /// The provider's own id of the message, or of the part that it is about.
    pub(crate) id: String,
    /// Whether it is about one part of a text that travels in several.
    pub(crate) is_part: bool,
    /// The attempt's reference, or its key, where the provider repeats it: then it must be of the URL's message.
    pub(crate) reference: Option<String>,
    /// Whether it speaks for every attempt with the same key: the provider takes them for one.
    pub(crate) by_key: bool,
    pub(crate) error_code: String,
    /// Whether the patient has told the carrier to stop.
    pub(crate) opted_out: bool,
    /// Whether the carrier took the message for spam.
    pub(crate) filtered: bool,
    pub(crate) again: Again,
    /// What is kept of it, as JSON: no number, no text, and nothing that a provider adds without notice.
    pub(crate) kept: String,
}

impl Stage {
    /// Reports come repeated and out of order: a message only moves up.
    pub(crate) fn rank(self) -> i16 {
        match self {
            Self::Accepted => 1,
            Self::Queued => 2,
            Self::Sending => 3,
            Self::Sent => 4,
            Self::Delivered | Self::Undelivered | Self::Failed => 5,
            Self::Read => 6,
        }
    }

    /// The message's status.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Accepted | Self::Queued | Self::Sending | Self::Sent => "sent",
            Self::Delivered | Self::Read => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn is_lost(self) -> bool {
        matches!(self, Self::Undelivered | Self::Failed)
    }
}

/// The fault of a call whose signature is not the provider's.
pub(crate) fn forged() -> Fault {
    Fault::new(Code::SignatureInvalid, "the signature is not that of this call")
}

/// The fields of a call, whether it came as a form or as JSON.
pub(crate) fn fields(call: &ReceiveRequest) -> Fields {
    if !call.form.is_empty() {
        return call.form.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
    }
    json_fields(&call.body)
}

/// The fields of a JSON object, those with `null` among them as empty; none where it is no object.
pub(crate) fn json_fields(body: &[u8]) -> Fields {
    let object: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let plain = |value: Value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    object.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

/// The fields of a JSON object, those with `null` left out.
///
/// # Errors
/// `malformed_request` where it is no JSON object, `validation_failed` for fields that are neither text nor number.
pub(crate) fn read_json(body: &[u8]) -> Result<Fields, Fault> {
    let malformed = |detail: String| Fault::new(Code::MalformedRequest, detail);
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        malformed(format!("the body is not JSON: see line {}, column {}", error.line(), error.column()))
    })?;
    let Value::Object(object) = value else { return Err(malformed("the body is not a JSON object".to_owned())) };
    let (mut faults, mut fields) = (Faults::new(), Fields::new());
    for (name, value) in object {
        match value {
            Value::String(text) => fields.push((name, text)),
            Value::Number(number) => fields.push((name, number.to_string())),
            Value::Null => {}
            _ => faults.push(format!("/{}", inbound::plain(&name)), "wrong_type", "the value must be a text"),
        }
    }
    faults.result()?;
    Ok(fields)
}

/// The first field of this name; empty where there is none.
pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// The field of this name, without which a call is none of a patient's message.
///
/// # Errors
/// `validation_failed` where it is missing or empty.
pub(crate) fn needed<'a>(fields: &'a [(String, String)], name: &str) -> Result<&'a str, Fault> {
    let given = Some(field(fields, name)).filter(|value| !value.is_empty());
    given.ok_or_else(|| Fault::violation(&format!("/{name}"), "missing", "a message has a sender; is this a report?"))
}

/// A header that was passed on; empty where it was not sent.
pub(crate) fn header<'a>(call: &'a ReceiveRequest, name: &str) -> &'a str {
    call.headers.iter().find(|header| header.name == name).map_or("", |header| header.value.as_str())
}

/// The fields with these names, as JSON.
pub(crate) fn kept(fields: &[(String, String)], names: &[&str]) -> String {
    let fields = fields.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let fields: Map<String, Value> = fields.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    Value::Object(fields).to_string()
}

/// An error code, whatever else the provider wrote into its field.
pub(crate) fn code(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_rank_as_messages_travel() {
        let travel = [Stage::Accepted, Stage::Queued, Stage::Sending, Stage::Sent, Stage::Delivered, Stage::Read];
        assert!(travel.windows(2).all(|pair| pair[0].rank() < pair[1].rank()));
        assert_eq!([Stage::Undelivered.rank(), Stage::Failed.rank()], [Stage::Delivered.rank(); 2]);
    }

    #[test]
    fn a_body_that_cannot_be_read_says_where() {
        let fields = read_json(br#"{"a":"x","b":7,"c":null}"#).unwrap();
        assert_eq!(fields, [("a".to_owned(), "x".to_owned()), ("b".to_owned(), "7".to_owned())]);
        for (body, detail) in [
            ("from=%2B1", "the body is not JSON: see line 1, column 2"),
            ("", "the body is not JSON: see line 1, column 0"),
            ("[1]", "the body is not a JSON object"),
        ] {
            let fault = read_json(body.as_bytes()).unwrap_err();
            assert_eq!((fault.code, fault.detail.as_str()), (Code::MalformedRequest, detail));
        }
        let fault = read_json(br#"{"from":{},"text":["x"]}"#).unwrap_err();
        let pointers: Vec<_> = fault.violations.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!((fault.code, pointers), (Code::ValidationFailed, vec!["/from", "/text"]));
    }

    #[test]
    fn a_report_is_kept_without_numbers_and_texts() {
        let body = br#"{"to":"+15005550009","text":"Hello","status":"sent","parts":2,"error":null}"#;
        let call = ReceiveRequest { body: body.to_vec(), ..ReceiveRequest::default() };
        let fields = fields(&call);
        assert_eq!((field(&fields, "parts"), field(&fields, "error"), field(&fields, "none")), ("2", "", ""));
        assert_eq!(kept(&fields, &["status", "parts"]), r#"{"status":"sent","parts":"2"}"#);
        assert_eq!(code("21610; +15005550009 is wrong and too long to be a code").len(), 32);
        assert_eq!(super::fields(&ReceiveRequest { body: b"[1]".to_vec(), ..call }), vec![]);
    }
}
