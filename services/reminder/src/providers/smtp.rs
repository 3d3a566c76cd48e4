//! E-mail by SMTP (RFC 5321).
//!
//! Each e-mail has a connection of its own, driven step by step, because the one question after every failure is how far
//! it came: before the text is on its way nobody can have sent it, and after that only the server's answer can tell.

use std::{
    fs::File,
    io::Read,
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use lettre::{
    Address, Message,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use runtime::Clock;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Outcome, Outgoing, Provider};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long the server has to say goodbye; nothing depends on it.
const QUIT_WITHIN: Duration = Duration::from_secs(1);

const CA_FILE_BYTES_MAX: u64 = 1 << 20;
const CA_FILE: &str =
    "ca_file must name a PEM file that can be read, with the certificates of the authorities to trust";

/// How a connection is kept from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    None,
    StartTls,
    Implicit,
}

/// The mail server that a URL names.
pub(crate) struct Server {
    host: String,
    port: u16,
    security: Security,
    hello: ClientId,
    credentials: Option<Credentials>,
}

/// The provider.
pub(crate) struct Smtp {
    server: Server,
    tls: Option<TlsParameters>,
    from: Mailbox,
    within: Duration,
    clock: Clock,
}

/// Why the text was not given to the server.
enum Stop {
    /// Signing in failed: that is of no message's making.
    Server(Error),
    /// The server refused sender or recipient, or broke off before the text.
    Envelope(Error),
    /// The server cannot carry mail for such an address.
    Address,
}

impl Server {
    /// Reads the URL; the error says how to mend it and repeats nothing of it.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let url = Url::parse(url).map_err(|_| "write a URL such as smtps://user:password@mail.example.org:465")?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b)) {
            return Err("name the mail server's host, such as smtps://mail.example.org:465");
        }
        let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (security, port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) => (Security::Implicit, 465),
            ("smtp", Some("required")) => (Security::StartTls, 587),
            ("smtp", Some("none")) => (Security::None, 25),
            ("smtp", None) if near => (Security::None, 25),
            ("smtp", None) => return Err("add ?tls=required, or ?tls=none where nobody can read on the way"),
            ("smtp", Some(_)) => return Err("tls is either required or none"),
            ("smtps", Some(_)) => return Err("leave tls out: smtps is TLS from the start"),
            _ => return Err("begin with smtps:// or smtp://"),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| "user and password must be percent-encoded UTF-8")
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some(Credentials::new(decoded(user)?, decoded(password)?)),
            _ => return Err("give both user and password, or neither"),
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name if is_name(name) => ClientId::Domain(name.to_owned()),
            _ => {
                return Err("the path is the name to say EHLO with, such as smtps://mail.example.org/book.example.org");
            }
        };
        Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(port), security, hello, credentials })
    }

    /// Whether TLS is asked for.
    pub(crate) fn is_secured(&self) -> bool {
        self.security != Security::None
    }
}

/// Whose certificates are trusted: those of this system, and those of a file beside them.
fn trust(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, &'static str> {
    let system = TlsParameters::builder(host.to_owned());
    let Some(path) = ca_file else {
        return system.build().map_err(|_| "this system's certificates cannot be read");
    };
    system.add_root_certificate(authorities(path)?).build().map_err(|_| CA_FILE)
}

/// Whether the certificates that the server at this URL is checked by can be read.
pub(crate) fn check_trust(url: &str, ca_file: Option<&Path>) -> Result<(), &'static str> {
    let server = Server::parse(url)?;
    if server.is_secured() { trust(&server.host, ca_file).map(drop) } else { Ok(()) }
}

/// The certificates of a PEM file.
fn authorities(path: &Path) -> Result<Certificate, &'static str> {
    let file = File::open(path).map_err(|_| CA_FILE)?;
    let mut pem = Vec::new();
    file.take(CA_FILE_BYTES_MAX + 1).read_to_end(&mut pem).map_err(|_| CA_FILE)?;
    if pem.len() as u64 > CA_FILE_BYTES_MAX {
        return Err("ca_file must name a PEM file of at most 1 MiB");
    }
    // A file without any would be taken, and then nobody trusted.
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(CA_FILE);
    }
    Certificate::from_pem(&pem).map_err(|_| CA_FILE)
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
}

