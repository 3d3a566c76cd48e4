//! What a clinic's own text may use: the words, five filters, and conditions. No loop, no assignment, no arithmetic: a
//! text can then never take more time or room than its own length and its words give it.

use super::WORDS;

const FILTERS: [&str; 5] = ["upper", "lower", "title", "capitalize", "trim"];
const STATEMENTS: [&str; 4] = ["if", "elif", "else", "endif"];
const OPERATORS: [&str; 3] = ["and", "or", "not"];

/// What is not allowed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// From 1.
    pub(super) line: usize,
    pub(super) code: &'static str,
    pub(super) detail: String,
}

/// Everything in a text that is not allowed; whether the rest makes sense is the engine's to say.
pub(super) fn check(source: &str) -> Vec<Refused> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((open, close)) = next_tag(&source[at..]) {
        let line = 1 + source[..at + open].matches('\n').count();
        let mut refuse = |code, detail: String| found.push(Refused { line, code, detail });
        let inner_at = at + open + 2;
        let Some(length) = end_of(&source[inner_at..], close) else {
            refuse("invalid_template", format!("the tag is not closed by `{close}`"));
            return found;
        };
        let inner = source[inner_at..inner_at + length].trim_matches(['-', '+']);
        match close {
            "%}" => statement(inner, &mut refuse),
            "}}" => expression(inner, &mut refuse),
            // A remark.
            _ => {}
        }
        at = inner_at + length + 2;
    }
    found
}

/// Where the next tag opens, and what closes it.
fn next_tag(text: &str) -> Option<(usize, &'static str)> {
    let tags = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
    tags.into_iter().filter_map(|(open, close)| Some((text.find(open)?, close))).min()
}

/// How far it is to the end of a tag; quoted texts may hold anything.
fn end_of(text: &str, close: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if text[at..].starts_with(close) => return Some(at),
            None if close != "#}" && (c == '"' || c == '\'') => quote = Some(c),
            None => {}
        }
    }
    None
}

fn statement(inner: &str, refuse: &mut impl FnMut(&'static str, String)) {
    let inner = inner.trim();
    let (word, rest) = inner.split_at(inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len()));
    if STATEMENTS.contains(&word) {
        expression(rest, refuse);
    } else {
        refuse("not_allowed", format!("use {{{{ word }}}} and {{% if word %}}; `{word}` is not available here"));
    }
}

fn expression(inner: &str, refuse: &mut impl FnMut(&'static str, String)) {
    let mut rest = inner.trim_start();
    let mut after_pipe = false;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' => end_of_text(rest),
            _ if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            '=' | '!' if rest[1..].starts_with('=') => 2,
            _ => c.len_utf8(),
        };
        let token = &rest[..length];
        match c {
            '"' | '\'' | '|' | '(' | ')' => {}
            '=' | '!' if length == 2 => {}
            _ if after_pipe && FILTERS.contains(&token) => {}
            _ if after_pipe => {
                refuse("invalid_template", format!("unknown filter `{token}`; the filters are {}", FILTERS.join(", ")));
            }
            _ if WORDS.contains(&token) || OPERATORS.contains(&token) => {}
            _ if c.is_alphabetic() || c == '_' => {
                refuse("unknown_word", format!("unknown word `{token}`; the words are {}", WORDS.join(", ")));
            }
            _ => refuse("not_allowed", format!("`{token}` is not available here")),
        }
        after_pipe = c == '|';
        rest = rest[length..].trim_start();
    }
}

/// The length of a quoted text with its quotes; all that is left where it is not closed, which the engine refuses.
fn end_of_text(text: &str) -> usize {
    let quote = text.chars().next();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if Some(c) == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(source: &str) -> Vec<&'static str> {
        check(source).into_iter().map(|one| one.code).collect()
    }

    #[test]
    fn words_filters_and_conditions_are_allowed() {
        for fine in [
            "",
            "{ % } }} plain",
            "{{ clinic }} {{- date|upper -}} {{ service | trim | title }}",
            "{% if phone and not (address == '}} %}' or service != \"a\\\"b\") %}{{ phone }}{% elif address %}x{% else %}y{% endif %}",
            "{# {{ anything }} it's a remark #}{{ time }}",
            "{%- if manage_url -%}{{ manage_url }}{%- endif -%}",
        ] {
            assert_eq!(check(fine), [], "{fine}");
        }
    }

    #[test]
    fn whatever_could_run_away_or_reach_out_is_not() {
        for (bad, expected) in [
            ("{% set a = clinic %}", vec!["not_allowed"]),
            ("{% for c in clinic %}{{ c }}{% endfor %}", vec!["not_allowed", "unknown_word", "not_allowed"]),
            ("{% include 'en/booked.sms' %}", vec!["not_allowed"]),
            ("{% macro a() %}{% endmacro %}", vec!["not_allowed", "not_allowed"]),
            ("{% raw %}{% endraw %}", vec!["not_allowed", "not_allowed"]),
            ("{{ clinic * 9 }}", vec!["not_allowed", "not_allowed"]),
            ("{{ clinic ~ clinic }}", vec!["not_allowed"]),
            ("{{ clinic.x }}", vec!["not_allowed", "unknown_word"]),
            ("{{ clinic[0] }}", vec!["not_allowed"; 3]),
            ("{{ clinic|indent }}", vec!["invalid_template"]),
            ("{{ range(9) }}", vec!["unknown_word", "not_allowed"]),
            ("{% if condition %}{% endif %}", vec!["unknown_word"]),
            ("{{ clinic", vec!["invalid_template"]),
            ("{{ 'clinic }}", vec!["invalid_template"]),
            ("{{ état }}", vec!["unknown_word"]),
        ] {
            assert_eq!(codes(bad), expected, "{bad}");
        }
        assert_eq!(check("a\nb\n{{ x }}")[0].line, 3);
    }
}
