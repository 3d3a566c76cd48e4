//! The meaning of a reply: a word or a letter in English, French, Spanish or German. Pure.
//!
//! Carriers interpret some words themselves: STOP, END or CANCEL opts a patient out, whatever they meant. Our texts
//! therefore never ask for such a word, and where one arrives it has the carriers' meaning.

use std::fmt;

/// The meaning of a text by itself, without the message that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Confirm,
    Cancel,
    Move,
    /// Asks for a call.
    Help,
    /// Opts out of messages.
    Stop,
    /// Opts in again.
    Start,
    /// Accepts an offer.
    Accept,
    /// Declines an offer.
    Decline,
    /// A score, or one of the digits for confirm, cancel and move: the answered message decides.
    Number(u8),
    Unknown,
}

/// A parsed reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParsedReply {
    pub(crate) meaning: Meaning,
    /// The day of the month of the intended visit, as in `C 9`.
    pub(crate) day: Option<i8>,
    /// A person must read the reply, too: the word is ambiguous.
    pub(crate) needs_review: bool,
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

/// Parses a reply; a text without a known word is [`Meaning::Unknown`].
pub(crate) fn parse(text: &str) -> ParsedReply {
    let text = normalize(text);
    let reply = |meaning| ParsedReply { meaning, day: None, needs_review: false };
    if STOP.contains(&text.as_str()) {
        return reply(Meaning::Stop);
    }
    match text.as_str() {
        // An opt-out to the carrier, perhaps a cancellation to the patient.
        "CANCEL" => return ParsedReply { needs_review: true, ..reply(Meaning::Stop) },
        // An opt-in to the carrier, perhaps a confirmation to the patient.
        "YES" => return ParsedReply { needs_review: true, ..reply(Meaning::Start) },
        word if START.contains(&word) => return reply(Meaning::Start),
        _ => {}
    }
    let word = |text: &str| WORDS.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    if let Some(meaning) = word(&text) {
        return reply(meaning);
    }
    if let Some(score) = parse_score(&text) {
        return reply(Meaning::Number(score));
    }
    let with_day = text.rsplit_once(' ').and_then(|(first, day)| {
        let day = day.parse().ok().filter(|day| (1..=31).contains(day))?;
        let meaning = match first {
            "1" => Meaning::Confirm,
            "2" => Meaning::Cancel,
            "3" => Meaning::Move,
            first => word(first)?,
        };
        Some(ParsedReply { day: Some(day), ..reply(meaning) })
    });
    with_day.unwrap_or(reply(Meaning::Unknown))
}

/// 0 to 10, also as `7/10`.
fn parse_score(text: &str) -> Option<u8> {
    let first = text.split_once('/').filter(|(_, of)| of.trim() == "10").map_or(text, |(first, _)| first.trim());
    first.parse().ok().filter(|number| *number <= 10 && first.len() <= 2)
}

/// Upper case without accents, without punctuation at the ends, with one space between words.
fn normalize(text: &str) -> String {
    let plain = text.trim().chars().map(|c| match c {
        'é' | 'è' | 'ê' | 'É' | 'È' | 'Ê' => 'E',
        'à' | 'â' | 'á' | 'À' | 'Â' | 'Á' => 'A',
        c => c,
    });
    let plain: String = plain.take(200).collect::<String>().to_uppercase();
    let is_punctuation = |c: char| matches!(c, '.' | '!' | ',' | ';' | ':' | '"' | '\'' | '«' | '»' | '“' | '”' | '’');
    plain.trim_matches(is_punctuation).split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Meaning {
    /// The value of the field `meaning` in the API.
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
    fn a_word_is_understood_in_any_spelling() {
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
            assert_eq!(parse(text), ParsedReply { meaning, day: None, needs_review: false }, "{text}");
        }
    }

    #[test]
    fn a_word_that_carriers_interpret_otherwise_needs_review() {
        assert_eq!(parse("cancel"), ParsedReply { meaning: Meaning::Stop, day: None, needs_review: true });
        assert_eq!(parse("Yes."), ParsedReply { meaning: Meaning::Start, day: None, needs_review: true });
    }

    #[test]
    fn a_day_names_the_visit() {
        let reply = |meaning, day| ParsedReply { meaning, day: Some(day), needs_review: false };
        assert_eq!(parse("C 9"), reply(Meaning::Confirm, 9));
        assert_eq!(parse("annuler 31"), reply(Meaning::Cancel, 31));
        assert_eq!(parse("2 12"), reply(Meaning::Cancel, 12));
        assert_eq!(parse("C 32").meaning, Meaning::Unknown);
        assert_eq!(parse("see you 9").meaning, Meaning::Unknown);
    }
}
