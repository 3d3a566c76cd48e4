//! Suggestions for a misspelt name.

/// The least similarity (Jaro-Winkler, 0 to 1) of a suggestion.
const SIMILARITY_MIN: f64 = 0.7;

/// The shortest name, in bytes, that gets a suggestion: shorter ones resemble every name.
const NAME_MIN: usize = 3;

/// The known name that is most similar, if any is similar enough.
pub(crate) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() < NAME_MIN {
        return None;
    }
    // One typing error lowers the similarity of a short name too much, so it always counts as similar.
    let one_edit_apart = |known: &str| strsim::damerau_levenshtein(name, known) == 1;
    let similarity = |known| if one_edit_apart(known) { 1.0 } else { strsim::jaro_winkler(name, known) };
    let candidates = known.map(|known| (similarity(known), known));
    let best = candidates.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(similarity, _)| *similarity > SIMILARITY_MIN).map(|(_, known)| known)
}
