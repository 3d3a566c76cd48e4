//! The project's own tasks: `cargo xtask test` checks everything, `cargo xtask bench` measures.
//!
//! It builds on nothing of the services: it runs the built product from outside, as a user does. Start reading at
//! `test`.

mod bench;
mod compare_calendars;
mod config_reference;
mod fuzz_api;
mod metrics_page;
mod module_graph;
mod postgres;
mod product;
mod proto_lint;
mod python;
mod readme_paths;
mod repo_rules;
mod schema;
mod simulate;
mod steps;
mod test;
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
    /// Everything this project checks: format, lints, the repository's own rules, and all tests on both engines.
    Test(test::Options),
    /// The repository's own rules alone: the map of the top level, the size of files, what a file may say, module layers.
    Check(CheckOptions),
    /// Writes the table of configuration keys in deploy/README.md anew from the code.
    ConfigReference,
    /// Measures the kernel, the search and the bookings, on this machine.
    Bench(bench::Options),
    /// Throws generated requests at the REST interface (PyPI's schemathesis).
    FuzzApi(fuzz_api::Options),
    /// Reads every `.ics` file under a folder with the product and with PyPI's recurring-ical-events, and compares.
    CompareCalendars(compare_calendars::Options),
    /// Writes each service's schema from its migrations, and the hashes of new SQL files.
    Schema,
    /// Eight weeks of messages to patients while everything fails, on a simulated clock; prints the figures.
    Simulate(simulate::Options),
}

#[derive(clap::Args)]
struct CheckOptions {
    /// Print the graph of each service's top-level modules, a line a module, and the knots in it.
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
    // The alias runs from wherever it is called in the repository; every path here is from its top.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
    match Arguments::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Check(CheckOptions { graph: true }) => repo_rules::print_graphs().map(|()| ExitCode::SUCCESS),
        Task::Check(CheckOptions { graph: false }) => {
            repo_rules::check().and_then(|()| proto_lint::lint()).map(|()| ExitCode::SUCCESS)
        }
        Task::ConfigReference => config_reference::write().map(|()| ExitCode::SUCCESS),
        Task::Bench(options) => bench::run(&options).map(|()| ExitCode::SUCCESS),
        Task::FuzzApi(options) => fuzz_api::run(&options),
        Task::CompareCalendars(options) => compare_calendars::run(&options, &called_from),
        Task::Schema => schema::renew().map(|()| ExitCode::SUCCESS),
        Task::Simulate(options) => simulate::run(&options),
    }
}
