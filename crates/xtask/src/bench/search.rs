//! Slot search through REST on the demo chain.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use hyper::Method;

use super::{Days, Settings, load, rest_client::RestClient, runtime, table::Table};
use crate::product::Product;

const CONNECTIONS: [usize; 3] = [1, 8, 32];
pub(super) fn run(settings: &Settings) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let product = Product::start(&settings.binary, folder.path(), &DEMO, &UNLIMITED)?;
    let rest = Arc::new(RestClient::new(&product.url));
    let runtime = runtime()?;
    let paths = runtime.block_on(paths(&rest, &settings.days))?;
    let columns = ["connections", "searches/s", "p50 µs", "p99 µs", "server p50 µs", "server p99 µs", "refused"];
    let mut table = Table::new("Slot search through REST: 28 days, first 50 slots", &columns);
    for connections in CONNECTIONS {
        let address = rest.address.clone();
        let next = searches(rest.clone(), paths.clone());
        let outcome = runtime.block_on(load::run(&address, connections, settings.window, next))?;
        table.row([
            connections.to_string(),
            format!("{:.0}", outcome.rate()),
            micros(outcome.quantile(0.5)),
            micros(outcome.quantile(0.99)),
            micros(outcome.server_quantile(0.5)),
            micros(outcome.server_quantile(0.99)),
            outcome.refused.len().to_string(),
        ]);
    }
    print!("{}", table.text());
    Ok(())
}

/// A search for each service of the chain.
///
/// # Errors
/// When there are none.
pub(super) async fn paths(rest: &RestClient, days: &Days) -> Result<Vec<String>> {
    let Days { from, to } = days;
    let services = rest.services().await?;
    ensure!(!services.is_empty(), "the demo chain has no services");
    let path = |service: &String| format!("/v1/slots?service_id={service}&from={from}&to={to}&limit=50");
    Ok(services.iter().map(path).collect())
}

/// Requests the paths in turn, without end.
pub(super) fn searches(rest: Arc<RestClient>, paths: Vec<String>) -> Arc<load::Next> {
    let turn = AtomicUsize::new(0);
    Arc::new(move || {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        rest.request(Method::GET, &paths[turn % paths.len()], None)
    })
}

/// Arguments that start the demo chain, on SQLite in the working folder unless a database is named.
pub(super) const DEMO: [&str; 5] = ["demo", "--listen", "127.0.0.1:0", "--data", "data"];
/// Variables without a log of each request and without a rate limit.
pub(super) const UNLIMITED: [(&str, &str); 2] =
    [("MERIDIAN_TELEMETRY__FILTER", "warn"), ("MERIDIAN_GATEWAY__REQUESTS_PER_SECOND", "100000")];

/// A time in microseconds, or a dash.
pub(super) fn micros(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.0}", time.as_secs_f64() * 1e6))
}
