//! The caller of a connection, and the methods that its role may call.

use tokio_rustls::rustls::{client::verify_server_name, pki_types::CertificateDer, server::ParsedCertificate};

use super::server_name;
use crate::{Code, Fault};

/// The roles that certificates can name, and the methods that each may call.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// All roles.
    pub roles: &'static [&'static str],
    /// Whether a role may call a method, which is written `PACKAGE.SERVICE/METHOD`.
    pub may_call: fn(role: &str, method: &str) -> bool,
}

/// The caller at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    /// The connection has no certificates, so any call is accepted.
    Unverified,
    /// The caller's certificate names this role.
    Role(&'static str, Access),
}

impl Caller {
    /// The caller with this certificate; `None` unless it names exactly one role.
    pub(crate) fn of(certificate: &CertificateDer<'_>, access: Access) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        let is_named = |role: &&&str| server_name(role).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
        let mut named = access.roles.iter().filter(is_named);
        let role = named.next()?;
        named.next().is_none().then_some(Self::Role(role, access))
    }

    /// The fault of a call that the caller's role may not make; it is logged and counted.
    pub(crate) fn refusal(self, method: &str) -> Option<Fault> {
        let Self::Role(caller, access) = self else { return None };
        if (access.may_call)(caller, method) {
            return None;
        }
        let method = format!("{method:.128}");
        tracing::warn!(caller, method, "a call was refused: the caller's role may not call this method");
        metrics::counter!("rpc_server_calls_forbidden_total", "caller" => caller).increment(1);
        Some(Fault::new(Code::Forbidden, format!("the role {caller} may not call {method}")))
    }
}
