//! Texts in call metadata, which carries visible ASCII only.
//!
//! Other characters are percent-encoded and decoded by the receiver. An idempotency key must not be lost silently: without
//! it a repeated request has a second effect.

use std::fmt::Write;

use tonic::metadata::{MetadataMap, MetadataValue};

/// Longest accepted text, in bytes after decoding.
const BYTES_MAX: usize = 512;

/// Sets a text.
pub(crate) fn set(metadata: &mut MetadataMap, name: &'static str, text: &str) {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    let value = MetadataValue::try_from(encoded).expect("percent-encoded text is visible ASCII");
    metadata.insert(name, value);
}

/// Gets a text; `Err` if it cannot be decoded, is empty, or is too long.
pub(crate) fn get(metadata: &MetadataMap, name: &str) -> Result<Option<String>, ()> {
    let Some(value) = metadata.get(name) else { return Ok(None) };
    let text = decode(value.to_str().map_err(|_| ())?).ok_or(())?;
    if text.is_empty() || text.len() > BYTES_MAX { Err(()) } else { Ok(Some(text)) }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (hex, after) = rest.split_at_checked(2)?;
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            bytes.push(digit(hex[0])? << 4 | digit(hex[1])?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_round_trips(text in "\\PC{1,60}|[ -~]{1,60}|(.|\\n){1,60}") {
            let mut metadata = MetadataMap::new();
            set(&mut metadata, "idempotency-key", &text);
            prop_assert_eq!(get(&metadata, "idempotency-key"), Ok(Some(text)));
        }
    }

    #[test]
    fn a_malformed_text_is_an_error() {
        let mut metadata = MetadataMap::new();
        assert_eq!(get(&metadata, "k"), Ok(None));
        for bad in ["", "%", "%4", "%zz", "%FF", &"x".repeat(BYTES_MAX + 1)] {
            metadata.insert("k", bad.parse().unwrap());
            assert_eq!(get(&metadata, "k"), Err(()), "{bad}");
        }
    }

    #[test]
    fn visible_ascii_is_not_encoded() {
        let mut metadata = MetadataMap::new();
        set(&mut metadata, "meridian-caller", "key_01jnq0:web");
        assert_eq!(metadata.get("meridian-caller").unwrap(), "key_01jnq0:web");
    }
}
