//! The section `gateway.tls`.

use std::path::PathBuf;

use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

/// The section `gateway.tls`: TLS at the gateway itself, for installations without a reverse proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The file with the certificate, and intermediate ones after it, in PEM. It is read again for each connection. Not set:
    /// the gateway speaks plain HTTP.
    pub cert_file: Option<PathBuf>,
    /// The file with the certificate's private key, in PEM.
    pub key_file: Option<PathBuf>,
}

impl Tls {
    /// Whether clients speak TLS.
    pub fn is_set(&self) -> bool {
        self.cert_file.is_some()
    }
}

impl Section for Tls {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        if self.cert_file.is_some() != self.key_file.is_some() {
            let key = if self.cert_file.is_some() { "key_file" } else { "cert_file" };
            faults.push(Fault { key: format!("{at}{key}"), problem: "is needed beside the other file".to_owned() });
        }
    }
}
