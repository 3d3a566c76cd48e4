//! The mail server that `reminder.smtp.url` names.

use std::net::IpAddr;

use lettre::transport::smtp::{authentication::Credentials, extension::ClientId};
use percent_encoding::percent_decode_str;
use reqwest::Url;

/// The encryption of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    None,
    /// STARTTLS, RFC 3207.
    StartTls,
    /// TLS from the first byte, RFC 8314.
    Implicit,
}

/// A mail server, and how to connect to it.
pub(crate) struct SmtpServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    /// The name for EHLO.
    pub(crate) client_id: ClientId,
    pub(crate) credentials: Option<Credentials>,
}

impl SmtpServer {
    /// Parses a URL such as `smtps://user:password@mail.example.org:465`.
    ///
    /// # Errors
    /// How to mend the URL; the text repeats no part of it, because a URL may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let url = Url::parse(url).map_err(|_| "write a URL such as smtps://user:password@mail.example.org:465")?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b)) {
            return Err("name the mail server's host, such as smtps://mail.example.org:465");
        }
        let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (security, port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) => (Security::Implicit, 465),
            ("smtp", Some("required")) => (Security::StartTls, 587),
            ("smtp", Some("none")) => (Security::None, 25),
            ("smtp", None) if is_local => (Security::None, 25),
            ("smtp", None) => return Err("add ?tls=required, or ?tls=none where nobody can read on the way"),
            ("smtp", Some(_)) => return Err("tls is either required or none"),
            ("smtps", Some(_)) => return Err("leave tls out: smtps is TLS from the start"),
            _ => return Err("begin with smtps:// or smtp://"),
        };
        let decode = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| "user and password must be percent-encoded UTF-8")
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some(Credentials::new(decode(user)?, decode(password)?)),
            _ => return Err("give both user and password, or neither"),
        };
        let client_id = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name if is_host_name(name) => ClientId::Domain(name.to_owned()),
            _ => {
                return Err("the path is the name to say EHLO with, such as smtps://mail.example.org/book.example.org");
            }
        };
        Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(port), security, client_id, credentials })
    }

    /// Whether the connection uses TLS.
    pub(crate) fn uses_tls(&self) -> bool {
        self.security != Security::None
    }
}

fn is_host_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_parses_or_its_fault_says_how_to_mend_it() {
        let parse = |url| {
            let server = SmtpServer::parse(url)?;
            Ok::<_, &str>((server.host, server.port, server.security, server.credentials.is_some()))
        };
        let (tls, starttls, none) = (Security::Implicit, Security::StartTls, Security::None);
        assert_eq!(parse("smtps://u:p%40@mail.example.org"), Ok(("mail.example.org".into(), 465, tls, true)));
        assert_eq!(
            parse("smtp://m.example:2525/me.example?tls=required"),
            Ok(("m.example".into(), 2525, starttls, false))
        );
        for (url, host, port) in [
            ("smtp://127.0.0.1:1025", "127.0.0.1", 1025),
            ("smtp://[::1]", "::1", 25),
            ("smtp://localhost", "localhost", 25),
            ("smtp://mailpit:1025?tls=none", "mailpit", 1025),
        ] {
            assert_eq!(parse(url), Ok((host.into(), port, none, false)));
        }
        for (url, hint) in [
            ("mail.example.org", "write a URL"),
            ("http://mail.example.org", "begin with"),
            ("smtp://mail.example.org:587", "tls=required"),
            ("smtp://127.0.0.1.example.org", "tls=required"),
            ("smtp://mail.example.org?tls=opportunistic", "required or none"),
            ("smtps://mail.example.org?tls=none", "leave tls out"),
            ("smtps://user@mail.example.org", "both user and password"),
            ("smtps://:pass@mail.example.org", "both user and password"),
            ("smtps://u:%ff@mail.example.org", "UTF-8"),
            ("smtps:///x", "host"),
            ("smtps://mail.example.org/a%0d%0ab", "EHLO"),
        ] {
            let problem = parse(url).unwrap_err();
            assert!(problem.contains(hint), "{url}: {problem}");
        }
    }
}
