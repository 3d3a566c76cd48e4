//! Which name somebody meant who wrote another one.

/// Below this likeness (Jaro and Winkler's, 0 to 1) a suggestion would rather mislead.
const LIKENESS_MIN: f64 = 0.7;

/// A shorter name is a little like every longer one.
const NAME_MIN: usize = 3;

/// The most similar name, where one is similar.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() < NAME_MIN {
        return None;
    }
    // One slip of the keyboard makes much of a short name unlike.
    let slip = |known: &str| strsim::damerau_levenshtein(name, known) == 1;
    let likeness = |known| if slip(known) { 1.0 } else { strsim::jaro_winkler(name, known) };
    let likely = known.map(|known| (likeness(known), known));
    let best = likely.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > LIKENESS_MIN).map(|(_, known)| known)
}

/// A name as it may be repeated in an answer.
pub(crate) fn safe(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-').take(64).collect()
}
