//! `cargo xtask schema`: writes `services/*/schema/*.sql` from the migrations, and the hashes of new SQL files.

use std::process::Command;

use anyhow::Result;

use crate::steps::run as run_command;

/// Makes the tests write the files that they otherwise compare.
const RENEW_VARIABLE: &str = "MERIDIAN_RENEW_SCHEMA";

/// Writes the files.
///
/// # Errors
/// When a migration fails, or an applied migration was edited or deleted.
pub(crate) fn renew() -> Result<()> {
    run_command(
        Command::new("cargo").args(["test", "--quiet", "--workspace", "--test", "schema"]).env(RENEW_VARIABLE, "1"),
    )
}
