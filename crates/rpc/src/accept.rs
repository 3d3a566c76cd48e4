//! Accepting connections for ever: a process that has run out of descriptors serves again when it has some.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream};

/// The shortest and the longest pause after a failure. In a pause connections wait in the socket's backlog.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Accepts the connections of a listener.
pub struct Acceptor {
    listener: TcpListener,
    /// The pause after the next failure; `None` after a success.
    pause: Option<Duration>,
}

impl Acceptor {
    /// Accepts on this listener.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, pause: None }
    }

    /// The next connection and its peer. A failure is logged and counted, and followed by a pause.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    // It fails only for a connection that is gone.
                    let _ = accepted.0.set_nodelay(true);
                    if self.pause.take().is_some() {
                        tracing::info!("connections are accepted again");
                    }
                    return accepted;
                }
                // The client has left meanwhile.
                Err(error) if is_of_client(&error) => {}
                Err(error) => self.back_off(&error).await,
            }
        }
    }

    async fn back_off(&mut self, error: &io::Error) {
        metrics::counter!("http_accept_failures_total").increment(1);
        if self.pause.is_none() {
            tracing::error!(%error, "connections cannot be accepted; the process may have run out of descriptors");
        }
        let pause = self.pause.unwrap_or(PAUSE.0);
        self.pause = Some((pause * 2).min(PAUSE.1));
        wait(pause).await;
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}

#[expect(clippy::disallowed_methods, reason = "descriptors come back in real time, whatever the simulated clock shows")]
async fn wait(pause: Duration) {
    tokio::time::sleep(pause).await;
}
