//! The end user of a front end, for whom limits count.

use std::{fmt, str::FromStr};

/// The end user on whose behalf a front end, or a patient's own link, calls. Staff and services call without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// An opaque id without personal data, the same for each call of the visitor.
    pub id: String,
    /// Whether the front end names its visitor. Otherwise the network of the client's address stands for the visitor, so
    /// that the id may change between calls.
    pub named: bool,
}

impl fmt::Display for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", if self.named { "named" } else { "address" }, self.id)
    }
}

impl FromStr for Visitor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, id) = text.split_once(':').filter(|(_, id)| !id.is_empty()).ok_or(())?;
        let named = match kind {
            "named" => true,
            "address" => false,
            _ => return Err(()),
        };
        Ok(Self { id: id.to_owned(), named })
    }
}
