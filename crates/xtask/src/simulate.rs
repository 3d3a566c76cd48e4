//! `cargo xtask simulate`: eight weeks of the reminder service on a simulated clock, with figures.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    postgres::{self, Options as ClusterOptions},
    steps::{cargo, step},
    test::DATABASE_VARIABLE,
};

/// The scenario and the oracle's state are kept in memory.
const APPOINTMENTS_MAX: u64 = 1_000_000;

/// How many appointments, and on which engine.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Appointments in the eight weeks.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(10..=APPOINTMENTS_MAX))]
    appointments: u64,
    /// Repeats the run with this seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One engine; both in turn where none is named.
    #[arg(long)]
    engine: Option<Engine>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    fn test(self) -> &'static str {
        match self {
            Self::Sqlite => "simulation::on_sqlite::each_message_is_true_and_none_is_missing",
            Self::Postgres => "simulation::on_postgres::each_message_is_true_and_none_is_missing",
        }
    }
}

/// Runs it; the code is that of the first engine on which the figures are not good.
///
/// # Errors
/// When it cannot be built, or no PostgreSQL can be started.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    // Not nextest, which prints nothing until the end and stops slow tests.
    let test = ["test", "--quiet", "--release", "--package", "reminder", "--test", "contract"];
    step("build", || cargo(&[&test[..], &["--no-run"]].concat()))?;
    let engines = options.engine.map_or(vec![Engine::Sqlite, Engine::Postgres], |engine| vec![engine]);
    let named = std::env::var(DATABASE_VARIABLE).ok();
    let cluster = match named {
        None if engines.contains(&Engine::Postgres) => {
            Some(step("PostgreSQL", || postgres::start(ClusterOptions::default()))?)
        }
        _ => None,
    };
    for engine in engines {
        let (appointments, seed) = (options.appointments.to_string(), options.seed.to_string());
        println!("== {}: {appointments} appointments, seed {seed}", engine.test());
        let mut command = Command::new("cargo");
        command.args(test).args(["--", "--exact", "--nocapture", engine.test()]);
        command.env("MERIDIAN_SIMULATION", appointments).env("MERIDIAN_SIMULATION_SEED", seed);
        if let Some(cluster) = &cluster {
            command.env(DATABASE_VARIABLE, cluster.url());
        }
        if !command.status()?.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
