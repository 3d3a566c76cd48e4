//! The section of the other roles: their addresses, and the certificates by which roles know each other.

use std::path::PathBuf;

use rpc::tls::Files;
use runtime::config::Fault;
use serde::{Deserialize, Serialize};

use crate::roles::Role;

/// The other roles, for a process that runs one role. Unused where all roles run in one process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Peers {
    /// The URL of availability, such as `https://availability:9090`; not set: port 9091 of this machine. URLs of roles begin
    /// with `https` where `peers.tls` is set, else with `http`.
    pub(crate) availability: Option<String>,
    /// The URL of booking, such as `https://booking:9090`; not set: port 9090 of this machine.
    pub(crate) booking: Option<String>,
    /// The URL of reminder, such as `https://reminder:9090`; not set: port 9092 of this machine.
    pub(crate) reminder: Option<String>,
    /// Lets roles speak plain text beyond this machine. Only for a service mesh that encrypts and authenticates the
    /// connections between roles: without one, anybody who reaches a port reads and changes the data of every organisation.
    pub(crate) plaintext: bool,
    /// The certificates by which roles know each other. `meridian certificates` makes them.
    pub(crate) tls: PeersTls,
}

/// The certificates of a role. Set all three files, or none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct PeersTls {
    /// A PEM file with the authority that signed the certificates of all roles.
    pub(crate) ca_file: Option<PathBuf>,
    /// A PEM file with this role's certificate. It is read again when it changes, as are the other two.
    pub(crate) cert_file: Option<PathBuf>,
    /// A PEM file with the private key of this role's certificate.
    pub(crate) key_file: Option<PathBuf>,
}

impl Peers {
    /// The roles that others call, with their configured URLs.
    pub(crate) fn urls(&self) -> [(Role, Option<&str>); 3] {
        [
            (Role::Availability, self.availability.as_deref()),
            (Role::Booking, self.booking.as_deref()),
            (Role::Reminder, self.reminder.as_deref()),
        ]
    }

    /// The scheme of the URLs of roles.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.files().is_some() { "https" } else { "http" }
    }

    pub(super) fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let mut fault = |key: String, problem: &str| faults.push(Fault { key, problem: problem.to_owned() });
        let PeersTls { ca_file, cert_file, key_file } = &self.tls;
        let given = [ca_file, cert_file, key_file].into_iter().flatten().count();
        if !matches!(given, 0 | 3) {
            fault(format!("{at}tls"), "set ca_file, cert_file and key_file, all three");
        }
        if self.plaintext && given > 0 {
            fault(
                format!("{at}plaintext"),
                "leave it out: the certificates of peers.tls are set, so nothing is plain text",
            );
        }
        for (role, url) in self.urls() {
            let Some(url) = url else { continue };
            let parsed = url.parse::<reqwest::Url>().ok().filter(reqwest::Url::has_host);
            let key = format!("{at}{}", role.as_str());
            match parsed.as_ref().map(reqwest::Url::scheme) {
                Some(scheme) if scheme == self.scheme() => {}
                Some("http") => fault(key, "write https: the certificates of peers.tls are set"),
                Some("https") => {
                    fault(key, "set the certificates of peers.tls, by which roles speak https, or write http")
                }
                _ => fault(key, "write a URL such as https://booking:9090 or http://127.0.0.1:9090"),
            }
        }
    }
}

impl PeersTls {
    /// The files, if they are set.
    pub(crate) fn files(&self) -> Option<Files> {
        Some(Files { ca: self.ca_file.clone()?, cert: self.cert_file.clone()?, key: self.key_file.clone()? })
    }
}

/// The gRPC servers of roles.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Grpc {
    /// Whether roles offer gRPC reflection; with `--dev` they do.
    pub(crate) reflection: bool,
}
