//! The layers of the configuration, and their merge into one typed value.

use std::path::{Path, PathBuf};

use figment::{
    Figment,
    error::Kind,
    providers::Serialized,
    value::{Dict, Value},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Error, Fault, Section, keys,
    settings::{self, Origin, Setting},
};

/// The default file.
const FILE: &str = "meridian.toml";
/// The prefix of variables.
const PREFIX: &str = "MERIDIAN_";
/// Environment variables with the prefix that are no configuration.
const OTHER_VARIABLES: [&str; 4] =
    ["MERIDIAN_ADMIN_KEY", "MERIDIAN_CONFIG", "MERIDIAN_TEST_DATABASE_URL", "MERIDIAN_BIN"];
/// Limit of reported faults.
const FAULTS_MAX: usize = 100;

/// Loads a configuration from its defaults, `file` (or `meridian.toml` if that exists), the environment (`MERIDIAN_`, `__`
/// between sections) and `flags` (dotted key and value). Later layers override earlier ones.
///
/// # Errors
/// All unknown keys; else all values of a wrong type; else all faults that [`Section::validate`] finds.
pub fn load<T>(file: Option<&Path>, flags: &[(String, String)]) -> Result<T, Error>
where
    T: Serialize + DeserializeOwned + Default + Section,
{
    Sources::standard(file, flags).load()
}

/// All settings of the configuration that [`load`] returns, sorted by key.
///
/// # Errors
/// As [`load`].
pub fn settings<T>(file: Option<&Path>, flags: &[(String, String)]) -> Result<Vec<Setting>, Error>
where
    T: Serialize + DeserializeOwned + Default + Section,
{
    Sources::standard(file, flags).settings::<T>()
}

/// The layers over the defaults; [`load`] uses the standard ones, and a test its own.
#[derive(Default)]
pub struct Sources {
    file: Option<PathBuf>,
    variables: Vec<(String, String)>,
    flags: Vec<(String, String)>,
    ignored: Vec<String>,
}

