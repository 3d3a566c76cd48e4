//! The settings in force, each with its origin.

use std::{fmt, path::PathBuf};

use figment::{
    Figment,
    providers::Serialized,
    value::{Dict, Value},
};
use serde::Serialize;

use super::keys;

/// Printed in place of a secret.
const HIDDEN: &str = "…";
/// A key whose last part has one of these words holds a secret.
const SECRET_WORDS: [&str; 4] = ["key", "secret", "token", "password"];

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The default.
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
    /// The value as TOML with its secrets hidden; `None` if it is not set.
    pub value: Option<String>,
    /// Its origin.
    pub origin: Origin,
}

impl Setting {
    /// The same setting with its value hidden, if it has one.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self { value: self.value.map(|_| quoted(HIDDEN)), ..self }
    }
}

/// The settings of a configuration and of its layers, the lowest first.
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

/// Whether a given key sets another: the same key, or one inside it.
fn covers(given: &str, key: &str) -> bool {
    key.strip_prefix(given).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn flatten<'a>(prefix: &str, dict: &'a Dict, found: &mut Vec<(String, &'a Value)>) {
    for (name, value) in dict {
        let key = format!("{prefix}{name}");
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => flatten(&format!("{key}."), inner, found),
            _ => found.push((key, value)),
        }
    }
}

fn text(key: &str, value: &Value) -> Option<String> {
    match value {
        // A table stands here only if no entry of it is given.
        Value::Empty(..) | Value::Dict(..) => return None,
        // A number is a limit for each key, not a key.
        Value::Num(..) => {}
        _ if is_secret(key) => return Some(quoted(HIDDEN)),
        _ => {}
    }
    match value.as_str() {
        Some(text) => Some(quoted(&without_password(text))),
        None => toml::Value::try_from(value).ok().map(|value| value.to_string()),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Whether a key of the configuration holds a secret, by its name.
pub fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    // A file's name is no secret.
    !last.ends_with("_file") && last.split(['_', '-']).any(|word| SECRET_WORDS.contains(&word))
}

/// Hides the password of a URL, and rather too much than too little. Returns other texts unchanged.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map(|(user, _)| format!("{user}:")).unwrap_or_default();
            format!("{user}{HIDDEN}@{host}")
        }
        None => rest.to_owned(),
    };
    let Some((location, query)) = rest.split_once('?') else { return format!("{scheme}://{rest}") };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(pair).collect();
    format!("{scheme}://{location}?{}", query.join("&"))
}
