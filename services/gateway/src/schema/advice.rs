//! Advice for a body that violates its schema: the expected form in words, with an example.

use serde_json::Value;

use super::compile::Type;

/// The patterns of the public interface with their advice. [`form`] recognises the patterns of ids itself.
const FORMS: [(&str, &str); 7] = [
    ("^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", "write a time of day as HH:MM, such as 08:00; 24:00 is the day's end"),
    ("^([01][0-9]|2[0-3]):[0-5][0-9]$", "write a time of day as HH:MM, such as 08:00"),
    ("^[A-Z]{2}$", "write a country as two capital letters (ISO 3166-1), such as CA"),
    ("^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", "write a language as its tag (BCP 47), such as en or fr-CA"),
    ("^[a-z0-9_-]{1,64}$", "write 1 to 64 small letters, digits, hyphens or underscores, such as manual-therapy"),
    ("^[A-Za-z0-9._-]{1,64}$", "write 1 to 64 letters, digits, dots, hyphens or underscores, such as patient_ill"),
    ("^-?[0-9.]+,-?[0-9.]+$", "write latitude and longitude in degrees, such as 55.17,-118.80"),
];

/// The advice for a pattern; `None` for an unknown pattern.
pub(super) fn form(pattern: &str) -> Option<String> {
    let known = FORMS.iter().find(|(known, _)| *known == pattern).map(|(_, form)| (*form).to_owned());
    known.or_else(|| id(pattern))
}

/// `^svc_[0-7][0-9a-hjkmnp-tv-z]{25}$`
fn id(pattern: &str) -> Option<String> {
    let prefix = pattern.strip_prefix('^')?.strip_suffix("_[0-7][0-9a-hjkmnp-tv-z]{25}$")?;
    Some(format!("give an id of the form {prefix}_…"))
}

/// The advice for a format.
pub(super) fn format(format: &str) -> String {
    match format {
        "date-time" => "write RFC 3339 with an offset, such as 2026-03-06T08:00:00Z".to_owned(),
        "date" => "write a date as YYYY-MM-DD, such as 2026-03-06".to_owned(),
        "email" => "write an address such as name@example.org".to_owned(),
        "uri" => "write a URL such as https://example.org/path".to_owned(),
        other => format!("write a text of the format {other}"),
    }
}

/// The advice for an enumeration.
pub(super) fn options(options: &Value) -> String {
    one_of(options.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    match words.collect::<Vec<_>>().as_slice() {
        [word] => format!("only {word} is known here"),
        words => format!("use one of {}", words.join(", ")),
    }
}

/// The JSON types that fit, in words.
pub(super) fn types(types: &[Type]) -> Vec<&'static str> {
    types.iter().filter(|json_type| **json_type != Type::Null).map(|json_type| name(*json_type)).collect()
}

fn name(json_type: Type) -> &'static str {
    match json_type {
        Type::Array => "a list",
        Type::Boolean => "true or false",
        Type::Integer => "a whole number",
        Type::Null => "null",
        Type::Number => "a number",
        Type::Object => "an object",
        Type::String => "a text",
    }
}
