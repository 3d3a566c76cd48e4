//! Characters that cannot be stored: PostgreSQL keeps no U+0000, and half of a surrogate pair is no character at all. They
//! are refused here, whatever the operation and the database, before anything else looks at a request.
//!
//! Other characters are the business of each field: `domain::fault::check_text` for a line, `check_note` for several.

use domain::fault::Faults;
use rpc::Fault;
use serde_json::Value;

use crate::suggestion::safe;

const CODE: &str = "control_character";
const DETAIL: &str = "must not hold the character U+0000 or half of a surrogate pair";

/// Whether every character can be stored.
pub(crate) fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// Notes a text that cannot be stored.
pub(crate) fn check(faults: &mut Faults, pointer: &str, text: &str) {
    faults.check(is_storable(text), pointer, CODE, DETAIL);
}

/// Checks a named part of a path, of a query or of a form each.
pub(crate) fn check_pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<(), Fault> {
    let mut faults = Faults::new();
    for (name, value) in pairs {
        check(&mut faults, &safe(name), name);
        check(&mut faults, &safe(name), value);
    }
    Ok(faults.result()?)
}

/// Checks every text of a JSON body; each fault has its JSON pointer.
pub(crate) fn check_json(value: &Value) -> Result<(), Fault> {
    let mut faults = Faults::new();
    check_below(&mut faults, "", value);
    Ok(faults.result()?)
}

/// What is wrong with a body that is no JSON only because a text holds half of a surrogate pair; nothing where it is no JSON
/// for another reason.
pub(crate) fn check_surrogates(body: &[u8]) -> Result<(), Fault> {
    // As U+0000 it is found with its pointer.
    match without_halves(body).map(|body| serde_json::from_slice::<Value>(&body)) {
        Some(Ok(value)) => check_json(&value),
        _ => Ok(()),
    }
}

fn check_below(faults: &mut Faults, at: &str, value: &Value) {
    match value {
        Value::String(text) => check(faults, at, text),
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                check_below(faults, &format!("{at}/{number}"), item);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let at = format!("{at}/{}", safe(name));
                check(faults, &at, name);
                check_below(faults, &at, field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A body whose escapes of surrogates without their other half (RFC 8259, section 8.2) are those of U+0000; nothing where it
/// has none.
fn without_halves(body: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| -> Option<u16> {
        let hex = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    let (mut mended, mut at, mut found) = (body.to_vec(), 0, false);
    while at < body.len() {
        match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
            (Some(0xd800..=0xdfff), _) => {
                mended[at + 2..at + 6].copy_from_slice(b"0000");
                found = true;
                at += 6;
            }
            (Some(_), _) => at += 6,
            // An escaped backslash is no beginning of an escape.
            (None, _) if body[at] == b'\\' => at += 2,
            (None, _) => at += 1,
        }
    }
    found.then_some(mended)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(answer: Result<(), Fault>) -> Vec<String> {
        answer.err().into_iter().flat_map(|fault| fault.violations).map(|one| one.pointer).collect()
    }

    #[test]
    fn every_text_of_a_body_is_looked_at() {
        let body = json!({"a": "x\0", "b": [{"c": "\0"}, "fine\n"], "d\0": 1, "e": "\u{202e}"});
        assert_eq!(pointers(check_json(&body)), ["/a", "/b/0/c", "/d"]);
        assert_eq!(pointers(check_json(&json!({"a": "é\u{1f600}"}))), [""; 0]);
    }

    #[test]
    fn half_of_a_pair_is_found_where_it_is() {
        for (body, expected) in [
            (r#"{"a": {"b": "x\ud83d y"}}"#, &["/a/b"][..]),
            (r#"{"a": "\uDE00"}"#, &["/a"]),
            (r#"["\ud83d\ude00", "\ud83d\ud83d\ude00"]"#, &["/1"]),
            (r#"["\\ud83d", "\u00e9"]"#, &[]),
            (r#"{"a": "\ud83d"#, &[]),
            ("{", &[]),
        ] {
            assert_eq!(pointers(check_surrogates(body.as_bytes())), expected, "{body}");
        }
    }
}
