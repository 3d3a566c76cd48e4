//! What is in force, and where each value is from.

use std::{fmt, path::PathBuf};

use figment::{
    Figment,
    providers::Serialized,
    value::{Dict, Value},
};
use serde::Serialize;

use super::keys;

/// What stands in place of a secret.
const HIDDEN: &str = "…";
/// A key with one of these words in its last part holds a secret.
const SECRET_WORDS: [&str; 4] = ["key", "secret", "token", "password"];

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The program itself.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, with dots between sections.
    pub key: String,
    /// The value as TOML, with each secret in it hidden; `None` where it is not set.
    pub value: Option<String>,
    /// Where it is from.
    pub origin: Origin,
}

impl Setting {
    /// The same with its value hidden, where it has one.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self { value: self.value.map(|_| quoted(HIDDEN)), ..self }
    }
}

/// The settings of a configuration that was made of these layers, the lowest first.
pub(super) fn of(config: &impl Serialize, layers: &[(Origin, Dict)]) -> Vec<Setting> {
    let values: Dict = Figment::from(Serialized::defaults(config)).extract().unwrap_or_default();
    let mut found = Vec::new();
    flatten("", &values, &mut found);
    let given: Vec<(&Origin, Vec<String>)> = layers.iter().map(|(origin, dict)| (origin, keys::of(dict))).collect();
    let origin = |key: &str| {
        let last = given.iter().rev().find(|(_, keys)| keys.iter().any(|given| covers(given, key)));
        last.map_or(Origin::Default, |(origin, _)| (*origin).clone())
    };
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let setting = |(key, value): (String, &Value)| Setting { value: text(&key, value), origin: origin(&key), key };
    found.into_iter().map(setting).collect()
}

/// Whether a layer that gives one key decides another: the same one, or one inside it.
fn covers(given: &str, key: &str) -> bool {
    key.strip_prefix(given).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn flatten<'a>(prefix: &str, dict: &'a Dict, found: &mut Vec<(String, &'a Value)>) {
    for (name, value) in dict {
        let key = format!("{prefix}{name}");
        match value {
            Value::Dict(_, inner) => flatten(&format!("{key}."), inner, found),
            _ => found.push((key, value)),
        }
    }
}

fn text(key: &str, value: &Value) -> Option<String> {
    if matches!(value, Value::Empty(..)) {
        return None;
    }
    if is_secret(key) {
        return Some(quoted(HIDDEN));
    }
    match value.as_str() {
        Some(text) => Some(quoted(&without_password(text))),
        None => toml::Value::try_from(value).ok().map(|value| value.to_string()),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    last.split(['_', '-']).any(|word| SECRET_WORDS.contains(&word))
}

/// A URL without the password in it; a text that is no URL as it is. Where in doubt too much is hidden.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map(|(user, _)| format!("{user}:")).unwrap_or_default();
            format!("{user}{HIDDEN}@{host}")
        }
        None => rest.to_owned(),
    };
    let Some((place, query)) = rest.split_once('?') else { return format!("{scheme}://{rest}") };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(pair).collect();
    format!("{scheme}://{place}?{}", query.join("&"))
}
