//! The search kernel by itself.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::Result;
use calendar::{bench::Chain, search::Scratch};

use super::{Plan, table::Table};

const PRACTITIONERS: u32 = 1000;
const DAYS: i64 = 28;
const SLOTS: usize = 50;

pub(super) fn run(plan: &Plan) -> Result<()> {
    let chain = Chain::new(PRACTITIONERS, DAYS, 1);
    let mut scratch = Scratch::default();
    let search = median(plan.window, || chain.search(SLOTS, &mut scratch).found.len());
    let whole = median(plan.window, || chain.search(usize::MAX, &mut scratch).found.len());
    let bare = median(plan.window, || chain.bare_pass());
    let title = format!("Kernel: {PRACTITIONERS} practitioners, {DAYS} days (median)");
    let mut table = Table::new(&title, &["", "µs", "of the bare pass"]);
    for (name, time) in [("first 50 slots", search), ("every slot", whole), ("bare pass over the bits", bare)] {
        let ratio = time.as_secs_f64() / bare.as_secs_f64();
        table.row([name.to_owned(), format!("{:.1}", time.as_secs_f64() * 1e6), format!("{ratio:.2}")]);
    }
    print!("{}", table.text());
    Ok(())
}

/// The median time of one call, over the window; at least 11 calls.
pub(super) fn median<T>(window: Duration, mut work: impl FnMut() -> T) -> Duration {
    let end = Instant::now() + window;
    let mut times = Vec::new();
    while times.len() < 11 || Instant::now() < end {
        let began = Instant::now();
        black_box(work());
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}
