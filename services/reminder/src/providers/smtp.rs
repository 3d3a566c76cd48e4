//! E-mail by SMTP (RFC 5321).
//!
//! Each e-mail has a connection of its own, driven step by step, because the meaning of a failure depends on the step: before
//! the text is transmitted the server cannot have sent the e-mail, and after that only its answer tells.

use std::{
    fs::File,
    io::Read,
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
        authentication::DEFAULT_MECHANISMS,
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{Extension, MailParameter},
    },
};
use runtime::Clock;
use tokio::time::{Instant, timeout, timeout_at};

use super::{OutgoingMessage, Provider, SendOutcome};
use crate::config::{Security, SmtpServer};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the QUIT after an e-mail, whose outcome is known by then.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

const CA_FILE_BYTES_MAX: u64 = 1 << 20;
const CA_FILE_FAULT: &str =
    "ca_file must name a PEM file that can be read, with the certificates of the authorities to trust";

/// The provider `smtp`.
pub(crate) struct Smtp {
    server: SmtpServer,
    tls: Option<TlsParameters>,
    from: Mailbox,
    /// For one whole e-mail.
    timeout: Duration,
    clock: Clock,
}

/// Why a connection ended before the text was transmitted.
enum NotTransmitted {
    /// Connecting or authenticating failed, whatever the message.
    Connect(Error),
    /// The server refused the sender or the recipient, or closed the connection.
    Envelope(Error),
    /// The server does not support addresses outside ASCII.
    Address,
}

/// TLS that trusts the certificate authorities of this system, and those of the file.
fn tls_parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, &'static str> {
    let system = TlsParameters::builder(host.to_owned());
    let Some(path) = ca_file else {
        return system.build().map_err(|_| "this system's certificates cannot be read");
    };
    system.add_root_certificate(read_certificates(path)?).build().map_err(|_| CA_FILE_FAULT)
}

/// Checks that the certificates for the server at this URL are readable.
///
/// # Errors
/// How to mend the setting.
pub(crate) fn check_certificates(url: &str, ca_file: Option<&Path>) -> Result<(), &'static str> {
    let server = SmtpServer::parse(url)?;
    if server.uses_tls() { tls_parameters(&server.host, ca_file).map(drop) } else { Ok(()) }
}

/// The certificates of a PEM file.
fn read_certificates(path: &Path) -> Result<Certificate, &'static str> {
    let file = File::open(path).map_err(|_| CA_FILE_FAULT)?;
    let mut pem = Vec::new();
    file.take(CA_FILE_BYTES_MAX + 1).read_to_end(&mut pem).map_err(|_| CA_FILE_FAULT)?;
    if pem.len() as u64 > CA_FILE_BYTES_MAX {
        return Err("ca_file must name a PEM file of at most 1 MiB");
    }
    // `from_pem` accepts a file without certificates.
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(CA_FILE_FAULT);
    }
    Certificate::from_pem(&pem).map_err(|_| CA_FILE_FAULT)
}

