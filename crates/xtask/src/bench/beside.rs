//! Searches while others book, at a fixed rate of each; and how long one waits to see what one has booked.

use std::{
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
/// Bookings a second among which one looks for one's own.
const MANY: u32 = 500;
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
        let end = Instant::now() + plan.window;
        let (many, waited) = tokio::join!(at_rate(MANY, book.clone()), own_writes(&rest, &book, end));
        let title =
            format!("A search that must know its caller's booking, at {:.0} bookings/s, server time", many?.rate());
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
