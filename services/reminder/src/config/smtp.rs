//! The section `reminder.smtp`: the mail server.

use std::{fmt, path::PathBuf};

use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

use super::{SmtpServer, TIMEOUT, is_timeout};

/// The section `reminder.smtp`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The mail server: `smtps://user:password@host:465` (TLS from the start), `smtp://host:587?tls=required` (STARTTLS)
    /// or, without TLS, `smtp://127.0.0.1:1025` and `smtp://host:25?tls=none`. The path, where there is one, is the name for EHLO.
    pub url: Option<String>,
    /// The sender of e-mails, such as `Northside Physio <reminders@example.org>`.
    pub from: Option<String>,
    /// A PEM file with certificate authorities to trust in addition to those of this system, for a mail server with a
    /// certificate from a private authority.
    pub ca_file: Option<PathBuf>,
    /// The timeout for one e-mail, 1 to 60 seconds; after it the outcome is unknown.
    pub timeout_seconds: u32,
}

impl Default for Smtp {
    fn default() -> Self {
        Self { url: None, from: None, ca_file: None, timeout_seconds: 20 }
    }
}

impl fmt::Debug for Smtp {
    /// Shows no URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("configured", &self.url.is_some()).finish_non_exhaustive()
    }
}

impl Smtp {
    pub(super) fn validate(&self, lease_seconds: u32, check: &mut impl FnMut(bool, &str, &str)) {
        check(is_timeout(self.timeout_seconds, lease_seconds), "smtp.timeout_seconds", TIMEOUT);
        if let Some(Err(problem)) = self.url.as_deref().map(SmtpServer::parse) {
            check(false, "smtp.url", problem);
        }
        if self.ca_file.is_some() {
            let server = self.url.as_deref().and_then(|url| SmtpServer::parse(url).ok());
            let uses_tls = server.is_some_and(|server| server.uses_tls());
            check(uses_tls, "smtp.ca_file", "leave it out where smtp.url asks for no TLS");
        }
        let both_or_none = self.url.is_some() == self.from.is_some();
        check(both_or_none, "smtp.from", "give both url and from, or neither: then e-mails stay in the sandbox");
        let from = self.from.as_ref().is_none_or(|from| from.parse::<Mailbox>().is_ok());
        check(from, "smtp.from", "write an address such as Northside Physio <reminders@example.org>");
    }
}
