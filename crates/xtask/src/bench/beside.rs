//! Searches while others book, at a fixed rate of each; and how far the projection follows behind.

use std::{sync::Arc, time::Duration};

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
/// Bookings a second under which the lag is measured.
const MANY: u32 = 500;
const CONNECTIONS: usize = 10;
const LAG: &str = "availability_feed_lag_seconds_bucket";

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

        let before = lag(&rest).await?;
        let many = at_rate(MANY, book).await?;
        let after = lag(&rest).await?;
        let title = "How long after a booking began its transaction the search knew of it";
        let mut table = Table::new(title, &["within", "part of the bookings"]);
        let all = after.last().zip(before.last()).map_or(0.0, |(after, before)| after.1 - before.1);
        for ((bound, after), (_, before)) in after.iter().zip(&before).filter(|((bound, _), _)| *bound < 0.5) {
            table.row([format!("{:.1} ms", bound * 1e3), format!("{:.3}", (after - before) / all)]);
        }
        print!("at {:.0} bookings/s:{}", many.rate(), table.text());
        anyhow::Ok(())
    })
}

#[expect(clippy::disallowed_methods, reason = "the product runs on the system's clock, from outside")]
async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// The buckets of the lag's histogram: upper bound in seconds, and how many lie below it.
async fn lag(rest: &Rest) -> Result<Vec<(f64, f64)>> {
    // What has been booked last must be known.
    settle().await;
    let text = rest.text(Method::GET, "/metrics").await?;
    let line = |line: &str| {
        let (bound, count) = line.strip_prefix(LAG)?.strip_prefix("{le=\"")?.split_once("\"} ")?;
        Some((bound.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?))
    };
    let buckets: Vec<(f64, f64)> = text.lines().filter_map(line).collect();
    (!buckets.is_empty()).then_some(buckets).context("the product measures no lag")
}
