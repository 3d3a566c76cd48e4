//! Configuration in layers: defaults, then a file, then the environment, then flags.
//!
//! A key that no section knows is refused with the nearest right name, and every fault is listed, not the first.

use std::path::Path;

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Value},
};
use serde::{Serialize, de::DeserializeOwned};

/// One fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, with dots between sections: `reminder.sms_provider`.
    pub key: String,
    /// What is wrong with it and how to mend it. Never repeats the value: it may be a secret.
    pub problem: String,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Keys that nothing knows, or values that cannot be.
    #[error("the configuration cannot be used:{}", list(.0))]
    Faults(Vec<Fault>),
    /// The file cannot be read, or a value has the wrong type.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(Box<figment::Error>),
    /// A file was named that does not exist.
    #[error("there is no configuration file {0}")]
    NoFile(String),
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {}: {}", fault.key, fault.problem)).collect()
}

/// A part of the configuration that can say what is wrong with it.
pub trait Section {
    /// Notes every fault; `at` is the section's own key with a trailing dot, or empty at the root.
    fn validate(&self, at: &str, faults: &mut Vec<Fault>);
}

/// Environment variables that begin like configuration but are read elsewhere.
const OTHER_VARIABLES: [&str; 4] =
    ["MERIDIAN_ADMIN_KEY", "MERIDIAN_CONFIG", "MERIDIAN_TEST_DATABASE_URL", "MERIDIAN_BIN"];

/// Loads a configuration: its defaults, `file` (or `meridian.toml` where that exists), the environment
/// (`MERIDIAN_`, `__` between sections) and `flags` (dotted key and value), the later over the earlier.
///
/// # Errors
/// All unknown keys and all faults that [`Section::validate`] finds.
pub fn load<T>(file: Option<&Path>, flags: &[(String, String)]) -> Result<T, Error>
where
    T: Serialize + DeserializeOwned + Default + Section,
{
    let defaults = Serialized::defaults(T::default());
    let mut given = Figment::new();
    match file {
        Some(path) if !path.is_file() => return Err(Error::NoFile(path.display().to_string())),
        Some(path) => given = given.merge(Toml::file_exact(path)),
        None => given = given.merge(Toml::file("meridian.toml")),
    }
    given = given.merge(
        Env::prefixed("MERIDIAN_")
            .filter(|name| {
                !OTHER_VARIABLES.iter().any(|other| other["MERIDIAN_".len()..].eq_ignore_ascii_case(name.as_str()))
            })
            .split("__"),
    );
    for (key, value) in flags {
        given = given.merge((key.as_str(), value.parse::<Value>().unwrap_or_else(|never| match never {})));
    }
    let known = keys::<T>();
    let mut found = Vec::new();
    flatten("", &given.extract::<Dict>().map_err(|error| Error::Unreadable(Box::new(error)))?, &mut found);
    let mut faults: Vec<Fault> = found
        .into_iter()
        .filter(|key| !known.contains(key))
        .map(|key| Fault { problem: unknown(&key, &known), key })
        .collect();
    if !faults.is_empty() {
        return Err(Error::Faults(faults));
    }
    let config: T =
        Figment::from(defaults).merge(given).extract().map_err(|error| Error::Unreadable(Box::new(error)))?;
    config.validate("", &mut faults);
    if faults.is_empty() { Ok(config) } else { Err(Error::Faults(faults)) }
}

/// Every key that a configuration knows, with dots between sections, sorted.
pub fn keys<T: Serialize + Default>() -> Vec<String> {
    let mut known = Vec::new();
    if let Ok(defaults) = Figment::from(Serialized::defaults(T::default())).extract::<Dict>() {
        flatten("", &defaults, &mut known);
    }
    known.sort();
    known
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

fn unknown(key: &str, known: &[String]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(key, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, name)) if likeness > 0.75 => format!("there is no such key; did you mean `{name}`?"),
        _ => "there is no such key; `meridian config --keys` lists those that there are".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
    struct Sample {
        listen: String,
        inner: Inner,
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Inner {
        size: u32,
        url: Option<String>,
    }

    impl Default for Inner {
        fn default() -> Self {
            Self { size: 3, url: None }
        }
    }

    impl Section for Sample {
        fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
            if self.inner.size == 0 {
                faults.push(Fault { key: format!("{at}inner.size"), problem: "must be at least 1".into() });
            }
        }
    }

    fn from(text: &str, flags: &[(&str, &str)]) -> Result<Sample, Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let flags: Vec<_> = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(Some(file.path()), &flags)
    }

    #[test]
    fn flags_beat_the_file_and_the_file_beats_the_defaults() {
        let config = from("listen = \"a\"\n[inner]\nsize = 5", &[("listen", "b")]).unwrap();
        assert_eq!((config.listen.as_str(), config.inner.size), ("b", 5));
        assert_eq!(from("", &[]).unwrap().inner.size, 3);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_right_name() {
        let error = from("[inner]\nsise = 5", &[("nonsense.here", "1")]).unwrap_err().to_string();
        assert!(error.contains("did you mean `inner.size`?"), "{error}");
        assert!(error.contains("nonsense.here"), "{error}");
    }

    #[test]
    fn an_optional_key_is_known_and_faults_are_named() {
        assert_eq!(from("[inner]\nurl = \"x\"", &[]).unwrap().inner.url.as_deref(), Some("x"));
        let error = from("[inner]\nsize = 0", &[]).unwrap_err().to_string();
        assert!(error.contains("inner.size: must be at least 1"), "{error}");
    }
}
