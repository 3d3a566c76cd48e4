//! Characters that no database stores: U+0000, which PostgreSQL refuses, and half of a surrogate pair, which is no
//! character. Every request is checked for them before its parameters and body are parsed.
//!
//! All other characters are each field's own rule: `domain::fault::check_text` for a line, `check_note` for several.

use domain::fault::Faults;
use rpc::Fault;
use serde_json::Value;

const CODE: &str = "control_character";
const DETAIL: &str = "must not hold the character U+0000 or half of a surrogate pair";

/// A name from a request, shortened to the characters and the length that an answer may repeat.
pub(crate) fn printable(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').take(64).collect()
}

/// Checks one text.
pub(crate) fn check(faults: &mut Faults, pointer: &str, text: &str) {
    faults.check(!text.contains('\0'), pointer, CODE, DETAIL);
}

/// Checks the names and values of a path, a query or a form.
pub(crate) fn check_pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<(), Fault> {
    let mut faults = Faults::new();
    for (name, value) in pairs {
        check(&mut faults, &printable(name), name);
        check(&mut faults, &printable(name), value);
    }
    Ok(faults.result()?)
}

/// Checks every text of a JSON body. Each fault has its JSON pointer.
pub(crate) fn check_json(value: &Value) -> Result<(), Fault> {
    let mut faults = Faults::new();
    check_below(&mut faults, "", value);
    Ok(faults.result()?)
}

/// Checks a body for halves of surrogate pairs, which the JSON parser refuses without a pointer. A body that is no JSON for
/// another reason passes.
pub(crate) fn check_surrogates(body: &[u8]) -> Result<(), Fault> {
    // With U+0000 in place of each half, the body parses and the check finds the pointer.
    match replace_halves(body).map(|body| serde_json::from_slice::<Value>(&body)) {
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
                let at = format!("{at}/{}", printable(name));
                check(faults, &at, name);
                check_below(faults, &at, field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The body with `\u0000` in place of each escape of an unpaired surrogate (RFC 8259, section 8.2); `None` if it has none.
fn replace_halves(body: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| -> Option<u16> {
        let hex = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    let (mut replaced, mut at, mut found) = (body.to_vec(), 0, false);
    while at < body.len() {
        match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
            (Some(0xd800..=0xdfff), _) => {
                replaced[at + 2..at + 6].copy_from_slice(b"0000");
                found = true;
                at += 6;
            }
            (Some(_), _) => at += 6,
            // An escaped backslash does not begin a unicode escape.
            (None, _) if body[at] == b'\\' => at += 2,
            (None, _) => at += 1,
        }
    }
    found.then_some(replaced)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(answer: Result<(), Fault>) -> Vec<String> {
        answer.err().into_iter().flat_map(|fault| fault.violations).map(|violation| violation.pointer).collect()
    }

    #[test]
    fn every_text_of_a_body_is_checked() {
        let body = json!({"a": "x\0", "b": [{"c": "\0"}, "fine\n"], "d\0": 1, "e": "\u{202e}"});
        assert_eq!(pointers(check_json(&body)), ["/a", "/b/0/c", "/d"]);
        assert_eq!(pointers(check_json(&json!({"a": "é\u{1f600}"}))), [""; 0]);
    }

    #[test]
    fn half_of_a_surrogate_pair_is_found_with_its_pointer() {
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
