//! Searches and bookings of others while the gateway is attacked: their times, and their requests that fail.
//!
//! The attackers come from an address of their own on the loopback network, as from outside. Others open a connection for
//! each request, since connections are among the things that an attack takes away.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    Days, Settings,
    booking::{SLOTS_MAX, WEEKS, bookings},
    load::{self, quantile},
    rest_client::RestClient,
    runtime,
    search::{DEMO, UNLIMITED, micros, paths, searches},
    table::Table,
};
use crate::product::Product;

/// Requests a second of the others.
const SEARCHES: u32 = 100;
const BOOKINGS: u32 = 20;
/// Connections of an attack that holds them, and of one that sends requests.
const HELD: usize = 512;
const FLOODING: usize = 8;
/// Requests a second of a flood, over all its connections.
const FLOOD: u32 = 2000;
const ATTACKER: &str = "127.0.0.66:0";
/// Pause before a connection that was closed is opened again.
const REOPEN_AFTER: Duration = Duration::from_millis(50);

const SLOW_BODY: &[u8] = b"POST /v1/providers/http/inbound HTTP/1.1\r\nhost: gateway\r\n\
    content-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
const HALF_HEADERS: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: ga";
const GUESSED_LINK: &[u8] = b"GET /v1/manage/guessed HTTP/1.1\r\nhost: gateway\r\n\r\n";
const WRONG_KEY: &[u8] = b"GET /v1/services HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer mrd_wrong\r\n\r\n";

/// An attack on the gateway.
enum Attack {
    /// Connections that send these bytes and then wait; each is opened again when it is closed.
    Hold(usize, Vec<u8>),
    /// The same request again and again.
    Flood(&'static [u8]),
}

pub(super) fn run(settings: &Settings) -> Result<()> {
    let attacks = [
        ("nobody attacks", None),
        ("512 slow bodies", Some(Attack::Hold(HELD, SLOW_BODY.to_vec()))),
        ("3 × 200 streams without bodies", Some(Attack::Hold(3, streams_without_bodies(200)))),
        ("512 requests without an end", Some(Attack::Hold(HELD, HALF_HEADERS.to_vec()))),
        ("512 silent connections", Some(Attack::Hold(HELD, vec![]))),
        ("2,000 guessed links a second", Some(Attack::Flood(GUESSED_LINK))),
        ("2,000 wrong keys a second", Some(Attack::Flood(WRONG_KEY))),
    ];
    let folder = tempfile::tempdir()?;
    let product = Product::start(&settings.binary, folder.path(), &DEMO, &UNLIMITED)?;
    let rest = Arc::new(RestClient::new(&product.url));
    runtime()?.block_on(async {
        let search = searches(rest.clone(), paths(&rest, &settings.days).await?);
        let book = bookings(rest.clone(), rest.slots(&Days::next(WEEKS * 7), SLOTS_MAX).await?);
        let title = format!("Others during an attack: {SEARCHES} searches and {BOOKINGS} bookings a second");
        let mut table =
            Table::new(&title, &["", "requests", "failed", "search p50 µs", "p99 µs", "booking p50 µs", "p99 µs"]);
        for (name, attack) in attacks {
            let attackers = attack.map(|attack| begin(&attack, &rest.address)).transpose()?;
            let (searched, booked) = tokio::join!(
                others(&rest, &search, SEARCHES, settings.window),
                others(&rest, &book, BOOKINGS, settings.window)
            );
            // The table is no proof where the attackers have given up.
            ensure!(attackers.is_none_or(|mut all| all.try_join_next().is_none()), "an attacker has given up");
            let requests = searched.times.len() + booked.times.len();
            let failed = searched.failed + booked.failed;
            let [s50, s99, b50, b99] = [(&searched, 0.5), (&searched, 0.99), (&booked, 0.5), (&booked, 0.99)]
                .map(|(served, part)| micros(quantile(&served.times, part)));
            table.row([name.to_owned(), (requests + failed).to_string(), failed.to_string(), s50, s99, b50, b99]);
        }
        print!("{}", table.text());
        anyhow::Ok(())
    })
}

/// Requests of others.
#[derive(Default)]
struct Served {
    /// Until the answer, from before the connection; sorted.
    times: Vec<Duration>,
    /// Without an answer, or with 429 or 5xx.
    failed: usize,
}

/// Sends requests at a rate, each on a connection of its own.
async fn others(rest: &Arc<RestClient>, next: &Arc<load::Next>, rate: u32, window: Duration) -> Served {
    let (end, mut ticks) = (Instant::now() + window, interval(Duration::from_secs(1) / rate));
    let mut running = JoinSet::new();
    while Instant::now() < end {
        ticks.tick().await;
        let Some(request) = next() else { break };
        running.spawn(is_served(rest.clone(), request));
    }
    let mut served = Served::default();
    while let Some(one) = running.join_next().await {
        match one.ok().flatten() {
            Some(time) => served.times.push(time),
            None => served.failed += 1,
        }
    }
    served.times.sort_unstable();
    served
}

/// The time until its answer; `None` when it failed.
async fn is_served(rest: Arc<RestClient>, request: Request<Full<Bytes>>) -> Option<Duration> {
    let began = Instant::now();
    let (status, _, _) = rest.exchange(request).await.ok()?;
    (!status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS).then(|| began.elapsed())
}

/// Begins an attack; it ends when the set is dropped.
fn begin(attack: &Attack, address: &str) -> Result<JoinSet<Result<()>>> {
    let address: SocketAddr = address.parse()?;
    let mut attackers = JoinSet::new();
    match attack {
        Attack::Hold(connections, bytes) => {
            for _ in 0..*connections {
                attackers.spawn(hold(address, bytes.clone()));
            }
        }
        Attack::Flood(request) => {
            for _ in 0..FLOODING {
                attackers.spawn(flood(address, request));
            }
        }
    }
    Ok(attackers)
}

/// A connection from the attackers' address.
async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(ATTACKER.parse().context("an address")?)?;
    Ok(socket.connect(address).await?)
}

