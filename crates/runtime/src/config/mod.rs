//! Configuration in layers: defaults, then a file, then the environment, then flags.
//!
//! A key that no section knows is refused with the nearest right name, a value of the wrong type with the type
//! that it wants, and every fault is listed, not the first. No message repeats a value: it may be a secret.
//!
//! The tree of defaults is the register of keys: a key that the serialised defaults do not have is unknown, so a
//! field must not be left out of serialisation. Start reading at [`load`] and [`Sources`].

mod keys;
mod settings;
mod sources;

#[cfg(test)]
mod tests;

pub use keys::keys;
pub use settings::{Origin, Setting};
pub use sources::{Sources, load, settings};

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
    /// The file is not TOML, or a layer cannot be read.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(String),
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
