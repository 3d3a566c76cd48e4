//! `cargo xtask bench`: what this machine does, in one run, beside what it could do at best.
//!
//! Nothing here passes or fails: a figure is for a person to read, and a timed test would fail on a busy machine.

mod booking;
mod fake_provider;
mod flame;
mod history_size;
mod kernel;
mod load;
mod memory;
mod messages;
mod mixed_load;
mod pgbench;
mod plans;
pub(crate) mod rest;
mod search;
mod start;
mod table;

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::Result;

use crate::steps::{built_product, cargo, is_named, run as run_command, step};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A tenth of the time for each figure: to see that it works, not to quote.
    #[arg(long, global = true)]
    quick: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Clone, Copy, clap::Subcommand)]
enum What {
    /// The search kernel beside the bare pass over the same bits.
    Kernel,
    /// The plan engine: the best series of a long plan.
    Plans,
    /// Slot search through REST at 1, 8 and 32 connections.
    Search,
    /// Slot search at a fixed rate while others book, and the projection's lag.
    Beside,
    /// Bookings through REST on PostgreSQL, beside pgbench running the same statement on the same cluster.
    BookingPostgres,
    /// Bookings through REST on SQLite.
    BookingSqlite,
    /// Memory of each role.
    Memory,
    /// A thousand practitioners and a million live claims: availability's memory, and how long it takes to begin.
    Start,
    /// Searches and bookings beside a thousand and beside ten million visits that are over.
    Past,
    /// A hundred thousand reminders that are due at one instant: planning and sending them, and the provider's pace.
    Messages,
    /// What an answer of slots takes from the allocator.
    Allocations,
    /// Draws a flame graph of the product while it is searched, by `perf`: target/flame/search.svg.
    Flame,
}

/// All figures; a picture is drawn only where it is asked for.
const ALL: [What; 11] = [
    What::Kernel,
    What::Plans,
    What::Search,
    What::Beside,
    What::BookingPostgres,
    What::BookingSqlite,
    What::Memory,
    What::Start,
    What::Past,
    What::Messages,
    What::Allocations,
];

/// What every part needs to know.
struct Plan {
    /// How long each figure is measured.
    window: Duration,
    binary: PathBuf,
    /// Whether little is enough: to see that it works.
    quick: bool,
    days: Days,
}

/// The days that are searched or booked, from tomorrow.
struct Days {
    from: String,
    to: String,
}

impl Days {
    #[expect(clippy::disallowed_methods, reason = "the product runs on the system's clock, from outside")]
    fn next(days: i64) -> Self {
        let hours = |hours: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours)).to_string();
        Self { from: hours(24), to: hours((1 + days) * 24) }
    }
}

/// Measures and prints.
///
/// # Errors
/// When the product cannot be built, started or asked.
pub(crate) fn run(options: &Options) -> Result<()> {
    if cfg!(debug_assertions) {
        // Neither the kernel nor the load generator may be a debug build.
        let arguments = std::env::args().skip(1);
        return run_command(
            Command::new("cargo").args(["run", "--quiet", "--release", "--package", "xtask", "--"]).args(arguments),
        );
    }
    let draws = matches!(options.what, Some(What::Flame));
    if draws {
        flame::possible()?;
    }
    // One that is named is measured as it is.
    if !is_named() {
        let profile = if draws { "profiling" } else { "release" };
        step("build", || cargo(&["build", "--quiet", "--profile", profile, "--bin", "meridian"]))?;
    }
    let window = if options.quick { Duration::from_secs(1) } else { Duration::from_secs(10) };
    let plan = Plan { quick: options.quick, window, binary: built_product()?, days: Days::next(28) };
    let parts = match options.what {
        Some(part) => vec![part],
        None => ALL.to_vec(),
    };
    for part in parts {
        match part {
            What::Kernel => kernel::run(&plan)?,
            What::Plans => plans::run(&plan)?,
            What::Search => search::run(&plan)?,
            What::Beside => mixed_load::run(&plan)?,
            What::BookingPostgres => booking::on_postgres(&plan)?,
            What::BookingSqlite => booking::on_sqlite(&plan)?,
            What::Memory => memory::run(&plan)?,
            What::Start => start::run(&plan)?,
            What::Past => history_size::run(&plan)?,
            What::Flame => flame::run(&plan)?,
            What::Messages => messages::run(&plan)?,
            // A program of its own: it counts within the product's process, and this one builds on nothing of the services.
            What::Allocations => cargo(&["bench", "--quiet", "--package", "scenarios", "--bench", "allocations"])?,
        }
    }
    Ok(())
}

/// A runtime for the load generator, which is single-threaded so that it takes one core at most.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
