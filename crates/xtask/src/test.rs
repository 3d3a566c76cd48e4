//! `cargo xtask test`: everything this project checks, cheapest first; the test runner has the last word.

use std::{process::Command, time::Instant};

use anyhow::{Result, bail};

use crate::{cluster::Cluster, house};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the tests: no format, lints or house rules.
    #[arg(long)]
    quick: bool,
    /// Passed on to the test runner, such as the name of a test.
    #[arg(trailing_var_arg = true)]
    filter: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// At the first step that fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.quick {
        step("format", || cargo(&["fmt", "--all", "--check"]))?;
        step("house rules", house::check)?;
        step("lints", || {
            cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
        })?;
    }
    step("build", || cargo(&["build", "--quiet", "--workspace", "--all-targets"]))?;
    let cluster = step_value("PostgreSQL", Cluster::start)?;
    let url = cluster.url();
    let mut command = Command::new("cargo");
    if has_nextest() {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--no-fail-fast"]);
    }
    command.args(&options.filter).env("MERIDIAN_TEST_DATABASE_URL", url);
    println!("== tests");
    let status = command.status();
    drop(cluster);
    if status?.success() { Ok(()) } else { bail!("tests failed") }
}

fn has_nextest() -> bool {
    Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    if Command::new("cargo").args(arguments).status()?.success() {
        return Ok(());
    }
    bail!("cargo {} failed", arguments.join(" "))
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    step_value(name, work)
}

fn step_value<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let began = Instant::now();
    let value = work()?;
    println!("   {:.1} s", began.elapsed().as_secs_f64());
    Ok(value)
}
