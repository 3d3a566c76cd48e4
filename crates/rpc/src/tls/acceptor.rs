//! The server's end of connections, with mutual TLS or without.

use std::{
    convert::Infallible,
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use super::{
    Tls,
    caller::{Access, Caller},
};

/// Longest time of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// Most handshakes at one time; further connections wait in the system's queue.
const HANDSHAKES_MAX: usize = 256;
/// Pause after a failure of the machine, such as too many open files, which lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The certificates of a server, and the access of its callers.
#[derive(Clone)]
pub(crate) struct Security {
    pub(crate) tls: Tls,
    pub(crate) access: Access,
}

/// The connections of a listener, each after its handshake. No error ends them.
pub(crate) fn incoming(
    listener: TcpListener,
    security: Option<Security>,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let acceptor = Acceptor { listener, security, handshakes: JoinSet::new() };
    futures::stream::unfold(acceptor, |mut acceptor| async move {
        let connection = acceptor.next().await;
        Some((Ok(connection), acceptor))
    })
}

struct Acceptor {
    listener: TcpListener,
    security: Option<Security>,
    handshakes: JoinSet<Option<Connection>>,
}

impl Acceptor {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES_MAX => match accepted {
                    Ok((stream, _)) => {
                        // A failure means that the peer has gone, which the first read tells.
                        let _ = stream.set_nodelay(true);
                        match self.security.clone() {
                            None => return Connection { io: Io::Plain(stream), caller: Caller::Unverified },
                            Some(security) => drop(self.handshakes.spawn(handshake(security, stream))),
                        }
                    }
                    Err(error) => wait_after(&error).await,
                },
                Some(ended) = self.handshakes.join_next() => if let Ok(Some(connection)) = ended {
                    return connection;
                },
            }
        }
    }
}

/// Waits unless the error is of one connection alone.
#[expect(clippy::disallowed_methods, reason = "a lack of the machine's resources ends in real time")]
async fn wait_after(error: &io::Error) {
    if !matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
    {
        tracing::warn!(%error, "a connection could not be accepted; the next attempt follows");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// The connection after its handshake; `None` if that fails.
async fn handshake(security: Security, stream: TcpStream) -> Option<Connection> {
    let acceptor = TlsAcceptor::from(security.tls.identity().await.server.clone());
    let reason = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            if let Some(caller) = certificate.and_then(|certificate| Caller::of(certificate, security.access)) {
                return Some(Connection { io: Io::Tls(Box::new(stream)), caller });
            }
            tracing::warn!("a caller was refused: its certificate does not name one role");
            "role"
        }
        Ok(Err(error)) => {
            tracing::info!(%error, "a TLS handshake failed");
            "rejected"
        }
        Err(_) => {
            tracing::info!("a TLS handshake took too long");
            "timeout"
        }
    };
    metrics::counter!("rpc_server_handshakes_failed_total", "reason" => reason).increment(1);
    None
}

/// A connection and the caller at its other end.
pub(crate) struct Connection {
    io: Io,
    caller: Caller,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller
    }
}

/// Calls a method of the stream in either variant.
macro_rules! delegate {
    ($connection:expr, $stream:ident => $call:expr) => {
        match &mut $connection.get_mut().io {
            Io::Plain($stream) => $call,
            Io::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
