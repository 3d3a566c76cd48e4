//! `cargo xtask bench`: the figures of this machine in one run, each beside an upper bound where there is one.
//!
//! No figure passes or fails: a timed test would fail on a busy machine.

mod attacks;
mod booking;
mod fake_provider;
mod flame;
mod history_size;
mod kernel;
mod load;
mod memory;
mod messages;
mod mixed_load;
mod patients;
mod pgbench;
mod plans;
pub(crate) mod rest_client;
mod search;
mod start;
mod streams;
mod table;

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::Result;

use crate::steps::{cargo, is_named, product_of, run as run_command, step};

/// Which figures to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A tenth of the time for each figure: to see that the measurement works, not to quote it.
    #[arg(long, global = true)]
    quick: bool,
    /// The cargo profile of the measured product: `release`, or `dist`, which the image and the releases have.
    #[arg(long, global = true, default_value = "release")]
    profile: String,
    #[command(subcommand)]
    measurement: Option<Measurement>,
}

#[derive(Clone, Copy, clap::Subcommand)]
enum Measurement {
    /// The search kernel beside the bare pass over the same bits.
    Kernel,
    /// The plan engine: the best series of a long plan.
    Plans,
    /// Slot search through REST at 1, 8 and 32 connections.
    Search,
    /// Slot search at a fixed rate during bookings, and the projection's lag.
    MixedLoad,
    /// Bookings through REST on PostgreSQL, beside pgbench running the same statement on the same cluster.
    BookingPostgres,
    /// Bookings through REST on SQLite.
    BookingSqlite,
    /// Memory of each role.
    Memory,
    /// A thousand practitioners and a million live claims: availability's memory and time to start.
    Start,
    /// Searches and bookings with a thousand and with ten million past appointments.
    HistorySize,
    /// Two thousand streams of fifty slot searches: their memory, and bookings beside them.
    Streams,
    /// Searches and bookings of others while the gateway is attacked.
    Attacks,
    /// A hundred thousand reminders that are due at one instant: planning, sending, and a limited rate.
    Messages,
    /// Looking patients up among a hundred thousand, on both engines.
    Patients,
    /// Allocations of an answer of slots.
    Allocations,
    /// Draws a flame graph of the product while it is searched, by `perf`: target/flame/search.svg.
    Flame,
}

/// All figures; the flame graph is drawn on request alone.
const ALL: [Measurement; 14] = [
    Measurement::Kernel,
    Measurement::Plans,
    Measurement::Search,
    Measurement::MixedLoad,
    Measurement::BookingPostgres,
    Measurement::BookingSqlite,
    Measurement::Memory,
    Measurement::Start,
    Measurement::HistorySize,
    Measurement::Streams,
    Measurement::Attacks,
    Measurement::Messages,
    Measurement::Patients,
    Measurement::Allocations,
];

/// The settings of every measurement.
struct Settings {
    /// How long each figure is measured.
    window: Duration,
    binary: PathBuf,
    /// Whether to measure for a tenth of the time.
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
    let draws = matches!(options.measurement, Some(Measurement::Flame));
    if draws {
        flame::check_perf()?;
    }
    let profile = if draws { "profiling" } else { &options.profile };
    // A named product is measured as it is.
    if !is_named() {
        step("build", || cargo(&["build", "--quiet", "--profile", profile, "--bin", "meridian"]))?;
    }
    let window = if options.quick { Duration::from_secs(1) } else { Duration::from_secs(10) };
    let settings = Settings { quick: options.quick, window, binary: product_of(profile)?, days: Days::next(28) };
    let measurements = match options.measurement {
        Some(measurement) => vec![measurement],
        None => ALL.to_vec(),
    };
    for measurement in measurements {
        match measurement {
            Measurement::Kernel => kernel::run(&settings)?,
            Measurement::Plans => plans::run(&settings)?,
            Measurement::Search => search::run(&settings)?,
            Measurement::MixedLoad => mixed_load::run(&settings)?,
            Measurement::BookingPostgres => booking::on_postgres(&settings)?,
            Measurement::BookingSqlite => booking::on_sqlite(&settings)?,
            Measurement::Memory => memory::run(&settings)?,
            Measurement::Start => start::run(&settings)?,
            Measurement::HistorySize => history_size::run(&settings)?,
            Measurement::Streams => streams::run(&settings)?,
            Measurement::Attacks => attacks::run(&settings)?,
            Measurement::Flame => flame::run(&settings)?,
            Measurement::Messages => messages::run(&settings)?,
            Measurement::Patients => patients::run(&settings)?,
            // A separate program, which counts inside the product's process: this one does not depend on the services.
            Measurement::Allocations => {
                cargo(&["bench", "--quiet", "--package", "scenarios", "--bench", "allocations"])?
            }
        }
    }
    Ok(())
}

/// A single-threaded runtime for the load generator, so that it uses one core at most.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
