//! The syntax that a clinic's own template may use: variables, five filters, and conditions. Without loops, assignments and
//! arithmetic, the time and the size of a rendering are bounded by the template's length and its values.

use super::VARIABLES;

const FILTERS: [&str; 5] = ["upper", "lower", "title", "capitalize", "trim"];
const STATEMENTS: [&str; 4] = ["if", "elif", "else", "endif"];
const OPERATORS: [&str; 3] = ["and", "or", "not"];

/// A forbidden part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// From 1.
    pub(super) line: usize,
    pub(super) code: &'static str,
    pub(super) detail: String,
}

/// All forbidden parts of a template. The engine checks the rest of the syntax.
pub(super) fn check(source: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((open, close)) = next_tag(&source[at..]) {
        let line = 1 + source[..at + open].matches('\n').count();
        let mut refuse = |code, detail: String| found.push(Violation { line, code, detail });
        let inner_at = at + open + 2;
        let Some(length) = tag_length(&source[inner_at..], close) else {
            refuse("invalid_template", format!("the tag is not closed by `{close}`"));
            return found;
        };
        let inner = source[inner_at..inner_at + length].trim_matches(['-', '+']);
        match close {
            "%}" => statement(inner, &mut refuse),
            "}}" => expression(inner, &mut refuse),
            // A comment.
            _ => {}
        }
        at = inner_at + length + 2;
    }
    found
}

/// The position of the next tag, and its closing delimiter.
fn next_tag(text: &str) -> Option<(usize, &'static str)> {
    let tags = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
    tags.into_iter().filter_map(|(open, close)| Some((text.find(open)?, close))).min()
}

/// The length of a tag up to its closing delimiter; quoted strings may hold any character.
fn tag_length(text: &str, close: &str) -> Option<usize> {
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
    let (keyword, arguments) =
        inner.split_at(inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len()));
    if STATEMENTS.contains(&keyword) {
        expression(arguments, refuse);
    } else {
        refuse("not_allowed", format!("use {{{{ word }}}} and {{% if word %}}; `{keyword}` is not available here"));
    }
}

fn expression(inner: &str, refuse: &mut impl FnMut(&'static str, String)) {
    let mut rest = inner.trim_start();
    let mut after_pipe = false;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' => string_length(rest),
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
            _ if VARIABLES.contains(&token) || OPERATORS.contains(&token) => {}
            _ if c.is_alphabetic() || c == '_' => {
                refuse("unknown_word", format!("unknown word `{token}`; the words are {}", VARIABLES.join(", ")));
            }
            _ => refuse("not_allowed", format!("`{token}` is not available here")),
        }
        after_pipe = c == '|';
        rest = rest[length..].trim_start();
    }
}

/// The length of a quoted string with its quotes; the whole rest where it is not closed, which the engine refuses.
fn string_length(text: &str) -> usize {
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
        check(source).into_iter().map(|violation| violation.code).collect()
    }

    #[test]
    fn variables_filters_and_conditions_are_allowed() {
        for allowed in [
            "",
            "{ % } }} plain",
            "{{ clinic }} {{- date|upper -}} {{ service | trim | title }}",
            "{% if phone and not (address == '}} %}' or service != \"a\\\"b\") %}{{ phone }}{% elif address %}x{% else %}y{% endif %}",
            "{# {{ anything }} it's a remark #}{{ time }}",
            "{%- if manage_url -%}{{ manage_url }}{%- endif -%}",
        ] {
            assert_eq!(check(allowed), [], "{allowed}");
        }
    }

    #[test]
    fn loops_assignments_includes_and_arithmetic_are_not() {
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
