//! The shipped templates: the files under `templates/`, found by `build.rs`.

use domain::message::Trigger;

use super::{Language, Part};

/// Each shipped template by `language/name.part`; the name is a trigger's, or that of a response.
pub(super) const TEMPLATES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/templates.rs"));

// Each trigger has its three templates in each language; a missing file fails the build.
const _: () = {
    let (mut trigger, parts) = (0, [Part::Sms, Part::Subject, Part::Email]);
    while trigger < Trigger::ALL.len() {
        let mut language = 0;
        while language < Language::ALL.len() {
            let mut part = 0;
            while part < parts.len() {
                let key =
                    [Language::ALL[language].as_str(), "/", Trigger::ALL[trigger].as_str(), ".", parts[part].name()];
                assert!(is_shipped(key), "a trigger lacks a template in services/reminder/templates");
                part += 1;
            }
            language += 1;
        }
        trigger += 1;
    }
};

/// Whether there is a template whose key consists of these pieces.
const fn is_shipped(pieces: [&str; 5]) -> bool {
    let mut index = 0;
    while index < TEMPLATES.len() {
        if equals(TEMPLATES[index].0.as_bytes(), pieces) {
            return true;
        }
        index += 1;
    }
    false
}

const fn equals(text: &[u8], pieces: [&str; 5]) -> bool {
    let (mut at, mut piece) = (0, 0);
    while piece < pieces.len() {
        let (bytes, mut index) = (pieces[piece].as_bytes(), 0);
        while index < bytes.len() {
            if at >= text.len() || text[at] != bytes[index] {
                return false;
            }
            (at, index) = (at + 1, index + 1);
        }
        piece += 1;
    }
    at == text.len()
}
