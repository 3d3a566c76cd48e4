//! The project's own tasks: `cargo xtask test` runs all checks, `cargo xtask bench` measures.
//!
//! It does not depend on the services: it runs the built product as a child process. Start reading at `test`.

#![warn(clippy::unwrap_used)]

mod audit;
mod bench;
mod compare_calendars;
mod config_reference;
mod fuzz_api;
mod metrics_page;
mod module_graph;
mod openapi;
mod postgres;
mod product;
mod proto_checks;
mod python;
mod readme_paths;
mod repo_rules;
mod schema;
mod simulate;
mod steps;
mod test;
mod timings;
mod unused_dependencies;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this project.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// All checks: format, lints, the repository's own rules, and all tests on both engines.
    Test(test::Options),
    /// The repository's own rules alone: the top level, the size of files, forbidden words, module layers.
    Check(CheckOptions),
    /// Licences, bans, sources and known vulnerabilities of the dependencies (cargo-deny).
    Audit(audit::Options),
    /// Writes the table of configuration keys in deploy/README.md anew from the code.
    ConfigReference,
    /// Writes `services/gateway/openapi.json` from the code.
    Openapi,
    /// Measures the kernel, searches, bookings and more on this machine.
    Bench(bench::Options),
    /// Sends generated requests to the REST interface (PyPI's schemathesis).
    FuzzApi(fuzz_api::Options),
    /// Compares how the product and PyPI's recurring-ical-events read the `.ics` files under a folder.
    CompareCalendars(compare_calendars::Options),
    /// Writes each service's schema from its migrations, and the hashes of new SQL files.
    Schema,
    /// Simulates eight weeks of messages to patients with failing providers; prints the figures.
    Simulate(simulate::Options),
}

#[derive(clap::Args)]
struct CheckOptions {
    /// Print the graph of each service's top-level modules, and its cycles.
    #[arg(long)]
    graph: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let called_from = std::env::current_dir()?;
    // The alias runs in the caller's folder; all paths here start at the top of the repository.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    match Arguments::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Check(CheckOptions { graph: true }) => repo_rules::print_graphs().map(|()| ExitCode::SUCCESS),
        Task::Check(CheckOptions { graph: false }) => repo_rules::check()
            .and_then(|()| proto_checks::check())
            .and_then(|()| openapi::check())
            .map(|()| ExitCode::SUCCESS),
        Task::Audit(options) => audit::run(&options).map(|()| ExitCode::SUCCESS),
        Task::ConfigReference => config_reference::write().map(|()| ExitCode::SUCCESS),
        Task::Openapi => openapi::write().map(|()| ExitCode::SUCCESS),
        Task::Bench(options) => bench::run(&options).map(|()| ExitCode::SUCCESS),
        Task::FuzzApi(options) => fuzz_api::run(&options),
        Task::CompareCalendars(options) => compare_calendars::run(&options, &called_from),
        Task::Schema => schema::renew().map(|()| ExitCode::SUCCESS),
        Task::Simulate(options) => simulate::run(&options),
    }
}
