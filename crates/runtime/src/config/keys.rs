//! The known keys, and the most similar one to a misspelt key.

use figment::{
    Figment,
    providers::Serialized,
    value::{Dict, Value},
};
use serde::Serialize;

use super::Fault;

/// The least similarity of a suggestion, 0 to 1.
const SIMILARITY_MIN: f64 = 0.7;

/// The known keys of a configuration, with dots between sections, sorted.
pub fn keys<T: Serialize + Default>() -> Vec<String> {
    let mut known = of(&defaults::<T>());
    known.sort();
    known
}

/// The keys of a tree.
pub(super) fn of(dict: &Dict) -> Vec<String> {
    let mut names = Vec::new();
    flatten("", dict, &mut names);
    names
}

/// The tree of the defaults, which defines the known keys.
pub(super) fn defaults<T: Serialize + Default>() -> Dict {
    Figment::from(Serialized::defaults(T::default())).extract().unwrap_or_default()
}

/// A fault for each given key that the known tree does not have.
pub(super) fn check(given: &Dict, known: &Dict) -> Vec<Fault> {
    let names = of(known);
    let mut faults = Vec::new();
    walk("", given, known, &names, &mut faults);
    faults
}

fn walk(prefix: &str, given: &Dict, known: &Dict, names: &[String], faults: &mut Vec<Fault>) {
    for (name, value) in given {
        let key = format!("{prefix}{name}");
        match (value, known.get(name)) {
            (_, None) => faults.push(Fault { problem: unknown(&key, prefix, known, names), key }),
            // The keys under an empty default are unknown here; the section's own type validates them.
            (_, Some(Value::Dict(_, inner))) if inner.is_empty() => {}
            (Value::Dict(_, given), Some(Value::Dict(_, known))) => {
                walk(&format!("{key}."), given, known, names, faults);
            }
            (_, Some(Value::Dict(_, inner))) => {
                faults.push(Fault { problem: format!("is a section with the keys {}", listed(inner)), key });
            }
            (Value::Dict(_, inner), Some(leaf)) if !inner.is_empty() && !matches!(leaf, Value::Empty(..)) => {
                faults.push(Fault { problem: "is a value, not a section".to_owned(), key });
            }
            _ => {}
        }
    }
}

/// Converts texts to numbers and booleans where the default is one; a text that is neither becomes a fault and is removed.
/// Environment variables are texts, and serde does not convert them inside a flattened section.
pub(super) fn fit(prefix: &str, given: &mut Dict, known: &Dict, faults: &mut Vec<Fault>) {
    given.retain(|name, value| {
        let key = format!("{prefix}{name}");
        let expected = match (&mut *value, known.get(name)) {
            (Value::Dict(_, inner), Some(Value::Dict(_, known))) => {
                fit(&format!("{key}."), inner, known, faults);
                return true;
            }
            (Value::String(..), Some(Value::Num(..))) => "a number",
            (Value::String(..), Some(Value::Bool(..))) => "true or false",
            _ => return true,
        };
        let read = value.as_str().and_then(|text| text.trim().parse::<Value>().ok());
        let fits = match &read {
            Some(Value::Num(..)) => expected == "a number",
            Some(Value::Bool(..)) => expected != "a number",
            _ => false,
        };
        match read.filter(|_| fits) {
            Some(read) => *value = read,
            None => faults.push(Fault { problem: format!("must be {expected}"), key }),
        }
        fits
    });
}

fn flatten(prefix: &str, dict: &Dict, keys: &mut Vec<String>) {
    for (name, value) in dict {
        let key = format!("{prefix}{name}");
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => flatten(&format!("{key}."), inner, keys),
            _ => keys.push(key),
        }
    }
}

fn unknown(key: &str, prefix: &str, known: &Dict, names: &[String]) -> String {
    let siblings: Vec<String> = known.keys().map(|name| format!("{prefix}{name}")).collect();
    match nearest(key, names.iter().chain(&siblings).map(String::as_str)) {
        Some(name) => format!("there is no such key; did you mean `{name}`?"),
        None if prefix.is_empty() => format!("there is no such key; those that there are: {}", listed(known)),
        None => format!("there is no such key; `{}` has {}", prefix.trim_end_matches('.'), listed(known)),
    }
}

/// The most similar name. The right name in a wrong section counts as similar.
pub(super) fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let similarity = |name: &str| {
        let whole = strsim::normalized_damerau_levenshtein(key, name);
        let end = strsim::normalized_damerau_levenshtein(&last(key), &last(name));
        whole.max(if end >= 0.8 { 0.5 + whole / 2.0 } else { 0.0 })
    };
    names
        .map(|name| (similarity(name), name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn listed(dict: &Dict) -> String {
    dict.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
