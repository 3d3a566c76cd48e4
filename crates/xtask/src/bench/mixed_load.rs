//! Searches during bookings, at a fixed rate of each, and the time until a search has its caller's booking.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hyper::Method;

use super::{
    Days, Settings,
    booking::{SLOTS_MAX, WEEKS, bookings},
    load::{self, Outcome},
    rest_client::RestClient,
    runtime,
    search::{DEMO, UNLIMITED, micros, paths, searches},
    table::Table,
};
use crate::{
    postgres::{self, Options},
    product::Product,
};

const SEARCHES: u32 = 500;
const BOOKINGS: u32 = 100;
/// Requested bookings a second; about 500 succeed, the others meet a travel time or a room that is taken.
const MANY: u32 = 545;
const CONNECTIONS: usize = 10;

pub(super) fn run(settings: &Settings) -> Result<()> {
    let cluster = postgres::start(Options { durable: true, ..Options::default() })?;
    let database = postgres::for_product(&cluster)?;
    let folder = tempfile::tempdir()?;
    let mut variables = UNLIMITED.to_vec();
    variables.push(("MERIDIAN_DATABASE__URL", &database));
    let product = Product::start(&settings.binary, folder.path(), &DEMO, &variables)?;
    let rest = Arc::new(RestClient::new(&product.url));
    let runtime = runtime()?;
    runtime.block_on(async {
        let paths = paths(&rest, &settings.days).await?;
        let slots = rest.slots(&Days::next(WEEKS * 7), SLOTS_MAX).await?;
        let book = bookings(rest.clone(), slots);
        let address = rest.address.as_str();
        let at_rate = async |rate, next| load::at_rate(address, CONNECTIONS, settings.window, Some(rate), next).await;
        let alone = at_rate(SEARCHES, searches(rest.clone(), paths.clone())).await?;
        let (mixed, booked) =
            tokio::join!(at_rate(SEARCHES, searches(rest.clone(), paths)), at_rate(BOOKINGS, book.clone()));
        let title = format!("Slot search through REST at {SEARCHES}/s, PostgreSQL (fsync on), server time");
        let mut table = Table::new(&title, &["", "searches/s", "p50 µs", "p99 µs", "bookings/s"]);
        let mut row = |name: &str, searched: &Outcome, booked: f64| {
            let times = [0.5, 0.99].map(|part| micros(searched.server_quantile(part)));
            let [p50, p99] = times;
            table.row([name.to_owned(), format!("{:.0}", searched.rate()), p50, p99, format!("{booked:.0}")]);
        };
        row("alone", &alone, 0.0);
        row("during bookings", &mixed?, booked?.rate());
        print!("{}", table.text());

        // One caller books and searches in turn during many other bookings.
        let (end, before) = (Instant::now() + settings.window, lags(&rest.text("/metrics").await?));
        let (many, own) = tokio::join!(at_rate(MANY, book.clone()), own_writes(&rest, &book, end));
        let many = many?.rate();
        print!("{}", lag_table(&before, &lags(&rest.text("/metrics").await?), many).text());
        let title = format!("A search that must know its caller's booking, at {many:.0} bookings/s, server time");
        let mut table = Table::new(&title, &["searches", "p50 µs", "p99 µs"]);
        let mut own = own?;
        own.sort_unstable();
        let part = |part: f64| micros(own.get((own.len() as f64 * part) as usize).copied());
        table.row([own.len().to_string(), part(0.5), part(0.99)]);
        print!("{}", table.text());
        anyhow::Ok(())
    })
}

/// Books and searches in turn until the end; returns the durations of the searches.
async fn own_writes(rest: &RestClient, book: &Arc<load::Next>, end: Instant) -> Result<Vec<Duration>> {
    let path = paths(rest, &Days::next(28)).await?.into_iter().next().context("the chain has services")?;
    let mut times = Vec::new();
    while Instant::now() < end {
        let Some(request) = book() else { break };
        // The slot may be taken meanwhile.
        if rest.send_request(request).await.is_err() {
            continue;
        }
        times.extend(rest.send(Method::GET, &path, None).await?.1);
    }
    Ok(times)
}

/// The counts of the histogram of the projection's lag, by the upper bounds in seconds as they are written.
type Lags = BTreeMap<String, u64>;

/// Reads the histogram from the metrics.
fn lags(metrics: &str) -> Lags {
    let buckets = metrics.lines().filter_map(|line| line.strip_prefix("availability_feed_lag_seconds_bucket{le=\""));
    buckets
        .filter_map(|line| line.split_once("\"} "))
        .filter_map(|(le, n)| Some((le.to_owned(), n.parse().ok()?)))
        .collect()
}

/// The changes between two readings by the projection's lag.
fn lag_table(before: &Lags, after: &Lags, rate: f64) -> Table {
    let title = format!("Changes by the projection's lag after their commit, at {rate:.0} bookings/s");
    let counted = |le: &str| after.get(le).copied().unwrap_or(0) - before.get(le).copied().unwrap_or(0);
    let part = |le: &str| format!("{:.1} %", 100.0 * counted(le) as f64 / (counted("+Inf").max(1)) as f64);
    let mut table = Table::new(&title, &["changes", "1 ms", "2.5 ms", "5 ms", "10 ms", "25 ms"]);
    let [one, two, five, ten, many] = ["0.001", "0.0025", "0.005", "0.01", "0.025"].map(part);
    table.row([counted("+Inf").to_string(), one, two, five, ten, many]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_counted_between_two_readings() {
        let metrics = |few: u32, all: u32| {
            format!(
                "other_bucket{{le=\"0.005\"}} 7\navailability_feed_lag_seconds_bucket{{le=\"0.005\"}} {few}\n\
                 availability_feed_lag_seconds_bucket{{le=\"+Inf\"}} {all}\n"
            )
        };
        let text = lag_table(&lags(&metrics(1, 4)), &lags(&metrics(4, 8)), 99.6).text();
        assert!(text.contains("at 100 bookings/s") && text.contains("75.0 %"), "{text}");
        assert!(text.lines().last().is_some_and(|row| row.trim_start().starts_with("4 ")), "{text}");
    }
}
