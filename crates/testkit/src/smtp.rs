//! A fake mail server (RFC 5321) that records mails and fails by a script.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::tls::Tls;

/// Longest wait of [`FakeMail::wait_for`].
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The server's behaviour for one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Accepts the mail.
    Accept,
    /// Greets with this code, such as 421.
    RefuseGreeting(u16),
    /// Answers AUTH with this code, such as 535.
    RefuseAuth(u16),
    /// Answers RCPT with this code.
    RefuseRcpt(u16),
    /// Answers DATA with this code.
    RefuseData(u16),
    /// Closes the connection in place of an answer to DATA.
    DropAtData,
    /// Reads the text and answers with this code.
    RefuseText(u16),
    /// Accepts the text, and closes the connection before the answer.
    DropAfterText,
    /// Accepts the text and never answers.
    Stall,
}

/// A mail whose text was received, whatever the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address of MAIL.
    pub from: String,
    /// The address of RCPT.
    pub to: String,
    /// User and password of AUTH PLAIN, with a colon between.
    pub signed_in: Option<String>,
    /// Header and text as received.
    pub data: String,
    /// Whether the connection had TLS.
    pub secured: bool,
}

/// The encryption of the server.
enum Security {
    /// None; STARTTLS, if offered, is answered with 454.
    None,
    /// After STARTTLS.
    StartTls(TlsAcceptor),
    /// From the first byte.
    Implicit(TlsAcceptor),
}

/// A running fake mail server on a free port of the loopback address; clones share it.
#[derive(Clone)]
pub struct FakeMail(Arc<Running>);

struct Running {
    port: u16,
    shared: Arc<Shared>,
    server: AbortHandle,
}

struct Shared {
    security: Security,
    state: Mutex<State>,
    received: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Behaviour>,
    mails: Vec<Mail>,
    commands: Vec<String>,
    offers_starttls: bool,
}

impl FakeMail {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        Self::with(Security::None).await
    }

    /// Starts a server with STARTTLS.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn with_starttls(tls: &Tls) -> Result<Self> {
        let fake = Self::with(Security::StartTls(tls.acceptor.clone())).await?;
        fake.offer_starttls();
        Ok(fake)
    }

    /// Starts a server with TLS from the first byte.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn with_tls(tls: &Tls) -> Result<Self> {
        Self::with(Security::Implicit(tls.acceptor.clone())).await
    }

    async fn with(security: Security) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { security, state: Mutex::default(), received: watch::Sender::new(0) });
        let server = tokio::spawn(serve(listener, shared.clone())).abort_handle();
        Ok(Self(Arc::new(Running { port, shared, server })))
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    /// The behaviour for the next connections, in order; later ones are accepted.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.0.shared.lock().script.extend(behaviours);
    }

    /// Offers STARTTLS from now on, and answers it with 454 where it has no certificate.
    pub fn offer_starttls(&self) {
        self.0.shared.lock().offers_starttls = true;
    }

    /// The received mails, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.0.shared.lock().mails.clone()
    }

    /// The first word of every command so far.
    pub fn commands(&self) -> Vec<String> {
        self.0.shared.lock().commands.clone()
    }

    /// Waits until this many mails have arrived, and returns them.
    ///
    /// # Panics
    /// When they do not arrive within 30 seconds.
    pub async fn wait_for(&self, count: usize) -> Vec<Mail> {
        let mut seen = self.0.shared.received.subscribe();
        let arrived = tokio::time::timeout(WAIT_MAX, seen.wait_for(|seen| *seen >= count)).await.is_ok();
        let mails = self.mails();
        assert!(arrived, "{count} mails should have come, there were {}", mails.len());
        mails
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrived(&self, mail: Mail) {
        let mut state = self.lock();
        state.mails.push(mail);
        let count = state.mails.len();
        drop(state);
        self.received.send_replace(count);
    }
}

impl Mail {
    /// A header's value, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.data.split_once("\r\n\r\n")?;
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// The text, decoded by its header; `None` if that fails.
    pub fn text(&self) -> Option<String> {
        let (_, body) = self.data.split_once("\r\n\r\n")?;
        let text = match self.header("Content-Transfer-Encoding").unwrap_or_default().as_str() {
            "base64" => String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).ok()?).ok()?,
            "quoted-printable" => unquoted(body)?,
            _ => body.to_owned(),
        };
        Some(text.trim_end().replace("\r\n", "\n"))
    }
}

/// Decodes quoted-printable text (RFC 2045, section 6.7).
fn unquoted(body: &str) -> Option<String> {
    let joined = body.replace("=\r\n", "");
    let mut bytes = joined.bytes();
    let mut text = Vec::with_capacity(joined.len());
    while let Some(byte) = bytes.next() {
        if byte == b'=' {
            let digits = [bytes.next()?, bytes.next()?];
            text.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            text.push(byte);
        }
    }
    String::from_utf8(text).ok()
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        // The client sees the error on its side.
        connections.spawn(async move { accept(stream, &shared).await });
    }
}

