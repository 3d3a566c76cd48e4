//! `buf lint` over `proto/`, by the rules that `proto/buf.yaml` chooses. Buf comes from npm, so it runs where Node is.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::steps::run as run_command;

/// <https://www.npmjs.com/package/@bufbuild/buf>
const PACKAGE: &str = "@bufbuild/buf@1.75.0";

/// Lints the contracts; says so and passes where npm is missing.
///
/// # Errors
/// When a rule is broken, or the package cannot be installed.
pub(crate) fn lint() -> Result<()> {
    let npm = Command::new("npm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !npm.is_ok_and(|status| status.success()) {
        println!("   skipped: npm is not on this machine");
        return Ok(());
    }
    run_command(
        Command::new("npm")
            .args(["exec", "--yes", "--loglevel=error", "--package", PACKAGE, "--", "buf", "lint"])
            .current_dir("proto"),
    )
}
