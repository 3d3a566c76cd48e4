//! Two thousand streams of fifty slot searches: their memory, and bookings beside them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use hyper::{Method, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use super::{
    Days, Settings,
    booking::{SLOTS_MAX, WEEKS, bookings},
    load::{self, Outcome},
    memory::megabytes,
    rest_client::RestClient,
    runtime,
    search::{DEMO, UNLIMITED, micros},
    table::Table,
};
use crate::product::Product;

const SEARCHES: usize = 50;
const STREAMS: usize = 2000;
/// Bookings a second, and the connections that make them.
const BOOKINGS: u32 = 20;
const CONNECTIONS: usize = 4;
/// How long the gateway keeps a search that nobody reads, and time for its memory.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(settings: &Settings) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let product = start(settings, folder.path())?;
    let rest = Arc::new(RestClient::new(&product.url));
    runtime()?.block_on(async {
        let paths = searches(&rest).await?;
        let book = bookings(rest.clone(), rest.slots(&Days::next(WEEKS * 7), SLOTS_MAX).await?);
        let mut table =
            Table::new("Streams of slot searches", &["streams", "MB", "bookings/s", "p50 µs", "p99 µs", "events"]);
        let events = Arc::new(AtomicUsize::new(0));
        let mut streams = JoinSet::new();
        let mut resident = Vec::new();
        for count in [0, SEARCHES, STREAMS] {
            while streams.len() < count {
                let path = &paths[streams.len() % paths.len()];
                streams.spawn(read(open(&rest, path).await?, events.clone()));
            }
            let memory = product.memory()?;
            resident.push(memory);
            let before = events.load(Ordering::Relaxed);
            let booked =
                load::at_rate(&rest.address, CONNECTIONS, settings.window, Some(BOOKINGS), book.clone()).await?;
            row(&mut table, &count.to_string(), memory, &booked, events.load(Ordering::Relaxed) - before);
            ensure!(streams.len() == count && streams.try_join_next().is_none(), "a stream has ended");
        }
        streams.shutdown().await;
        let closed = settle(&product, resident[0]).await?;
        table.row(["closed".to_owned(), megabytes(closed), "-".into(), "-".into(), "-".into(), "-".into()]);
        print!("{}", table.text());
        let further = resident[2].saturating_sub(resident[1]) / (STREAMS - SEARCHES) as u64;
        println!("   a further stream takes {:.1} KiB", further as f64 / 1024.0);
        anyhow::Ok(())
    })
}

/// All streams come from one address.
fn start(settings: &Settings, folder: &Path) -> Result<Product> {
    let mut variables = UNLIMITED.to_vec();
    variables.push(("MERIDIAN_GATEWAY__CONNECTIONS__PER_ADDRESS_MAX", "100000"));
    Product::start(&settings.binary, folder, &DEMO, &variables)
}

/// The paths of different searches, each of one service at one location on some days.
async fn searches(rest: &RestClient) -> Result<Vec<String>> {
    let locations = rest.get("/v1/locations?limit=200").await?;
    let locations = locations["data"].as_array().context("a page has data")?.clone();
    let services = rest.services().await?;
    let mut paths = Vec::new();
    for days in 7.. {
        ensure!(days < 60 && !services.is_empty(), "the demo chain has too few services and locations");
        let Days { from, to } = Days::next(days);
        for service in &services {
            for location in locations.iter().filter_map(|location| location["id"].as_str()) {
                if paths.len() == SEARCHES {
                    return Ok(paths);
                }
                paths.push(format!("/v1/slots/watch?service_id={service}&location_id={location}&from={from}&to={to}"));
            }
        }
    }
    Ok(paths)
}

/// Opens a stream on a connection of its own.
async fn open(
    rest: &RestClient,
    path: &str,
) -> Result<(Incoming, http1::SendRequest<http_body_util::Full<bytes::Bytes>>)> {
    let stream = TcpStream::connect(&rest.address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = rest.request(Method::GET, path, None).context("the path is no URI")?;
    let answer = sender.send_request(request).await?;
    ensure!(answer.status().is_success(), "{path} was answered by {}", answer.status());
    let mut body = answer.into_body();
    // The stream is open when its first event has come.
    body.frame().await.context("the stream has ended")??;
    Ok((body, sender))
}

/// Counts the parts of a stream until it ends.
async fn read<S>((mut body, _sender): (Incoming, S), events: Arc<AtomicUsize>) {
    while let Some(Ok(_)) = body.frame().await {
        events.fetch_add(1, Ordering::Relaxed);
    }
}

/// The memory when it is what it was before, or after a while.
async fn settle(product: &Product, before: u64) -> Result<u64> {
    let end = Instant::now() + CLOSED_WITHIN;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let memory = product.memory()?;
        if memory <= before || Instant::now() > end {
            return Ok(memory);
        }
    }
}

fn row(table: &mut Table, streams: &str, memory: u64, booked: &Outcome, events: usize) {
    let [p50, p99] = [0.5, 0.99].map(|part| micros(booked.quantile(part)));
    table.row([streams.to_owned(), megabytes(memory), format!("{:.0}", booked.rate()), p50, p99, events.to_string()]);
}
