//! The form in which a gateway of one's own (`http`) passes on what patients write: `{"from", "text", "id"?, "to"?}`.
//!
//! What is not of this form is refused with the name of its fault: the gateway's author reads it, and can mend it. What
//! Twilio and Vonage send is theirs to define, so it is read as far as it can be.

use domain::{fault::Faults, patient::is_e164};
use rpc::Fault;

use super::receipt::{Fields, field};
use crate::replies::Heard;

/// The fields that there are; `to` is not read yet.
const FIELDS: [&str; 4] = ["id", "from", "to", "text"];
/// What others call them.
const OTHER_NAMES: [(&str, &str); 19] = [
    ("body", "text"),
    ("message", "text"),
    ("content", "text"),
    ("msg", "text"),
    ("sms", "text"),
    ("message_body", "text"),
    ("sender", "from"),
    ("source", "from"),
    ("msisdn", "from"),
    ("phone", "from"),
    ("phone_number", "from"),
    ("number", "from"),
    ("originator", "from"),
    ("message_id", "id"),
    ("messageid", "id"),
    ("msgid", "id"),
    ("uuid", "id"),
    ("recipient", "to"),
    ("destination", "to"),
];
const ID_MAX: usize = 100;

/// A patient's text.
///
/// # Errors
/// `validation_failed` with every fault: fields that there are not, fields that are missing, a text that is empty, a
/// number that is not one.
pub(super) fn read(fields: &Fields) -> Result<Heard, Fault> {
    let mut faults = Faults::new();
    for (name, _) in fields.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())) {
        faults.push(format!("/{}", plain(name)), "unknown_field", unknown(name));
    }
    let (id, from, text) = (field(fields, "id"), field(fields, "from"), field(fields, "text"));
    let from = without_marks(from);
    let given = |name: &str| fields.iter().any(|(key, _)| key == name);
    for name in ["from", "text"] {
        faults.check(given(name), format!("/{name}"), "missing", "this field is needed");
    }
    let number = "write the sender's number in international form, such as +17805550123";
    faults.check(!given("from") || is_e164(&from), "/from", "invalid_phone", number);
    faults.check(!given("text") || !text.trim().is_empty(), "/text", "blank", "must not be blank");
    faults.check(id.is_empty() || is_id(id), "/id", "invalid_id", "1 to 100 visible ASCII characters, or leave it out");
    faults.result()?;
    Heard::new("http", id, &from, text).ok_or_else(|| Fault::internal("a number that is one is none"))
}

/// What is kept of a text that a carrier passed on: where it is empty, that it is, and how many pictures came with it.
pub(super) fn text(body: &str, pictures: u32) -> String {
    match (body.trim().is_empty(), pictures) {
        (false, _) => body.to_owned(),
        (true, 0) => "(no text)".to_owned(),
        (true, pictures) => format!("(no text; pictures, not kept: {pictures})"),
    }
}

/// Whether an id can be kept as it is.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

fn unknown(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let close = FIELDS.into_iter().find(|field| lower == *field);
    let meant = close.or_else(|| OTHER_NAMES.iter().find(|(other, _)| lower == *other).map(|(_, field)| *field));
    match meant {
        Some(field) => format!("there is no such field here; did you mean `{field}`?"),
        None => format!("there is no such field here; the fields are {}", FIELDS.join(", ")),
    }
}

/// A number without the marks that people put between its digits.
fn without_marks(number: &str) -> String {
    number.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '\u{a0}')).collect()
}

/// A field's name as it may be repeated in an answer.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(fields: &[(&str, &str)]) -> Fields {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn faults(fields: &[(&str, &str)]) -> Vec<String> {
        let fault = read(&pairs(fields)).err();
        let all = fault.map(|fault| fault.violations).unwrap_or_default().into_iter();
        all.map(|one| format!("{} {}: {}", one.pointer, one.code, one.detail)).collect()
    }

    #[test]
    fn what_is_documented_is_taken() {
        let heard = read(&pairs(&[("from", "+1 (780) 555-0123"), ("text", "C"), ("to", "x")])).unwrap();
        assert_eq!((heard.from.as_str(), heard.text.as_str(), heard.id), ("+17805550123", "C", None));
        let heard = read(&pairs(&[("id", "m-1"), ("from", "+17805550123"), ("text", "C")])).unwrap();
        assert_eq!(heard.id.as_deref(), Some("m-1"));
    }

    #[test]
    fn a_wrong_name_is_told_the_right_one() {
        assert_eq!(
            faults(&[("from", "+17805550123"), ("body", "C"), ("messageId", "1")]),
            [
                "/body unknown_field: there is no such field here; did you mean `text`?",
                "/messageId unknown_field: there is no such field here; did you mean `id`?",
                "/text missing: this field is needed",
            ]
        );
        assert_eq!(
            faults(&[("From", "+17805550123"), ("TEXT", "C"), ("carrier", "")]).len(),
            5,
            "three that there are not, two that are missing"
        );
    }

    #[test]
    fn an_empty_text_says_that_it_is() {
        let texts = [text("C", 1), text(" ", 0), text("", 2)];
        assert_eq!(texts, ["C", "(no text)", "(no text; pictures, not kept: 2)"]);
    }

    #[test]
    fn nothing_empty_and_nobody_without_a_number_is_taken() {
        let codes = |fields: &[(&str, &str)]| {
            faults(fields).iter().map(|one| one.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(codes(&[("from", "Vodafone"), ("text", " \n")]), ["/from invalid_phone", "/text blank"]);
        assert_eq!(codes(&[("from", "07805550123"), ("text", "C")]), ["/from invalid_phone"]);
        assert_eq!(codes(&[("from", "+17805550123"), ("text", "C"), ("id", "a b")]), ["/id invalid_id"]);
        assert_eq!(codes(&[]), ["/from missing", "/text missing"]);
    }
}
