//! Folding of names for search: `jose` finds José, `muller` and `mueller` find Müller, `OBRIEN` finds O’Brien.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The folded words of a name: lower case, without accents, apostrophes and punctuation. A word with an apostrophe or with
/// a letter that has several ASCII spellings yields each spelling. No word is repeated.
pub fn words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |word: String| {
        if !word.is_empty() && !found.contains(&word) {
            found.push(word);
        }
    };
    for part in parts(text) {
        add(part.iter().filter(|c| !is_apostrophe(**c)).flat_map(|c| unaccented(*c).chars()).collect());
        add(part.iter().filter(|c| !is_apostrophe(**c)).flat_map(|c| transliterated(*c).chars()).collect());
        for piece in part.split(|c| is_apostrophe(*c)).filter(|piece| piece.len() > 1) {
            add(piece.iter().flat_map(|c| unaccented(*c).chars()).collect());
        }
    }
    found
}

/// The folded words of a query, one for each word of the text.
pub fn query_words(text: &str) -> Vec<String> {
    let fold =
        |part: Vec<char>| part.into_iter().filter(|c| !is_apostrophe(*c)).flat_map(|c| unaccented(c).chars()).collect();
    parts(text).into_iter().map(fold).filter(|word: &String| !word.is_empty()).collect()
}

/// The key of a name, which all its spellings share.
pub fn key(text: &str) -> String {
    let words = query_words(text);
    // A name without letters equals only itself.
    if words.is_empty() { text.trim().to_lowercase() } else { words.join(" ") }
}

fn parts(text: &str) -> Vec<Vec<char>> {
    let mut parts: Vec<Vec<char>> = vec![vec![]];
    let mut letters: Vec<char> = Vec::new();
    // People type the spacing acute accent as an apostrophe; NFKD would decompose it to a space and an accent.
    for c in text.chars().map(|c| if c == '\u{b4}' { '\'' } else { c }).nfkd() {
        match (c, letters.last_mut()) {
            ('\u{308}' | '\u{30a}', Some(last)) => *last = compose(*last, c),
            _ if is_accent(c) => {}
            _ => letters.extend(c.to_lowercase().filter(|c| !is_accent(*c))),
        }
    }
    for c in letters {
        if c.is_alphanumeric() || is_apostrophe(c) || is_combining_mark(c) {
            push(&mut parts, c);
        } else if !crate::fault::is_invisible(c) {
            parts.push(vec![]);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Composes a letter with a diaeresis or a ring if it has an ASCII spelling of its own.
fn compose(letter: char, accent: char) -> char {
    match (letter, accent) {
        ('a', '\u{308}') => 'ä',
        ('o', '\u{308}') => 'ö',
        ('u', '\u{308}') => 'ü',
        ('a', '\u{30a}') => 'å',
        (other, _) => other,
    }
}

fn push(parts: &mut [Vec<char>], c: char) {
    if let Some(last) = parts.last_mut() {
        last.push(c);
    }
}

/// Accents of Latin, Greek and Cyrillic letters, and the points of Hebrew and Arabic. The combining marks of other scripts
/// are part of their letters.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{652}')
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '`' | '\u{2b9}'..='\u{2bd}' | '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{ff07}')
}

/// A letter without its accent, or its usual ASCII spelling.
fn unaccented(c: char) -> Folded {
    match c {
        'ä' | 'å' => Folded::Text("a"),
        'ö' => Folded::Text("o"),
        'ü' => Folded::Text("u"),
        'ß' => Folded::Text("ss"),
        'ø' => Folded::Text("o"),
        'æ' => Folded::Text("ae"),
        'œ' => Folded::Text("oe"),
        'đ' | 'ð' => Folded::Text("d"),
        'ł' => Folded::Text("l"),
        'ħ' => Folded::Text("h"),
        'ŧ' => Folded::Text("t"),
        'þ' => Folded::Text("th"),
        'ı' => Folded::Text("i"),
        'ς' => Folded::Text("σ"),
        other => Folded::Letter(other),
    }
}

/// A letter in the German and Danish ASCII spelling.
fn transliterated(c: char) -> Folded {
    match c {
        'ä' => Folded::Text("ae"),
        'ö' | 'ø' => Folded::Text("oe"),
        'ü' => Folded::Text("ue"),
        'å' => Folded::Text("aa"),
        other => unaccented(other),
    }
}

#[derive(Clone, Copy)]
enum Folded {
    Letter(char),
    Text(&'static str),
}

impl Folded {
    fn chars(self) -> impl Iterator<Item = char> {
        let (letter, text) = match self {
            Self::Letter(c) => (Some(c), ""),
            Self::Text(text) => (None, text),
        };
        letter.into_iter().chain(text.chars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_yields_the_words_that_people_type() {
        for (name, expected) in [
            ("José", &["jose"][..]),
            ("Jose\u{301}", &["jose"]),
            ("Müller", &["muller", "mueller"]),
            ("O’Brien-Smith", &["obrien", "brien", "smith"]),
            ("D'Angelo", &["dangelo", "angelo"]),
            ("O´Brien", &["obrien", "brien"]),
            ("Weiß", &["weiss"]),
            ("Søren Åberg", &["soren", "soeren", "aberg", "aaberg"]),
            ("van der  Berg", &["van", "der", "berg"]),
            ("Łukasz", &["lukasz"]),
            ("İlknur", &["ilknur"]),
            ("ＡＤＡ", &["ada"]),
            ("राम", &["राम"]),
            ("王小明", &["王小明"]),
            ("…", &[]),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
    }

    #[test]
    fn every_spelling_of_a_query_begins_a_word_of_the_name() {
        for (query, name) in [
            ("jose", "José"),
            ("JOSÉ", "Jose"),
            ("muller", "Müller"),
            ("mueller", "Müller"),
            ("Müller", "Muller"),
            ("o'brien", "O’Brien"),
            ("o’brien", "OBrien"),
            ("obrien", "O'Brien"),
            ("brien", "O’Brien"),
            ("smi", "Anne-Marie Smith"),
        ] {
            let (query, name) = (query_words(query), words(name));
            assert!(query.iter().all(|word| name.iter().any(|of| of.starts_with(word))), "{query:?} {name:?}");
        }
        assert!(!words("रमा").contains(&words("राम")[0]), "other vowels, another name");
    }

    #[test]
    fn spellings_of_one_name_have_one_key() {
        assert_eq!(key(" Anne-Marie  O’BRIEN "), key("anne marie o'brien"));
        assert_ne!(key("Ada"), key("Adah"));
        assert_ne!(key("…"), key("!"));
    }
}