impl Sources {
    /// No layers over the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    fn standard(file: Option<&Path>, flags: &[(String, String)]) -> Self {
        let text = |os: std::ffi::OsString| os.into_string().ok();
        let variables = std::env::vars_os().filter_map(|(name, value)| text(name).zip(text(value)));
        let sources = match file {
            Some(file) => Self::new().file(file),
            None => Self::new().file_if_present(Path::new(FILE)),
        };
        flags.iter().fold(sources.environment(variables), |sources, (key, value)| sources.flag(key, value))
    }

    /// Reads this TOML file, which must exist.
    #[must_use]
    pub fn file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// Reads this TOML file if it exists.
    #[must_use]
    pub fn file_if_present(self, file: &Path) -> Self {
        if file.is_file() { self.file(file) } else { self }
    }

    /// Reads the variables with the prefix `MERIDIAN_`. An empty one counts as unset, since compose files pass unset
    /// variables on as empty ones.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Sets one dotted key.
    #[must_use]
    pub fn flag(mut self, key: &str, value: &str) -> Self {
        self.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Ignores these variables, by their full names such as `MERIDIAN_ADMIN_KEY`.
    #[must_use]
    pub fn ignoring(mut self, names: &[&str]) -> Self {
        self.ignored.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Merges the layers over the defaults.
    ///
    /// # Errors
    /// All unknown keys; else all values of a wrong type; else all faults that [`Section::validate`] finds.
    pub fn load<T>(self) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Default + Section,
    {
        combine(&self.layers()?)
    }

    /// All settings that [`Sources::load`] returns, sorted by key.
    ///
    /// # Errors
    /// As [`Sources::load`].
    pub fn settings<T>(self) -> Result<Vec<Setting>, Error>
    where
        T: Serialize + DeserializeOwned + Default + Section,
    {
        let layers = self.layers()?;
        let config: T = combine(&layers)?;
        Ok(settings::of(&config, &layers))
    }

    /// The layers over the defaults with their origins, the lowest first.
    fn layers(self) -> Result<Vec<(Origin, Dict)>, Error> {
        let unreadable = |error: figment::Error| Error::Unreadable(error.to_string());
        let mut layers = Vec::new();
        if let Some(path) = &self.file {
            let table = Figment::from(Serialized::defaults(read(path)?)).extract().map_err(unreadable)?;
            layers.push((Origin::File(path.clone()), table));
        }
        let layer = |key: &str, value: &str| Figment::new().merge((key, plain(value))).extract().map_err(unreadable);
        for (name, value) in &self.variables {
            let other = OTHER_VARIABLES.iter().copied().chain(self.ignored.iter().map(String::as_str));
            let Some(key) = name.strip_prefix(PREFIX).filter(|_| !value.is_empty()) else { continue };
            if other.into_iter().all(|other| other != name) {
                let table = layer(&key.to_lowercase().replace("__", "."), value)?;
                layers.push((Origin::Environment(name.clone()), table));
            }
        }
        for (key, value) in &self.flags {
            layers.push((Origin::Flag, layer(key, value)?));
        }
        Ok(layers)
    }
}

/// Merges the layers over the defaults.
fn combine<T>(layers: &[(Origin, Dict)]) -> Result<T, Error>
where
    T: Serialize + DeserializeOwned + Default + Section,
{
    let merged = layers.iter().fold(Figment::new(), |all, (_, layer)| all.merge(Serialized::defaults(layer)));
    let mut given: Dict = merged.extract().map_err(|error| Error::Unreadable(error.to_string()))?;
    let defaults = keys::defaults::<T>();
    let mut faults = keys::check(&given, &defaults);
    if !faults.is_empty() {
        return Err(Error::Faults(faults));
    }
    keys::fit("", &mut given, &defaults, &mut faults);
    let config: T = extract(given, std::mem::take(&mut faults))?;
    config.validate("", &mut faults);
    if faults.is_empty() { Ok(config) } else { Err(Error::Faults(faults)) }
}

/// A text, unless it is quoted, an array or a table: only the section knows whether 0123 is a number.
fn plain(text: &str) -> Value {
    match text.parse::<Value>() {
        Ok(value @ (Value::Array(..) | Value::Dict(..) | Value::String(..))) => value,
        _ => Value::from(text),
    }
}

fn read(path: &Path) -> Result<toml::Table, Error> {
    let name = || path.display().to_string();
    if !path.is_file() {
        return Err(Error::NoFile(name()));
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::Unreadable(format!("{}: {}", name(), error.kind())))?;
    toml::from_str(&text).map_err(|error: toml::de::Error| {
        // The error's own text holds the line, which may hold a secret.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Error::Unreadable(format!("{}, line {line}: {}", name(), error.message()))
    })
}

/// Deserialises. Collects each value of the wrong type as a fault and removes it, to find the next.
fn extract<T: Serialize + DeserializeOwned + Default>(mut given: Dict, mut faults: Vec<Fault>) -> Result<T, Error> {
    loop {
        let layers = Figment::from(Serialized::defaults(T::default())).merge(Serialized::defaults(&given));
        // Lossy: a text from the environment becomes a number or a boolean if the section expects one.
        let error = match layers.extract_lossy::<T>() {
            Ok(config) if faults.is_empty() => return Ok(config),
            Ok(_) => return Err(Error::Faults(faults)),
            Err(error) => error,
        };
        let Some(first) = error.into_iter().next() else { return Err(Error::Faults(faults)) };
        let fault = misfit(&first, &given);
        let path: Vec<String> = fault.key.split('.').map(str::to_owned).collect();
        faults.push(fault);
        if faults.len() >= FAULTS_MAX || !remove(&mut given, &path) {
            return Err(Error::Faults(faults));
        }
    }
}

fn misfit(error: &figment::Error, given: &Dict) -> Fault {
    let mut key = error.path.join(".");
    let problem = match &error.kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("must be {}", in_words(expected)),
        Kind::UnknownVariant(_, names) => format!("must be one of {}", names.join(", ")),
        Kind::UnknownField(name, names) => {
            if error.path.last() != Some(name) {
                key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            }
            match keys::nearest(name, names.iter().copied()) {
                Some(right) => format!("there is no such key; did you mean `{right}`?"),
                None => format!("there is no such key; those that there are: {}", names.join(", ")),
            }
        }
        Kind::MissingField(name) => format!("lacks `{name}`"),
        Kind::InvalidLength(_, expected) => format!("must have {expected}"),
        Kind::Message(message) => hide(message, &key, given),
        _ => "cannot be read".to_owned(),
    };
    Fault { key, problem }
}

fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        other => other,
    }
}

/// Hides a message of another library that repeats the value.
fn hide(message: &str, key: &str, given: &Dict) -> String {
    let value = Value::from(given.clone()).find(key);
    match value.as_ref().and_then(Value::as_str) {
        Some(text) if !text.is_empty() && message.contains(text) => "cannot be read".to_owned(),
        _ => message.to_owned(),
    }
}

fn remove(given: &mut Dict, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => given.remove(last).is_some(),
        [first, rest @ ..] => match given.get_mut(first) {
            Some(Value::Dict(_, inner)) => remove(inner, rest),
            // An array is validated as a whole.
            Some(_) => given.remove(first).is_some(),
            None => false,
        },
    }
}
