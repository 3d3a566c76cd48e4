//! Bookings through REST, each of an open slot and by a new patient.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use hyper::Method;
use serde_json::json;

use super::{
    Days, Settings,
    load::{self, Outcome},
    pgbench,
    rest_client::RestClient,
    runtime,
    search::{DEMO, UNLIMITED, micros},
    table::Table,
};
use crate::{
    postgres::{self, Options},
    product::Product,
};

const CONNECTIONS: usize = 16;
/// Slots are searched first, so that only bookings are measured: more than the window can book.
pub(super) const SLOTS_MAX: usize = 60_000;
/// Weeks to book: they extend past the demo's own appointments, so most time is free.
pub(super) const WEEKS: i64 = 12;

/// On PostgreSQL, with pgbench running the same statement on the same cluster.
pub(super) fn on_postgres(settings: &Settings) -> Result<()> {
    let cluster = postgres::start(Options { durable: true, ..Options::default() })?;
    let database = postgres::for_product(&cluster)?;
    let folder = tempfile::tempdir()?;
    let mut variables = UNLIMITED.to_vec();
    variables.push(("MERIDIAN_DATABASE__URL", &database));
    let outcome = measure(settings, folder.path(), &variables)?;
    // After the product has ended, so that each has the whole machine.
    let database = pgbench::prepare(&cluster)?;
    let bare = pgbench::run(&cluster, &database, CONNECTIONS, settings.window)?;
    let mut table = table("Bookings through REST on PostgreSQL (fsync on)");
    row(&mut table, "through REST", &outcome);
    let latency = format!("{:.0}", bare.latency_ms * 1000.0);
    table.row([
        "pgbench, same statement".into(),
        format!("{:.0}", bare.tps),
        latency,
        "-".into(),
        bare.failed.to_string(),
    ]);
    table.row(["ratio".to_owned(), format!("{:.2}", outcome.rate() / bare.tps)]);
    print!("{}", table.text());
    Ok(())
}

/// On SQLite.
pub(super) fn on_sqlite(settings: &Settings) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let outcome = measure(settings, folder.path(), &UNLIMITED)?;
    let mut table = table("Bookings through REST on SQLite (synchronous=FULL)");
    row(&mut table, "through REST", &outcome);
    print!("{}", table.text());
    Ok(())
}

fn measure(settings: &Settings, folder: &Path, variables: &[(&str, &str)]) -> Result<Outcome> {
    let product = Product::start(&settings.binary, folder, &DEMO, variables)?;
    let rest = Arc::new(RestClient::new(&product.url));
    let runtime = runtime()?;
    let slots = runtime.block_on(rest.slots(&Days::next(WEEKS * 7), SLOTS_MAX))?;
    let (address, next) = (rest.address.clone(), bookings(rest.clone(), slots));
    let outcome = runtime.block_on(load::run(&address, CONNECTIONS, settings.window, next))?;
    let mut refused: BTreeMap<u16, usize> = BTreeMap::new();
    for status in &outcome.refused {
        *refused.entry(*status).or_default() += 1;
    }
    if !refused.is_empty() {
        // There are fewer rooms than practitioners, so some bookings are answered by 409.
        println!("   refused, by status: {refused:?}");
    }
    Ok(outcome)
}

/// Books one slot after the other, each for a new patient.
pub(super) fn bookings(rest: Arc<RestClient>, slots: Vec<String>) -> Arc<load::Next> {
    bookings_from(rest, slots, 0)
}

/// The same with patients from this number on; the earlier ones have appointments already.
pub(super) fn bookings_from(rest: Arc<RestClient>, slots: Vec<String>, first: usize) -> Arc<load::Next> {
    let (slots, patient) = (Mutex::new(slots), AtomicUsize::new(first));
    Arc::new(move || {
        let slot = slots.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        let number = patient.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "slot_id": slot,
            "patient": {"given_name": "Load", "family_name": format!("Test {number}"), "phone": format!("+1587555{number:04}")},
            "channel": "online",
        });
        rest.request(Method::POST, "/v1/appointments", Some(&body))
    })
}

fn table(title: &str) -> Table {
    let title = format!("{title}, {CONNECTIONS} connections");
    Table::new(&title, &["", "bookings/s", "p50 µs", "p99 µs", "refused"])
}

fn row(table: &mut Table, name: &str, outcome: &Outcome) {
    let (p50, p99) = (micros(outcome.quantile(0.5)), micros(outcome.quantile(0.99)));
    table.row([name.to_owned(), format!("{:.0}", outcome.rate()), p50, p99, outcome.refused.len().to_string()]);
}
