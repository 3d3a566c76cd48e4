//! List cursors: the sort key of the last entry of a page, opaque to the caller.

/// Encodes a sort key of one number and one id.
pub fn encode(number: i64, id: u128) -> String {
    format!("{:016x}{id:032x}", (number as u64) ^ (1 << 63))
}

/// Decodes a cursor; `None` if the text is not a cursor.
pub fn decode(text: &str) -> Option<(i64, u128)> {
    let (number, id) = text.split_at_checked(16)?;
    let is_hex = |part: &str, digits: usize| part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hex(number, 16) || !is_hex(id, 32) {
        return None;
    }
    let number = u64::from_str_radix(number, 16).ok()? ^ (1 << 63);
    Some((number as i64, u128::from_str_radix(id, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_and_other_texts_are_refused() {
        for number in [i64::MIN, -1, 0, 1_772_000_000_000_000, i64::MAX] {
            assert_eq!(decode(&encode(number, 7)), Some((number, 7)));
        }
        for bad in ["", "x", "ß", &"g".repeat(48), &"+".repeat(48), &"0".repeat(49)] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
