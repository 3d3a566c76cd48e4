//! The project's own tasks: `cargo xtask test` checks everything.

mod cluster;
mod house;
mod test;

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
    /// Everything this project checks: format, lints, the house's own rules, and all tests on both engines.
    Test(test::Options),
    /// The house's own rules alone: the map of the top level, the size of files.
    Check,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Check => house::check(),
    }
}
