//! What every list asks: how many, and from where on.

use domain::fault::Faults;
use uuid::Uuid;

/// A page's size: 50 where none is asked for, at most 200.
pub(crate) fn limit(faults: &mut Faults, asked: u32) -> i64 {
    faults.check(asked <= 200, "limit", "out_of_range", "must lie between 1 and 200");
    if asked == 0 { 50 } else { i64::from(asked) }
}

/// A list's cursor, where one is given.
pub(crate) fn cursor(faults: &mut Faults, text: &str) -> Option<(i64, Uuid)> {
    if text.is_empty() {
        return None;
    }
    let found = sql::cursor::decode(text).map(|(number, id)| (number, Uuid::from_u128(id)));
    faults.check(found.is_some(), "cursor", "invalid_cursor", "use the next_cursor of the page before, as it is");
    found
}

/// Cuts a list that was read with one entry too many, and gives the cursor after the last one shown.
pub(crate) fn cut<T>(rows: &mut Vec<T>, limit: i64, key: impl Fn(&T) -> (i64, Uuid)) -> String {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return String::new();
    }
    rows.truncate(limit);
    rows.last().map(key).map(|(number, id)| sql::cursor::encode(number, id.as_u128())).unwrap_or_default()
}