impl Smtp {
    /// The provider for a validated configuration.
    ///
    /// # Errors
    /// How to mend the setting.
    pub(crate) fn new(
        url: &str,
        from: &str,
        ca_file: Option<&Path>,
        timeout_seconds: u32,
        clock: Clock,
    ) -> Result<Self, &'static str> {
        let server = SmtpServer::parse(url)?;
        let tls = match server.security {
            Security::None => None,
            _ => Some(tls_parameters(&server.host, ca_file)?),
        };
        let from = from.parse().map_err(|_| "from is not an address")?;
        Ok(Self { server, tls, from, timeout: Duration::from_secs(u64::from(timeout_seconds)), clock })
    }

    /// A connection that waits for the text, after DATA.
    async fn start_transaction(&self, to: &Address) -> Result<AsyncSmtpConnection, NotTransmitted> {
        let mut connection = self.connect().await.map_err(NotTransmitted::Connect)?;
        let mut parameters = vec![];
        if [&self.from.email, to].iter().any(|address| !AsRef::<str>::as_ref(*address).is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(NotTransmitted::Address);
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let mail = Mail::new(Some(self.from.email.clone()), parameters);
        connection.command(mail).await.map_err(NotTransmitted::Envelope)?;
        connection.command(Rcpt::new(to.clone(), vec![])).await.map_err(NotTransmitted::Envelope)?;
        connection.command(Data).await.map_err(NotTransmitted::Envelope)?;
        Ok(connection)
    }

    /// A connection after EHLO, STARTTLS and AUTH.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let SmtpServer { host, port, security, client_id, credentials } = &self.server;
        let implicit = self.tls.clone().filter(|_| *security == Security::Implicit);
        let address = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_TIMEOUT), client_id, implicit, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| *security == Security::StartTls) {
            connection.starttls(tls, client_id).await?;
        }
        if let Some(credentials) = credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// The `Message-ID`, without its brackets.
    fn message_id(&self, reference: &str) -> String {
        format!("{reference}@{}", self.from.email.domain())
    }

    /// The e-mail in the format of RFC 5322; `None` where its parts make none.
    fn format(&self, message: &OutgoingMessage, to: Address) -> Option<Vec<u8>> {
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(message.subject.split_whitespace().collect::<Vec<_>>().join(" "))
            .date(SystemTime::from(self.clock.now()))
            .message_id(Some(format!("<{}>", self.message_id(&message.key))))
            // Asks for no automatic replies (RFC 3834).
            .raw_header(raw_header("Auto-Submitted", "auto-generated".to_owned()));
        // A malformed URL could inject further headers.
        if let Some(url) = message.unsubscribe_url.as_ref().filter(|url| url.bytes().all(is_url_byte)) {
            builder = builder
                .raw_header(raw_header("List-Unsubscribe", format!("<{url}>")))
                .raw_header(raw_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        Some(builder.singlepart(SinglePart::plain(message.text.clone())).ok()?.formatted())
    }
}

/// A header that is neither folded nor encoded: mail programs find no URL in a folded one.
fn raw_header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}

fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"<>\"".contains(&byte)
}

#[tonic::async_trait]
impl Provider for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn send(&self, message: &OutgoingMessage) -> SendOutcome {
        let Ok(to) = message.to.trim().parse::<Address>() else { return SendOutcome::refused("invalid_address") };
        let Some(mail) = self.format(message, to.clone()) else { return SendOutcome::refused("invalid_message") };
        let deadline = Instant::now() + self.timeout;
        let mut connection = match timeout_at(deadline, self.start_transaction(&to)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(cause)) => return not_transmitted(&cause),
            Err(_) => return SendOutcome::busy("no_answer"),
        };
        let answer = timeout_at(deadline, connection.message(&mail)).await;
        let outcome = match answer {
            Ok(Ok(_)) => SendOutcome::sent(self.message_id(&message.key)),
            Ok(Err(error)) => outcome_of_reply(&error)
                .unwrap_or(SendOutcome::Unknown { detail: "the connection to the mail server broke off" }),
            Err(_) => SendOutcome::Unknown { detail: "the mail server did not answer in time" },
        };
        // QUIT must not delay the record of the outcome.
        tokio::spawn(async move { timeout(QUIT_TIMEOUT, connection.quit()).await });
        outcome
    }
}

/// The outcome where the server certainly did not get the text.
fn not_transmitted(cause: &NotTransmitted) -> SendOutcome {
    match cause {
        NotTransmitted::Connect(error) => {
            let code = error.status().map_or_else(|| connect_error_code(error).to_owned(), |code| code.to_string());
            tracing::warn!(code, "the mail server refused a connection");
            SendOutcome::busy(code)
        }
        NotTransmitted::Envelope(error) => outcome_of_reply(error).unwrap_or(SendOutcome::busy("broke_off")),
        NotTransmitted::Address => SendOutcome::refused("invalid_address"),
    }
}

fn connect_error_code(error: &Error) -> &'static str {
    match error {
        error if error.is_tls() => "no_tls",
        // The server offers no STARTTLS or no known AUTH mechanism.
        error if error.is_client() => "not_offered",
        _ => "not_connected",
    }
}

/// The outcome that a negative reply stands for; `None` where the connection broke without a reply.
fn outcome_of_reply(error: &Error) -> Option<SendOutcome> {
    let code = error.status()?.to_string();
    Some(if error.is_permanent() { SendOutcome::refused(code) } else { SendOutcome::busy(code) })
}

#[cfg(test)]
mod tests;
