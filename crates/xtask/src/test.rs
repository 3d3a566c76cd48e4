//! `cargo xtask test`: everything this project checks, cheapest first; the test runner has the last word.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    postgres::{self, Options as ClusterOptions},
    proto_lint, repo_rules,
    steps::{built_product, cargo, has_cargo, run as run_command, step},
};

/// Names the cluster in which tests make their databases.
pub(crate) const DATABASE_VARIABLE: &str = "MERIDIAN_TEST_DATABASE_URL";

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the tests: no format, repository rules, lints or doc tests.
    #[arg(long)]
    quick: bool,
    /// Passed on to the test runner, such as a part of a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<String>,
}

/// Runs it; the code is the test runner's.
///
/// # Errors
/// At the first step that fails before the tests themselves.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !options.quick {
        step("tools", tools)?;
        step("format", || cargo(&["fmt", "--all", "--check"]))?;
        step("repository rules", repo_rules::check)?;
        step("proto lint", proto_lint::lint)?;
        step("lints", || {
            let lints = |targets: &[&str], levels: &[&str]| {
                let all = ["clippy", "--quiet", "--workspace", "--all-features"];
                cargo(&[&all, targets, &["--", "-D", "warnings"], levels].concat())
            };
            // Tests may unwrap: a panic is how a test fails.
            lints(&["--lib", "--bins"], &[]).and_then(|()| lints(&["--all-targets"], &["-A", "clippy::unwrap_used"]))
        })?;
    }
    step("build", || cargo(&["build", "--quiet", "--workspace", "--all-targets"]))?;
    if !options.quick {
        step("doc tests", || cargo(&["test", "--quiet", "--workspace", "--doc"]))?;
    }
    // A cluster that the caller names is used as it is.
    let named = std::env::var(DATABASE_VARIABLE).ok();
    let cluster = match named {
        Some(_) => None,
        None => Some(step("PostgreSQL", || postgres::start(ClusterOptions::default()))?),
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
    // Nothing is said after the test runner's own summary.
    Ok(if status?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A minimal toolchain lacks these two.
fn tools() -> Result<()> {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !has_cargo(command) {
            run_command(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}
