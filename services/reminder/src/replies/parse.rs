//! What a reply means: a word or a letter in English, French, Spanish or German. Pure.
//!
//! The carriers read some words themselves: whoever writes STOP, END or CANCEL is off their list, whatever was meant. A
//! patient is therefore never asked for such a word; where it comes all the same, it counts as the carriers take it.

use std::fmt;

/// What a reply means by itself, before anybody knows what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Confirm,
    Cancel,
    Move,
    /// Wants to be called.
    Help,
    /// Wants no more messages.
    Stop,
    /// Wants messages again.
    Start,
    /// Takes an offer.
    Accept,
    Decline,
    /// Answers how it is, or is one of the digits for confirm, cancel and move: what was asked decides.
    Number(u8),
    Unknown,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) meaning: Meaning,
    /// The day of the month of the visit that is meant, as in `C 9`.
    pub(crate) day: Option<i8>,
    /// Whether somebody must read it whatever is done: words that may have meant something else.
    pub(crate) read_on: bool,
}

const STOP: [&str; 12] = [
    "STOP",
    "STOPALL",
    "STOP ALL",
    "UNSUBSCRIBE",
    "END",
    "QUIT",
    "REVOKE",
    "OPTOUT",
    "OPT OUT",
    "ARRET",
    "ALTO",
    "STOPP",
];
const START: [&str; 2] = ["START", "UNSTOP"];
const WORDS: [(&str, Meaning); 40] = [
    ("C", Meaning::Confirm),
    ("CONFIRM", Meaning::Confirm),
    ("CONFIRMED", Meaning::Confirm),
    ("CONFIRMER", Meaning::Confirm),
    ("CONFIRME", Meaning::Confirm),
    ("JE CONFIRME", Meaning::Confirm),
    ("CONFIRMAR", Meaning::Confirm),
    ("CONFIRMO", Meaning::Confirm),
    ("BESTÄTIGEN", Meaning::Confirm),
    ("BESTÄTIGT", Meaning::Confirm),
    ("X", Meaning::Cancel),
    ("ANNULER", Meaning::Cancel),
    ("ANNULE", Meaning::Cancel),
    ("CANCELAR", Meaning::Cancel),
    ("ANULAR", Meaning::Cancel),
    ("ABSAGEN", Meaning::Cancel),
    ("STORNIEREN", Meaning::Cancel),
    ("M", Meaning::Move),
    ("MOVE", Meaning::Move),
    ("RESCHEDULE", Meaning::Move),
    ("MODIFIER", Meaning::Move),
    ("DEPLACER", Meaning::Move),
    ("CAMBIAR", Meaning::Move),
    ("MOVER", Meaning::Move),
    ("VERSCHIEBEN", Meaning::Move),
    ("ÄNDERN", Meaning::Move),
    ("H", Meaning::Help),
    ("HELP", Meaning::Help),
    ("INFO", Meaning::Help),
    ("AIDE", Meaning::Help),
    ("AYUDA", Meaning::Help),
    ("HILFE", Meaning::Help),
    ("A", Meaning::Accept),
    ("ACCEPT", Meaning::Accept),
    ("ACCEPTER", Meaning::Accept),
    ("ACEPTAR", Meaning::Accept),
    ("ANNEHMEN", Meaning::Accept),
    ("N", Meaning::Decline),
    ("NO", Meaning::Decline),
    ("NEIN", Meaning::Decline),
];

