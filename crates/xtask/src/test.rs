//! `cargo xtask test`: all checks of this project, cheapest first; the test runner's summary comes last.

use std::{
    io::{IsTerminal, stderr},
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::{
    openapi,
    postgres::{self, Options as ClusterOptions},
    proto_checks, repo_rules,
    steps::{built_product, cargo, has_cargo, run as run_command, step},
    timings,
};

/// Names the cluster in which tests make their databases.
pub(crate) const DATABASE_VARIABLE: &str = "MERIDIAN_TEST_DATABASE_URL";

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the tests: no format, repository rules, lints or doc tests.
    #[arg(long)]
    quick: bool,
    /// Print the ten slowest crates of the build and the ten slowest tests at the end.
    #[arg(long)]
    timings: bool,
    /// Passed on to the test runner, such as a part of a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<String>,
}

/// Runs the checks; the exit code is the test runner's.
///
/// # Errors
/// At the first step that fails before the tests.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !options.quick {
        step("tools: rustfmt and clippy", tools)?;
        step("format: cargo fmt --check", || cargo(&["fmt", "--all", "--check"]))?;
        step("repository rules: cargo xtask check", repo_rules::check)?;
        step("contracts: buf lint, buf breaking", proto_checks::check)?;
        step("lints: cargo clippy", lints)?;
    }
    let timings: &[&str] = if options.timings { &["--timings"] } else { &[] };
    step("build: cargo build --all-targets", || {
        cargo(&[&["build", "--workspace", "--all-targets"], quiet(), timings].concat())
    })?;
    if !options.quick {
        step("OpenAPI document: cargo xtask openapi", openapi::check)?;
        step("doc tests: cargo test --doc", || cargo(&[&["test", "--workspace", "--doc"], quiet()].concat()))?;
    }
    step("libfaketime and PgBouncer: for the tests that need them", postgres::install_test_programs)?;
    // A cluster that the caller names is used as it is.
    let named = std::env::var(DATABASE_VARIABLE).ok();
    let cluster = match named {
        Some(_) => None,
        None => Some(step("PostgreSQL: a private cluster", || postgres::start(ClusterOptions::default()))?),
    };
    let mut command = Command::new("cargo");
    if has_cargo("nextest") {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
    }
    command.args(&options.filter).env("MERIDIAN_BIN", built_product()?);
    if let Some(cluster) = &cluster {
        command.env(DATABASE_VARIABLE, cluster.url());
    }
    println!("== tests");
    let status = command.status();
    drop(cluster);
    // Without `--timings`, the test runner's own summary is the end of the output.
    if options.timings {
        timings::print_crates()?;
        timings::print_tests()?;
    }
    Ok(if status?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs the components that a minimal toolchain lacks.
fn tools() -> Result<()> {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !has_cargo(command) {
            run_command(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

fn lints() -> Result<()> {
    let all = ["clippy", "--workspace", "--all-features", "--all-targets"];
    cargo(&[&all, quiet(), &["--", "-D", "warnings"]].concat())
}

/// Cargo's progress is for a terminal; a log has the steps alone.
fn quiet() -> &'static [&'static str] {
    if stderr().is_terminal() { &[] } else { &["--quiet"] }
}
