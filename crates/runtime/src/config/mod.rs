//! Configuration in layers: defaults, then a file, then the environment, then flags.
//!
//! An unknown key is refused with the most similar known one, and a value of the wrong type with the expected type. All
//! faults are listed. No message repeats a value, which may be a secret.
//!
//! The serialised defaults define the known keys, so serialisation must not skip a field. Start reading at [`load`] and
//! [`Sources`].

mod keys;
mod settings;
mod sources;

#[cfg(test)]
mod tests;

pub use keys::keys;
pub use settings::{Origin, Setting, is_secret};
pub use sources::{Sources, load, settings};

/// One fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, with dots between sections: `reminder.sms_provider`.
    pub key: String,
    /// The problem and its remedy. Never repeats the value, which may be a secret.
    pub problem: String,
}

/// The reason why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown keys or invalid values.
    #[error("the configuration cannot be used:{}", list(.0))]
    Faults(Vec<Fault>),
    /// The file is not TOML, or a layer cannot be read.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(String),
    /// The named file does not exist.
    #[error("there is no configuration file {0}")]
    NoFile(String),
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {}: {}", fault.key, fault.problem)).collect()
}

/// A section of the configuration, which validates itself.
pub trait Section {
    /// Collects all faults; `at` is the section's own key with a trailing dot, or empty at the root.
    fn validate(&self, at: &str, faults: &mut Vec<Fault>);
}