impl Smtp {
    /// The provider that the configuration describes.
    pub(crate) fn new(
        url: &str,
        from: &str,
        ca_file: Option<&Path>,
        timeout_seconds: u32,
        clock: Clock,
    ) -> Result<Self, &'static str> {
        let server = Server::parse(url)?;
        let tls = match server.security {
            Security::None => None,
            _ => Some(trust(&server.host, ca_file)?),
        };
        let from = from.parse().map_err(|_| "from is not an address")?;
        Ok(Self { server, tls, from, within: Duration::from_secs(u64::from(timeout_seconds)), clock })
    }

    /// A connection that waits for the text.
    async fn opened(&self, to: &Address) -> Result<AsyncSmtpConnection, Stop> {
        let mut connection = self.signed_in().await.map_err(Stop::Server)?;
        let mut parameters = vec![];
        if [&self.from.email, to].iter().any(|address| !AsRef::<str>::as_ref(*address).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Stop::Address);
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let mail = Mail::new(Some(self.from.email.clone()), parameters);
        connection.command(mail).await.map_err(Stop::Envelope)?;
        connection.command(Rcpt::new(to.clone(), vec![])).await.map_err(Stop::Envelope)?;
        connection.command(Data).await.map_err(Stop::Envelope)?;
        Ok(connection)
    }

    async fn signed_in(&self) -> Result<AsyncSmtpConnection, Error> {
        let Server { host, port, security, hello, credentials } = &self.server;
        let implicit = self.tls.clone().filter(|_| *security == Security::Implicit);
        let address = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_WITHIN), hello, implicit, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| *security == Security::StartTls) {
            connection.starttls(tls, hello).await?;
        }
        if let Some(credentials) = credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// The name of an attempt in the mail's header, so that it can be found again.
    fn id(&self, reference: &str) -> String {
        format!("{reference}@{}", self.from.email.domain())
    }

    fn mail(&self, message: &Outgoing, to: Address) -> Option<Vec<u8>> {
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(message.subject.split_whitespace().collect::<Vec<_>>().join(" "))
            .date(SystemTime::from(self.clock.now()))
            .message_id(Some(format!("<{}>", self.id(&message.key))))
            // Nobody's absence is to be answered to us (RFC 3834).
            .raw_header(plain("Auto-Submitted", "auto-generated".to_owned()));
        // A URL that is none would let text into the header.
        if let Some(url) = message.unsubscribe.as_ref().filter(|url| url.bytes().all(is_in_url)) {
            builder = builder
                .raw_header(plain("List-Unsubscribe", format!("<{url}>")))
                .raw_header(plain("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        Some(builder.singlepart(SinglePart::plain(message.text.clone())).ok()?.formatted())
    }
}

/// A header as it stands: folded or encoded, mail programs would not find the address in it.
fn plain(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}

fn is_in_url(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"<>\"".contains(&byte)
}

#[tonic::async_trait]
impl Provider for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn send(&self, message: &Outgoing) -> Outcome {
        let Ok(to) = message.to.trim().parse::<Address>() else { return Outcome::refused("invalid_address") };
        let Some(mail) = self.mail(message, to.clone()) else { return Outcome::refused("invalid_message") };
        let ends_at = Instant::now() + self.within;
        let mut connection = match timeout_at(ends_at, self.opened(&to)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(stop)) => return stopped(&stop),
            Err(_) => return Outcome::busy("no_answer"),
        };
        let answer = timeout_at(ends_at, connection.message(&mail)).await;
        let outcome = match answer {
            Ok(Ok(_)) => Outcome::sent(self.id(&message.key)),
            Ok(Err(error)) => {
                refusal(&error).unwrap_or(Outcome::Unknown { detail: "the connection to the mail server broke off" })
            }
            Err(_) => Outcome::Unknown { detail: "the mail server did not answer in time" },
        };
        // What became of the mail is known: saying goodbye must not delay its record.
        tokio::spawn(async move { timeout(QUIT_WITHIN, connection.quit()).await });
        outcome
    }
}

/// What it means that the text was not given: nobody has sent it.
fn stopped(stop: &Stop) -> Outcome {
    match stop {
        Stop::Server(error) => {
            let code = error.status().map_or_else(|| unreached(error).to_owned(), |code| code.to_string());
            tracing::warn!(code, "the mail server does not take e-mails");
            Outcome::busy(code)
        }
        Stop::Envelope(error) => refusal(error).unwrap_or(Outcome::busy("broke_off")),
        Stop::Address => Outcome::refused("invalid_address"),
    }
}

fn unreached(error: &Error) -> &'static str {
    match error {
        error if error.is_tls() => "no_tls",
        // STARTTLS or a way to sign in is missing.
        error if error.is_client() => "not_offered",
        _ => "not_connected",
    }
}

/// What a refusal with a code means; `None` where there was no answer.
fn refusal(error: &Error) -> Option<Outcome> {
    let code = error.status()?.to_string();
    Some(if error.is_permanent() { Outcome::refused(code) } else { Outcome::busy(code) })
}

#[cfg(test)]
mod tests;
