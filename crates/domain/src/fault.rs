//! Faults in what a caller sent: every one of them, each with where it is and how to mend it.

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

/// Collects faults, so that a caller learns all of them at once.
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

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order of their finding.
    pub fn into_vec(self) -> Vec<Violation> {
        self.0
    }

    /// `Ok` where nothing is wrong.
    ///
    /// # Errors
    /// The faults themselves.
    pub fn result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Checks a text of one line that people read: not blank, at most `max_chars` characters, no control characters, nothing
/// that turns the direction of what stands around it (see [`is_control`]).
pub fn check_text(faults: &mut Faults, pointer: &str, text: &str, max_chars: usize) {
    faults.check(!text.trim().is_empty(), pointer, "blank", "must not be blank");
    faults.check(text.chars().count() <= max_chars, pointer, "too_long", format!("at most {max_chars} characters"));
    faults.check(!text.chars().any(is_control), pointer, "control_character", "must not hold control characters");
}

/// Checks a note: it may be empty and have several lines and tabs, at most `max_chars` characters, and no other control
/// characters than those.
pub fn check_note(faults: &mut Faults, pointer: &str, text: &str, max_chars: usize) {
    faults.check(text.chars().count() <= max_chars, pointer, "too_long", format!("at most {max_chars} characters"));
    let fits = |c: char| matches!(c, '\n' | '\r' | '\t') || is_isolate(c) || !is_control(c);
    let detail = "must not hold control characters other than tabs and line breaks";
    faults.check(text.chars().all(fits), pointer, "control_character", detail);
}

/// Whether a character steers instead of being read: the controls of ASCII and Latin 1, the separators of lines and
/// paragraphs, and the embeddings, overrides and isolates of Unicode's bidirectional algorithm (UAX #9), which can make a
/// name read as another. The marks of direction that right-to-left names need (U+200E, U+200F, U+061C) are none.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}') || is_isolate(c)
}

/// Whether a character is not seen and means nothing between letters: marks of direction, joiners, a soft hyphen.
pub fn is_invisible(c: char) -> bool {
    is_control(c) || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Isolates, which end with their paragraph and which programs put around names that they quote.
fn is_isolate(c: char) -> bool {
    matches!(c, '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_takes_no_control_and_a_note_takes_line_breaks() {
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
