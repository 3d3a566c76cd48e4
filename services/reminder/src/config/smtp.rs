//! The section `reminder.smtp`: the mail server.

use std::{fmt, path::PathBuf};

use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

use super::{TIMEOUT, is_timeout};
use crate::providers::smtp::Server;

/// The section `reminder.smtp`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The mail server: `smtps://user:password@host:465` (TLS from the start), `smtp://host:587?tls=required` (STARTTLS)
    /// or, without TLS, `smtp://127.0.0.1:1025` and `smtp://host:25?tls=none`. A path is the name to say EHLO with.
    pub url: Option<String>,
    /// Whom e-mails come from, such as `Northside Physio <reminders@example.org>`.
    pub from: Option<String>,
    /// A PEM file with certificates of authorities to trust beside those of this system, for a mail server whose certificate
    /// is of a private one.
    pub ca_file: Option<PathBuf>,
    /// How long it may take over one e-mail, 1 to 60 seconds; after that the outcome is unknown.
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
        if let Some(Err(problem)) = self.url.as_deref().map(Server::parse) {
            check(false, "smtp.url", problem);
        }
        if self.ca_file.is_some() {
            let server = self.url.as_deref().and_then(|url| Server::parse(url).ok());
            let secured = server.is_some_and(|server| server.is_secured());
            check(secured, "smtp.ca_file", "leave it out where smtp.url asks for no TLS");
        }
        let one = self.url.is_some() == self.from.is_some();
        check(one, "smtp.from", "give both url and from, or neither: then e-mails stay in the sandbox");
        let from = self.from.as_ref().is_none_or(|from| from.parse::<Mailbox>().is_ok());
        check(from, "smtp.from", "write an address such as Northside Physio <reminders@example.org>");
    }
}
