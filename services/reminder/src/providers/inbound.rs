//! Patients' messages as providers pass them on, and the format of an SMS gateway of the clinic's own (`http`):
//! `{"from", "text", "id"?, "to"?}`.
//!
//! A callback that breaks the own format is refused with the name of its fault, because its author can mend it. Twilio's and
//! Vonage's formats are theirs to define, so their callbacks are read as far as possible.

use domain::{fault::Faults, patient::is_e164};
use rpc::Fault;

use super::fields::{Fields, field, printable_name};

/// The fields of the own format; `to` is not read yet.
const FIELDS: [&str; 4] = ["id", "from", "to", "text"];
/// Names that other formats use for these fields.
const ALIASES: [(&str, &str); 19] = [
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
const ID_CHARS_MAX: usize = 100;
/// What longer texts are cut to.
const TEXT_CHARS_MAX: usize = 1600;

/// A text message from a patient.
pub(crate) struct InboundMessage {
    /// The provider's name.
    pub(crate) provider: &'static str,
    /// The provider's id of the message. `None`: the provider gives none, and a repetition counts as a new message.
    pub(crate) id: Option<String>,
    /// The sender's phone number, E.164.
    pub(crate) from: String,
    pub(crate) text: String,
}

impl InboundMessage {
    /// `None` where the sender is no phone number. Cuts a long text, and drops an id that the store cannot hold.
    pub(super) fn new(provider: &'static str, id: &str, from: &str, text: &str) -> Option<Self> {
        let text = text.chars().filter(|c| *c != '\0').take(TEXT_CHARS_MAX).collect();
        let id = is_valid_id(id).then(|| id.to_owned());
        is_e164(from).then(|| Self { provider, id, from: from.to_owned(), text })
    }
}

/// Parses a message in the own format.
///
/// # Errors
/// `validation_failed` with every fault: unknown fields, missing fields, an empty text, an invalid phone number or id.
pub(super) fn parse(fields: &Fields) -> Result<InboundMessage, Fault> {
    let mut faults = Faults::new();
    for (name, _) in fields.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())) {
        faults.push(format!("/{}", printable_name(name)), "unknown_field", suggest_field(name));
    }
    let (id, from, text) = (field(fields, "id"), field(fields, "from"), field(fields, "text"));
    let from = strip_separators(from);
    let given = |name: &str| fields.iter().any(|(key, _)| key == name);
    for name in ["from", "text"] {
        faults.check(given(name), format!("/{name}"), "missing", "this field is needed");
    }
    let number = "write the sender's number in international form, such as +17805550123";
    faults.check(!given("from") || is_e164(&from), "/from", "invalid_phone", number);
    faults.check(!given("text") || !text.trim().is_empty(), "/text", "blank", "must not be blank");
    let id_form = "1 to 100 visible ASCII characters, or leave it out";
    faults.check(id.is_empty() || is_valid_id(id), "/id", "invalid_id", id_form);
    faults.result()?;
    InboundMessage::new("http", id, &from, text).ok_or_else(|| Fault::internal("a valid phone number is refused"))
}

/// The text to store of a message from a carrier; for an empty one, a note with the number of its pictures.
pub(super) fn text_or_note(text: &str, pictures: u32) -> String {
    match (text.trim().is_empty(), pictures) {
        (false, _) => text.to_owned(),
        (true, 0) => "(no text)".to_owned(),
        (true, pictures) => format!("(no text; pictures, not kept: {pictures})"),
    }
}

fn is_valid_id(id: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// The detail of the fault `unknown_field`.
fn suggest_field(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let exact = FIELDS.into_iter().find(|field| lower == *field);
    let alias = || ALIASES.iter().find(|(alias, _)| lower == *alias).map(|(_, field)| *field);
    match exact.or_else(alias) {
        Some(field) => format!("there is no such field here; did you mean `{field}`?"),
        None => format!("there is no such field here; the fields are {}", FIELDS.join(", ")),
    }
}

/// A phone number without the separators that people write between its digits.
fn strip_separators(number: &str) -> String {
    number.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '\u{a0}')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(fields: &[(&str, &str)]) -> Fields {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn faults(fields: &[(&str, &str)]) -> Vec<String> {
        let fault = parse(&pairs(fields)).err();
        let all = fault.map(|fault| fault.violations).unwrap_or_default().into_iter();
        all.map(|violation| format!("{} {}: {}", violation.pointer, violation.code, violation.detail)).collect()
    }

    #[test]
    fn the_documented_form_is_parsed() {
        let message = parse(&pairs(&[("from", "+1 (780) 555-0123"), ("text", "C"), ("to", "x")])).unwrap();
        assert_eq!((message.from.as_str(), message.text.as_str(), message.id), ("+17805550123", "C", None));
        let message = parse(&pairs(&[("id", "m-1"), ("from", "+17805550123"), ("text", "C")])).unwrap();
        assert_eq!(message.id.as_deref(), Some("m-1"));
    }

    #[test]
    fn the_fault_of_a_wrong_name_suggests_the_right_one() {
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
            "three unknown fields, two missing ones"
        );
    }

    #[test]
    fn an_empty_text_is_stored_as_such() {
        let texts = [text_or_note("C", 1), text_or_note(" ", 0), text_or_note("", 2)];
        assert_eq!(texts, ["C", "(no text)", "(no text; pictures, not kept: 2)"]);
    }

    #[test]
    fn an_empty_text_and_a_sender_without_a_number_are_refused() {
        let codes = |fields: &[(&str, &str)]| {
            faults(fields).iter().map(|fault| fault.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(codes(&[("from", "Vodafone"), ("text", " \n")]), ["/from invalid_phone", "/text blank"]);
        assert_eq!(codes(&[("from", "07805550123"), ("text", "C")]), ["/from invalid_phone"]);
        assert_eq!(codes(&[("from", "+17805550123"), ("text", "C"), ("id", "a b")]), ["/id invalid_id"]);
        assert_eq!(codes(&[]), ["/from missing", "/text missing"]);
    }
}
