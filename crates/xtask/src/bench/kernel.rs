//! The search kernel by itself.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::Result;
use calendar::{bench::Chain, search::Scratch};

use super::{Settings, table::Table};

/// Practitioners and days.
const CHAINS: [(u32, i64); 2] = [(1000, 28), (10_000, 84)];
const SLOTS: usize = 50;

pub(super) fn run(settings: &Settings) -> Result<()> {
    for (practitioners, days) in CHAINS {
        measure(settings, practitioners, days);
    }
    Ok(())
}

fn measure(settings: &Settings, practitioners: u32, days: i64) {
    let chain = Chain::new(practitioners, days, 1);
    let mut scratch = Scratch::default();
    let search = median(settings.window, || chain.search(SLOTS, &mut scratch).starts.len());
    let whole = median(settings.window, || chain.search(usize::MAX, &mut scratch).starts.len());
    let bare = median(settings.window, || chain.bare_pass());
    let title = format!("Kernel: {practitioners} practitioners, {days} days (median)");
    let mut table = Table::new(&title, &["", "µs", "of the bare pass"]);
    for (name, time) in [("first 50 slots", search), ("every slot", whole), ("bare pass over the bits", bare)] {
        let ratio = time.as_secs_f64() / bare.as_secs_f64();
        table.row([name.to_owned(), format!("{:.1}", time.as_secs_f64() * 1e6), format!("{ratio:.2}")]);
    }
    print!("{}", table.text());
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
