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

/// Checks a text that people read: not blank, at most `max_chars` characters, no control characters.
pub fn check_text(faults: &mut Faults, pointer: &str, text: &str, max_chars: usize) {
    faults.check(!text.trim().is_empty(), pointer, "blank", "must not be blank");
    faults.check(text.chars().count() <= max_chars, pointer, "too_long", format!("at most {max_chars} characters"));
    faults.check(!text.chars().any(char::is_control), pointer, "control_character", "must not hold control characters");
}