/// Reads a reply.
pub(crate) fn read(text: &str) -> Said {
    let text = normal(text);
    let said = |meaning| Said { meaning, day: None, read_on: false };
    if STOP.contains(&text.as_str()) {
        return said(Meaning::Stop);
    }
    match text.as_str() {
        // To the carrier an opt-out, to the patient perhaps a cancellation.
        "CANCEL" => return Said { read_on: true, ..said(Meaning::Stop) },
        // To the carrier an opt-in, to the patient perhaps a confirmation.
        "YES" => return Said { read_on: true, ..said(Meaning::Start) },
        word if START.contains(&word) => return said(Meaning::Start),
        _ => {}
    }
    let word = |text: &str| WORDS.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    if let Some(meaning) = word(&text) {
        return said(meaning);
    }
    if let Some(score) = number(&text) {
        return said(Meaning::Number(score));
    }
    let dated = text.rsplit_once(' ').and_then(|(first, day)| {
        let day = day.parse().ok().filter(|day| (1..=31).contains(day))?;
        let meaning = match first {
            "1" => Meaning::Confirm,
            "2" => Meaning::Cancel,
            "3" => Meaning::Move,
            first => word(first)?,
        };
        Some(Said { day: Some(day), ..said(meaning) })
    });
    dated.unwrap_or(said(Meaning::Unknown))
}

/// 0 to 10, also as `7/10`.
fn number(text: &str) -> Option<u8> {
    let first = text.split_once('/').filter(|(_, of)| of.trim() == "10").map_or(text, |(first, _)| first.trim());
    first.parse().ok().filter(|number| *number <= 10 && first.len() <= 2)
}

/// Capital letters without accents, marks around it left out, one space between words.
fn normal(text: &str) -> String {
    let plain = text.trim().chars().map(|c| match c {
        'é' | 'è' | 'ê' | 'É' | 'È' | 'Ê' => 'E',
        'à' | 'â' | 'á' | 'À' | 'Â' | 'Á' => 'A',
        other => other,
    });
    let plain: String = plain.take(200).collect::<String>().to_uppercase();
    let marks = |c: char| matches!(c, '.' | '!' | ',' | ';' | ':' | '"' | '\'' | '«' | '»' | '“' | '”' | '’');
    plain.trim_matches(marks).split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Meaning {
    /// The word of the public interface.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Move => "move",
            Self::Help => "help",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::Number(_) => "score",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_or_a_word_is_understood_however_it_is_written() {
        for (text, meaning) in [
            ("C", Meaning::Confirm),
            (" c. ", Meaning::Confirm),
            ("\"Confirmé\"", Meaning::Confirm),
            ("x", Meaning::Cancel),
            ("Annuler!", Meaning::Cancel),
            ("Déplacer", Meaning::Move),
            ("bestätigen", Meaning::Confirm),
            ("Nein.", Meaning::Decline),
            ("m", Meaning::Move),
            ("Ayuda", Meaning::Help),
            ("Arrêt", Meaning::Stop),
            ("stop all", Meaning::Stop),
            ("unstop", Meaning::Start),
            ("a", Meaning::Accept),
            ("no", Meaning::Decline),
            ("7", Meaning::Number(7)),
            ("10/10", Meaning::Number(10)),
            ("7 / 10", Meaning::Number(7)),
            ("11", Meaning::Unknown),
            ("007", Meaning::Unknown),
            ("I am late, stop asking", Meaning::Unknown),
            ("see you then", Meaning::Unknown),
            ("", Meaning::Unknown),
        ] {
            assert_eq!(read(text), Said { meaning, day: None, read_on: false }, "{text}");
        }
    }

    #[test]
    fn what_carriers_take_for_something_else_is_read_by_a_person_too() {
        assert_eq!(read("cancel"), Said { meaning: Meaning::Stop, day: None, read_on: true });
        assert_eq!(read("Yes."), Said { meaning: Meaning::Start, day: None, read_on: true });
    }

    #[test]
    fn a_day_says_which_visit_is_meant() {
        let said = |meaning, day| Said { meaning, day: Some(day), read_on: false };
        assert_eq!(read("C 9"), said(Meaning::Confirm, 9));
        assert_eq!(read("annuler 31"), said(Meaning::Cancel, 31));
        assert_eq!(read("2 12"), said(Meaning::Cancel, 12));
        assert_eq!(read("C 32").meaning, Meaning::Unknown);
        assert_eq!(read("see you 9").meaning, Meaning::Unknown);
    }
}