/// The transport of a conversation.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

type Stream = BufStream<Box<dyn Wire>>;

fn stream(wire: impl Wire + 'static) -> Stream {
    BufStream::new(Box::new(wire))
}

async fn accept(tcp: TcpStream, shared: &Shared) -> io::Result<()> {
    match &shared.security {
        Security::Implicit(acceptor) => converse(stream(acceptor.accept(tcp).await?), shared, true).await,
        _ => converse(stream(tcp), shared, false).await,
    }
}

async fn say(stream: &mut Stream, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// One connection, from the greeting to its end.
async fn converse(mut stream: Stream, shared: &Shared, mut secured: bool) -> io::Result<()> {
    let behaviour = shared.lock().script.pop_front().unwrap_or(Behaviour::Accept);
    let refused = |code: u16| format!("{code} refused");
    if let Behaviour::RefuseGreeting(code) = behaviour {
        return say(&mut stream, &refused(code)).await;
    }
    say(&mut stream, "220 mail.example.test ESMTP").await?;
    let (mut mail, mut line) =
        (Mail { from: String::new(), to: String::new(), signed_in: None, data: String::new(), secured }, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let (command, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        let command = command.to_ascii_uppercase();
        shared.lock().commands.push(command.clone());
        if let ("STARTTLS", false, Security::StartTls(acceptor)) = (command.as_str(), secured, &shared.security) {
            say(&mut stream, "220 go on").await?;
            stream = self::stream(acceptor.accept(stream.into_inner()).await?);
            (secured, mail.secured) = (true, true);
            continue;
        }
        let answer = match (command.as_str(), behaviour) {
            ("EHLO", _) => {
                let starttls = if shared.lock().offers_starttls && !secured { "250-STARTTLS\r\n" } else { "" };
                format!("250-mail.example.test\r\n{starttls}250-8BITMIME\r\n250 AUTH PLAIN LOGIN")
            }
            ("AUTH", Behaviour::RefuseAuth(code))
            | ("RCPT", Behaviour::RefuseRcpt(code))
            | ("DATA", Behaviour::RefuseData(code)) => refused(code),
            ("AUTH", _) => {
                mail.signed_in = credentials(rest);
                "235 welcome".to_owned()
            }
            ("MAIL", _) => {
                mail.from = address(rest);
                "250 ok".to_owned()
            }
            ("RCPT", _) => {
                mail.to = address(rest);
                "250 ok".to_owned()
            }
            ("DATA", Behaviour::DropAtData) => return Ok(()),
            ("DATA", _) => {
                say(&mut stream, "354 go on").await?;
                mail.data = text(&mut stream).await?;
                shared.arrived(mail.clone());
                match behaviour {
                    Behaviour::RefuseText(code) => refused(code),
                    Behaviour::DropAfterText => return Ok(()),
                    Behaviour::Stall => std::future::pending().await,
                    _ => "250 taken".to_owned(),
                }
            }
            ("QUIT", _) => return say(&mut stream, "221 goodbye").await,
            ("STARTTLS", _) => "454 no certificate".to_owned(),
            _ => "502 no such command".to_owned(),
        };
        say(&mut stream, &answer).await?;
    }
}

/// Everything up to the line with a dot, the doubled dots single again.
async fn text(stream: &mut Stream) -> io::Result<String> {
    let (mut data, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

/// The address between the angle brackets.
fn address(rest: &str) -> String {
    rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(String::new(), |(it, _)| it.to_owned())
}

/// User and password of `PLAIN …` (RFC 4616).
fn credentials(rest: &str) -> Option<String> {
    let bytes = STANDARD.decode(rest.strip_prefix("PLAIN ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    Some(text.trim_start_matches('\0').replace('\0', ":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_as_their_header_says() {
        let mail = |head: &str, body: &str| Mail {
            from: String::new(),
            to: String::new(),
            signed_in: None,
            data: format!("Subject: a\r\n b\r\n{head}\r\n\r\n{body}"),
            secured: false,
        };
        let quoted = mail("Content-Transfer-Encoding: quoted-printable", "Fran=C3=A7=\r\nois =3D\r\n");
        assert_eq!(quoted.text().as_deref(), Some("François ="));
        assert_eq!(quoted.header("subject").as_deref(), Some("a b"));
        let encoded = mail("Content-Transfer-Encoding: base64", "SGVs\r\nbG8=\r\n");
        assert_eq!(encoded.text().as_deref(), Some("Hello"));
        assert_eq!(mail("X: y", "Plain\r\n").text().as_deref(), Some("Plain"));
    }

    #[test]
    fn credentials_and_addresses_are_read() {
        assert_eq!(credentials("PLAIN AHVzZXIAcGFzcw==").as_deref(), Some("user:pass"));
        assert_eq!(address("TO:<a@example.org> X=Y"), "a@example.org");
    }
}
