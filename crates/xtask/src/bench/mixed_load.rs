//! Searches while others book, at a fixed rate of each; and how long one waits to see what one has booked.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hyper::Method;

use super::{
    Days, Plan,
    booking::{SLOTS_MAX, WEEKS, bookings},
    load::{self, Outcome},
    rest::Rest,
    runtime,
    search::{DEMO, UNHINDERED, micros, paths, searches},
    table::Table,
};
use crate::{
    postgres::{self, Options},
    product::Product,
};

const SEARCHES: u32 = 500;
const BOOKINGS: u32 = 100;
/// Bookings a second that are asked for while one looks for one's own: about 500 are taken, the others meet a road or a room
/// that an earlier one has.
const MANY: u32 = 545;
const CONNECTIONS: usize = 10;

pub(super) fn run(plan: &Plan) -> Result<()> {
    let cluster = postgres::start(Options { durable: true, ..Options::default() })?;
    let folder = tempfile::tempdir()?;
    let mut variables = UNHINDERED.to_vec();
    variables.push(("MERIDIAN_DATABASE__URL", cluster.url()));
    let product = Product::start(&plan.binary, folder.path(), &DEMO, &variables)?;
    let rest = Arc::new(Rest::new(&product.url));
    let runtime = runtime()?;
    runtime.block_on(async {
        let asked = paths(&rest, &plan.days).await?;
        let slots = rest.slots(&Days::next(WEEKS * 7), SLOTS_MAX).await?;
        let book = bookings(rest.clone(), slots);
        let address = rest.address.as_str();
        let at_rate = async |rate, next| load::at_rate(address, CONNECTIONS, plan.window, Some(rate), next).await;
        let alone = at_rate(SEARCHES, searches(rest.clone(), asked.clone())).await?;
        let (beside, booked) =
            tokio::join!(at_rate(SEARCHES, searches(rest.clone(), asked)), at_rate(BOOKINGS, book.clone()));
        let title = format!("Slot search through REST at {SEARCHES}/s, PostgreSQL (fsync on), server time");
        let mut table = Table::new(&title, &["", "searches/s", "p50 µs", "p99 µs", "bookings/s"]);
        let mut row = |name: &str, searched: &Outcome, booked: f64| {
            let times = [0.5, 0.99].map(|part| micros(searched.server_quantile(part)));
            let [p50, p99] = times;
            table.row([name.to_owned(), format!("{:.0}", searched.rate()), p50, p99, format!("{booked:.0}")]);
        };
        row("alone", &alone, 0.0);
        row("beside bookings", &beside?, booked?.rate());
        print!("{}", table.text());

        // One who books and at once looks for what is left, among many others who book.
        let (end, before) = (Instant::now() + plan.window, lags(&rest.text("/metrics").await?));
        let (many, waited) = tokio::join!(at_rate(MANY, book.clone()), own_writes(&rest, &book, end));
        let many = many?.rate();
        print!("{}", kept_up(&before, &lags(&rest.text("/metrics").await?), many).text());
        let title = format!("A search that must know its caller's booking, at {many:.0} bookings/s, server time");
        let mut table = Table::new(&title, &["asked", "p50 µs", "p99 µs"]);
        let mut waited = waited?;
        waited.sort_unstable();
        let part = |part: f64| micros(waited.get((waited.len() as f64 * part) as usize).copied());
        table.row([waited.len().to_string(), part(0.5), part(0.99)]);
        print!("{}", table.text());
        anyhow::Ok(())
    })
}

/// Books and searches in turn until the end; how long each search took.
async fn own_writes(rest: &Rest, book: &Arc<load::Next>, end: Instant) -> Result<Vec<Duration>> {
    let path = paths(rest, &Days::next(28)).await?.into_iter().next().context("the chain has services")?;
    let mut times = Vec::new();
    while Instant::now() < end {
        let Some(request) = book() else { break };
        // A slot that someone else's room or road has taken is no write.
        if rest.sent(request).await.is_err() {
            continue;
        }
        times.extend(rest.send(Method::GET, &path, None).await?.1);
    }
    Ok(times)
}

/// How many changes the projection had at most so many seconds after their commit, by these seconds as they are written.
type Lags = BTreeMap<String, u64>;

/// Reads them from the metrics.
fn lags(metrics: &str) -> Lags {
    let buckets = metrics.lines().filter_map(|line| line.strip_prefix("availability_feed_lag_seconds_bucket{le=\""));
    buckets
        .filter_map(|line| line.split_once("\"} "))
        .filter_map(|(le, n)| Some((le.to_owned(), n.parse().ok()?)))
        .collect()
}

/// Which part of the changes between two readings the projection had how soon.
fn kept_up(before: &Lags, after: &Lags, rate: f64) -> Table {
    let title = format!("Changes that the projection had so soon after their commit, at {rate:.0} bookings/s");
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
        let shown = |few: u32, all: u32| {
            format!(
                "other_bucket{{le=\"0.005\"}} 7\navailability_feed_lag_seconds_bucket{{le=\"0.005\"}} {few}\n\
                 availability_feed_lag_seconds_bucket{{le=\"+Inf\"}} {all}\n"
            )
        };
        let text = kept_up(&lags(&shown(1, 4)), &lags(&shown(4, 8)), 99.6).text();
        assert!(text.contains("at 100 bookings/s") && text.contains("75.0 %"), "{text}");
        assert!(text.lines().last().is_some_and(|row| row.trim_start().starts_with("4 ")), "{text}");
    }
}
