//! Details of a clinic's own systems on a resource: an id of theirs, and pairs of texts.

use std::collections::BTreeMap;

use crate::fault::{Faults, check_note, is_control};

/// Most pairs of one resource.
pub const PAIRS_MAX: usize = 20;
/// Most characters of a pair's name.
pub const NAME_CHARS_MAX: usize = 64;
/// Most characters of a pair's value.
pub const VALUE_CHARS_MAX: usize = 500;
/// Most characters of an external id.
pub const EXTERNAL_ID_CHARS_MAX: usize = 200;

/// Pairs by their name.
pub type Pairs = BTreeMap<String, String>;

/// Notes every fault of pairs. A pointer names the place of a pair, never its name or value.
pub fn check_pairs(faults: &mut Faults, pointer: &str, pairs: &Pairs) {
    faults.check(pairs.len() <= PAIRS_MAX, pointer, "too_many", format!("at most {PAIRS_MAX} pairs"));
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().count() <= NAME_CHARS_MAX
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    let detail = format!("name each pair with 1 to {NAME_CHARS_MAX} letters, digits, `_`, `-` or `.`");
    faults.check(pairs.keys().all(|name| is_name(name)), pointer, "invalid_name", detail);
    for (name, value) in pairs.iter().filter(|(name, _)| is_name(name)) {
        check_note(faults, &format!("{pointer}/{name}"), value, VALUE_CHARS_MAX);
    }
}

/// Notes every fault of an external id, which may be empty.
pub fn check_external_id(faults: &mut Faults, pointer: &str, id: &str) {
    let is_short = id.chars().count() <= EXTERNAL_ID_CHARS_MAX;
    faults.check(is_short, pointer, "too_long", format!("at most {EXTERNAL_ID_CHARS_MAX} characters"));
    faults.check(!id.chars().any(is_control), pointer, "control_character", "must not hold control characters");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
        let mut faults = Faults::new();
        check_pairs(&mut faults, "/custom", &pairs.into_iter().collect());
        faults.into_vec().into_iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect()
    }

    #[test]
    fn every_fault_of_pairs_is_found_at_once() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(codes([pair("referrer", "Dr. Example"), pair("a-b_c.1", "")]), Vec::<String>::new());
        let many = (0..21).map(|number| pair(&format!("n{number}"), "1"));
        let bad = [pair("long", &"x".repeat(501)), pair("no spaces", "1"), pair("zero", "\0")];
        let expected =
            ["/custom too_many", "/custom invalid_name", "/custom/long too_long", "/custom/zero control_character"];
        assert_eq!(codes(many.chain(bad)), expected);
    }

    #[test]
    fn an_external_id_is_one_short_line() {
        let mut faults = Faults::new();
        check_external_id(&mut faults, "/external_id", "A-7");
        check_external_id(&mut faults, "/external_id", "");
        assert!(faults.is_empty());
        check_external_id(&mut faults, "/external_id", &"\n".repeat(201));
        assert_eq!(faults.into_vec().len(), 2);
    }
}
