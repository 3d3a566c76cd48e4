//! A closed-loop load generator: each connection sends its next request when it has its last answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

/// Makes the next request; `None` at the end.
pub(super) type Next = dyn Fn() -> Option<Request<Full<Bytes>>> + Send + Sync;

/// The answers of a run.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    latencies: Vec<Duration>,
    /// The server's own durations, from the `server-timing` headers.
    server: Vec<Duration>,
    /// Answers that were not 2xx, with their status; counted, not timed.
    pub(super) refused: Vec<u16>,
    /// Duration of the run.
    pub(super) elapsed: Duration,
}

impl Outcome {
    /// Answers of 2xx a second.
    pub(super) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// A quantile of the client's latencies, such as 0.5 or 0.99.
    pub(super) fn quantile(&self, part: f64) -> Option<Duration> {
        quantile(&self.latencies, part)
    }

    /// A quantile of the server's own durations.
    pub(super) fn server_quantile(&self, part: f64) -> Option<Duration> {
        quantile(&self.server, part)
    }

    fn join(&mut self, mut other: Self) {
        self.latencies.append(&mut other.latencies);
        self.server.append(&mut other.server);
        self.refused.append(&mut other.refused);
    }
}

/// Loads `address` (`host:port`) over this many kept-alive connections for the window.
///
/// # Errors
/// When a connection fails.
pub(super) async fn run(address: &str, connections: usize, window: Duration, next: Arc<Next>) -> Result<Outcome> {
    at_rate(address, connections, window, None, next).await
}

/// The same at this many requests a second at most.
///
/// # Errors
/// As [`run`].
pub(super) async fn at_rate(
    address: &str,
    connections: usize,
    window: Duration,
    rate: Option<u32>,
    next: Arc<Next>,
) -> Result<Outcome> {
    let began = Instant::now();
    let end = began + window;
    let interval = rate.map(|rate| Duration::from_secs(connections as u64) / rate);
    let mut running = JoinSet::new();
    for number in 0..connections {
        // The connections begin one after the other.
        let first = interval.map(|interval| (began + interval * number as u32 / connections as u32, interval));
        running.spawn(one_connection(address.to_owned(), end, first, next.clone()));
    }
    let mut outcome = Outcome::default();
    while let Some(part) = running.join_next().await {
        outcome.join(part??);
    }
    outcome.elapsed = began.elapsed();
    outcome.latencies.sort_unstable();
    outcome.server.sort_unstable();
    Ok(outcome)
}

/// `due` is the instant of the first request and the interval of the others.
async fn one_connection(
    address: String,
    end: Instant,
    mut due: Option<(Instant, Duration)>,
    next: Arc<Next>,
) -> Result<Outcome> {
    let stream = TcpStream::connect(&address).await.with_context(|| format!("{address} takes no connection"))?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the sender is dropped; an error shows at the sender.
    tokio::spawn(connection);
    let mut outcome = Outcome::default();
    while Instant::now() < end {
        if let Some((at, interval)) = &mut due {
            tokio::time::sleep_until((*at).into()).await;
            *at += *interval;
        }
        let Some(request) = next() else { break };
        let began = Instant::now();
        sender.ready().await.context("the server closed the connection")?;
        let answer = sender.send_request(request).await.context("the server hung up")?;
        let (parts, body) = answer.into_parts();
        body.collect().await.context("the answer broke off")?;
        let elapsed = began.elapsed();
        if !parts.status.is_success() {
            outcome.refused.push(parts.status.as_u16());
            continue;
        }
        outcome.latencies.push(elapsed);
        let timing = parts.headers.get("server-timing").and_then(|value| value.to_str().ok());
        outcome.server.extend(timing.and_then(server_time));
    }
    Ok(outcome)
}

/// The first duration of a `Server-Timing` header, milliseconds (<https://www.w3.org/TR/server-timing/>).
pub(super) fn server_time(header: &str) -> Option<Duration> {
    let milliseconds = header.split([';', ',']).find_map(|part| part.trim().strip_prefix("dur="))?;
    Duration::try_from_secs_f64(milliseconds.parse::<f64>().ok()? / 1000.0).ok()
}

/// A quantile of sorted times.
pub(super) fn quantile(sorted: &[Duration], part: f64) -> Option<Duration> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::{Response, body::Incoming, server::conn::http1 as server, service::service_fn};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 0.5), Some(Duration::from_millis(50)));
        assert_eq!(quantile(&times, 0.99), Some(Duration::from_millis(99)));
        assert_eq!(quantile(&times, 1.0), Some(Duration::from_millis(100)));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_server_timing_is_read() {
        assert_eq!(server_time("app;desc=\"all\";dur=1.5, db;dur=9"), Some(Duration::from_micros(1500)));
        assert_eq!(server_time("miss"), None);
        assert_eq!(server_time("app;dur=-1"), None);
    }

    #[tokio::test]
    async fn connections_are_kept_and_every_request_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let seen = accepted.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::Relaxed);
                let answer = service_fn(|request: Request<Incoming>| async move {
                    let status = if request.uri().path() == "/bad" { 500 } else { 200 };
                    let builder = Response::builder().status(status).header("server-timing", "app;dur=0.25");
                    builder.body(Full::new(Bytes::from_static(b"{}")))
                });
                tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        let left = AtomicUsize::new(100);
        let next = move || {
            let number = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()?;
            let path = if number == 7 { "/bad" } else { "/good" };
            Request::get(path).header("host", "x").body(Full::default()).ok()
        };
        let outcome = run(&address, 4, Duration::from_secs(60), Arc::new(next)).await.unwrap();
        assert_eq!((outcome.latencies.len(), outcome.refused.as_slice()), (99, &[500][..]));
        assert_eq!(accepted.load(Ordering::Relaxed), 4);
        assert_eq!(outcome.server_quantile(0.5), Some(Duration::from_micros(250)));
        assert!(outcome.rate() > 0.0 && outcome.quantile(0.5) <= outcome.quantile(0.99));
    }
}
