//! Limits and cursors of lists.

use domain::fault::Faults;
use uuid::Uuid;

/// Entries of a page when the caller names no number.
pub const LIMIT_DEFAULT: i64 = 50;
/// Most entries of a page.
pub const LIMIT_MAX: u32 = 200;

/// The number of entries to list: 1 to 200; 0 stands for 50.
pub fn limit(faults: &mut Faults, asked: u32) -> i64 {
    faults.check(asked <= LIMIT_MAX, "limit", "out_of_range", "must lie between 1 and 200");
    if asked == 0 { LIMIT_DEFAULT } else { i64::from(asked) }
}

/// The sort key in a cursor (a number and an id); `None` for the first page.
pub fn cursor(faults: &mut Faults, text: &str) -> Option<(i64, Uuid)> {
    if text.is_empty() {
        return None;
    }
    let key = sql::cursor::decode(text).map(|(number, id)| (number, Uuid::from_u128(id)));
    faults.check(key.is_some(), "cursor", "invalid_cursor", "use the next_cursor of the page before, as it is");
    key
}

/// Cuts a list that was read with one entry too many. Answers the cursor after its last entry, empty on the last page.
pub fn cut<T>(rows: &mut Vec<T>, limit: i64, key: impl Fn(&T) -> (i64, Uuid)) -> String {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return String::new();
    }
    rows.truncate(limit);
    rows.last().map(key).map(|(number, id)| sql::cursor::encode(number, id.as_u128())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_with_the_cursor_of_its_last_entry() {
        let id = |number: i64| (number, Uuid::from_u128(7));
        let mut rows = vec![1, 2, 3];
        let next = cut(&mut rows, 2, |row| id(*row));
        let mut faults = Faults::new();
        assert_eq!((rows, cursor(&mut faults, &next)), (vec![1, 2], Some(id(2))));
        assert_eq!(cut(&mut vec![1, 2], 2, |row| id(*row)), "");
        assert!(faults.result().is_ok());
    }

    #[test]
    fn limits_and_cursors_out_of_range_are_faults() {
        let mut faults = Faults::new();
        assert_eq!((limit(&mut faults, 0), limit(&mut faults, 200)), (LIMIT_DEFAULT, 200));
        limit(&mut faults, 201);
        cursor(&mut faults, "x");
        assert_eq!(faults.result().unwrap_err().into_vec().len(), 2);
    }
}
