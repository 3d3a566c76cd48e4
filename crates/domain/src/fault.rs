//! Violations of an input: each with its pointer, a code and a mend.

/// One fault of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// RFC 6901 JSON pointer into the body (`/weekly/0/from`), or the name of a query parameter.
    pub pointer: String,
    /// Stable machine-readable code in snake_case.
    pub code: String,
    /// What is wrong and how to mend it, for people. Never repeats personal data.
    pub detail: String,
}

/// A collection of violations, so that a caller gets all of them at once.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Violation>);

impl Faults {
    /// No fault yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault.
    pub fn push(&mut self, pointer: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) {
        self.0.push(Violation { pointer: pointer.into(), code: code.into(), detail: detail.into() });
    }

    /// Notes a fault unless the condition holds.
    pub fn check(&mut self, holds: bool, pointer: impl Into<String>, code: &str, detail: impl Into<String>) {
        if !holds {
            self.push(pointer, code, detail);
        }
    }

    /// Notes the faults of a part of the input.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether no fault has been noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults in the order of their detection.
    pub fn into_vec(self) -> Vec<Violation> {
        self.0
    }

    /// `Ok` without faults.
    ///
    /// # Errors
    /// The faults.
    pub fn result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Checks a line of text: not blank, at most `max_chars` characters, no control characters (see [`is_control`]).
pub fn check_text(faults: &mut Faults, pointer: &str, text: &str, max_chars: usize) {
    faults.check(!text.trim().is_empty(), pointer, "blank", "must not be blank");
    faults.check(text.chars().count() <= max_chars, pointer, "too_long", format!("at most {max_chars} characters"));
    faults.check(!text.chars().any(is_control), pointer, "control_character", "must not hold control characters");
}

/// Checks a note: at most `max_chars` characters; it may be empty, and may hold line breaks, tabs and isolates but no other
/// control characters.
pub fn check_note(faults: &mut Faults, pointer: &str, text: &str, max_chars: usize) {
    faults.check(text.chars().count() <= max_chars, pointer, "too_long", format!("at most {max_chars} characters"));
    let is_allowed = |c: char| matches!(c, '\n' | '\r' | '\t') || is_isolate(c) || !is_control(c);
    let detail = "must not hold control characters other than tabs and line breaks";
    faults.check(text.chars().all(is_allowed), pointer, "control_character", detail);
}

/// Whether a character is a control character: the controls of ASCII and Latin 1, the line and paragraph separators, and
/// the embeddings, overrides and isolates of Unicode's bidirectional algorithm (UAX #9), which can make a name read as
/// another. The direction marks that right-to-left names need (U+200E, U+200F, U+061C) are not.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}') || is_isolate(c)
}

/// Whether a character is invisible and meaningless between letters: direction marks, joiners, a soft hyphen.
pub fn is_invisible(c: char) -> bool {
    is_control(c) || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Whether a character is an isolate. Isolates end with their paragraph; programs put them around quoted names.
fn is_isolate(c: char) -> bool {
    matches!(c, '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_allows_no_control_character_and_a_note_allows_line_breaks() {
        let faults = |text: &str| {
            let (mut line, mut note) = (Faults::new(), Faults::new());
            check_text(&mut line, "/name", text, 100);
            check_note(&mut note, "/note", text, 100);
            (line.into_vec().len(), note.into_vec().len())
        };
        for (text, expected) in [
            ("Ada", (0, 0)),
            ("one\ntwo\tthree\r\n", (1, 0)),
            ("a\u{0}b", (1, 1)),
            ("a\u{1b}[31m", (1, 1)),
            ("a\u{85}b", (1, 1)),
            ("\u{202e}adA", (1, 1)),
            ("\u{2067}עדה\u{2069}", (1, 0)),
            ("עדה\u{200f}", (0, 0)),
        ] {
            assert_eq!(faults(text), expected, "{text:?}");
        }
    }
}
