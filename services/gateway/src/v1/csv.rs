//! CSV (RFC 4180).

/// A cell that begins with one of these is a formula to spreadsheets
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A row, with quotes where a cell needs them. A cell that would be a formula begins with an apostrophe.
pub(super) fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

fn cell(text: &str) -> String {
    let mark = if text.starts_with(FORMULAS) { "'" } else { "" };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{mark}{}\"", text.replace('"', "\"\"")),
        false => format!("{mark}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_needed_and_are_never_formulas() {
        let cells = ["", "Ada", "Example, Ada", "say \"hi\"", "two\nlines", "=1+1", "@x, y"];
        assert_eq!(row(cells), ",Ada,\"Example, Ada\",\"say \"\"hi\"\"\",\"two\nlines\",'=1+1,\"'@x, y\"\r\n");
    }
}