/// Pauses before connections are opened again.
fn pauses() -> Interval {
    let mut pauses = interval(REOPEN_AFTER);
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pauses
}

/// Holds a connection, and opens it again when it is closed. A refused connection is no reason to give up.
async fn hold(address: SocketAddr, bytes: Vec<u8>) -> Result<()> {
    let mut pauses = pauses();
    loop {
        pauses.tick().await;
        if let Ok(mut stream) = connect(address).await
            && stream.write_all(&bytes).await.is_ok()
        {
            let mut answer = [0; 4096];
            while stream.read(&mut answer).await.is_ok_and(|count| count > 0) {}
        }
    }
}

/// Sends a request at the flood's rate, whatever is answered.
async fn flood(address: SocketAddr, request: &'static [u8]) -> Result<()> {
    let (mut ticks, mut pauses) = (interval(Duration::from_secs(FLOODING as u64) / FLOOD), pauses());
    loop {
        pauses.tick().await;
        let Ok(mut stream) = connect(address).await else { continue };
        let mut answer = [0; 4096];
        loop {
            ticks.tick().await;
            let sent = stream.write_all(request).await.is_ok();
            if !sent || !stream.read(&mut answer).await.is_ok_and(|count| count > 0) {
                break;
            }
        }
    }
}

/// The bytes of an HTTP/2 client that begins requests and sends no bodies (RFC 9113, RFC 7541).
fn streams_without_bodies(count: u32) -> Vec<u8> {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const END_HEADERS: u8 = 4;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    // POST and http from the static table; the authority and the path as literals that are not kept.
    let mut headers = vec![0x83, 0x86];
    for (name, value) in [(0x01, "gateway"), (0x04, "/v1/providers/http/inbound")] {
        headers.extend([name, value.len() as u8]);
        headers.extend(value.as_bytes());
    }
    for number in 0..count {
        bytes.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &headers));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_has_a_number_of_its_own() {
        let bytes = streams_without_bodies(200);
        let (preface, frame) = (24 + 9, 9 + 2 + 2 + 7 + 2 + 26);
        assert_eq!(bytes.len(), preface + 200 * frame);
        let last = &bytes[preface + 199 * frame..];
        assert_eq!(&last[..9], &[0, 0, 39, 1, 4, 0, 0, 1, 143]);
    }
}
