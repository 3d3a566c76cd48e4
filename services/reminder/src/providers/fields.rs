//! The fields of a provider's callback, from a form or from JSON.

use domain::fault::Faults;
use rpc::{Code, Fault};
use serde_json::{Map, Value};
use wire::reminder::ReceiveRequest;

/// The name-value pairs of a callback whose signature was verified.
pub(crate) type Fields = Vec<(String, String)>;

/// The fields of a callback, sent as a form or as JSON.
pub(super) fn of_callback(callback: &ReceiveRequest) -> Fields {
    if !callback.form.is_empty() {
        return callback.form.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
    }
    of_json(&callback.body)
}

/// The fields of a JSON object, `null` as an empty text; none where the body is no object.
pub(super) fn of_json(body: &[u8]) -> Fields {
    let object: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let as_text = |value: Value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        value => value.to_string(),
    };
    object.into_iter().map(|(name, value)| (name, as_text(value))).collect()
}

/// The fields of a JSON object, without those that are `null`.
///
/// # Errors
/// `malformed_request` for a body that is no JSON object, `validation_failed` for a field that is neither text nor number.
pub(super) fn parse_json(body: &[u8]) -> Result<Fields, Fault> {
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
            _ => faults.push(format!("/{}", printable_name(&name)), "wrong_type", "the value must be a text"),
        }
    }
    faults.result()?;
    Ok(fields)
}

/// The first field of this name; empty where there is none.
pub(super) fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// The sender field of a patient's message.
///
/// # Errors
/// `validation_failed` for a missing or empty field.
pub(super) fn required_sender<'a>(fields: &'a [(String, String)], name: &str) -> Result<&'a str, Fault> {
    let given = Some(field(fields, name)).filter(|value| !value.is_empty());
    given.ok_or_else(|| Fault::violation(&format!("/{name}"), "missing", "a message has a sender; is this a report?"))
}

/// A header that the gateway passed on; empty where the provider did not send it.
pub(super) fn header<'a>(callback: &'a ReceiveRequest, name: &str) -> &'a str {
    callback.headers.iter().find(|header| header.name == name).map_or("", |header| header.value.as_str())
}

/// The fields with these names as a JSON object.
pub(super) fn select_as_json(fields: &[(String, String)], names: &[&str]) -> String {
    let fields = fields.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let fields: Map<String, Value> = fields.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    Value::Object(fields).to_string()
}

/// An error code from a field with arbitrary text: at most 32 letters, digits and underscores.
pub(super) fn error_code(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32).collect()
}

/// A field's name with the characters that an answer may repeat.
pub(super) fn printable_name(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').take(64).collect()
}

/// The fault of a callback with a wrong signature.
pub(super) fn invalid_signature() -> Fault {
    Fault::new(Code::SignatureInvalid, "the signature is not that of this call")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_body_names_the_place_of_the_fault() {
        let fields = parse_json(br#"{"a":"x","b":7,"c":null}"#).unwrap();
        assert_eq!(fields, [("a".to_owned(), "x".to_owned()), ("b".to_owned(), "7".to_owned())]);
        for (body, detail) in [
            ("from=%2B1", "the body is not JSON: see line 1, column 2"),
            ("", "the body is not JSON: see line 1, column 0"),
            ("[1]", "the body is not a JSON object"),
        ] {
            let fault = parse_json(body.as_bytes()).unwrap_err();
            assert_eq!((fault.code, fault.detail.as_str()), (Code::MalformedRequest, detail));
        }
        let fault = parse_json(br#"{"from":{},"text":["x"]}"#).unwrap_err();
        let pointers: Vec<_> = fault.violations.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!((fault.code, pointers), (Code::ValidationFailed, vec!["/from", "/text"]));
    }

    #[test]
    fn a_receipt_is_stored_without_numbers_and_texts() {
        let body = br#"{"to":"+15005550009","text":"Hello","status":"sent","parts":2,"error":null}"#;
        let callback = ReceiveRequest { body: body.to_vec(), ..ReceiveRequest::default() };
        let fields = of_callback(&callback);
        assert_eq!((field(&fields, "parts"), field(&fields, "error"), field(&fields, "none")), ("2", "", ""));
        assert_eq!(select_as_json(&fields, &["status", "parts"]), r#"{"status":"sent","parts":"2"}"#);
        assert_eq!(error_code("21610; +15005550009 is wrong and too long to be a code").len(), 32);
        assert_eq!(of_callback(&ReceiveRequest { body: b"[1]".to_vec(), ..callback }), vec![]);
    }
}
