//! Buf's checks of `proto/`, by the rules that `proto/buf.yaml` chooses: `buf lint`, and `buf breaking` against the last
//! common commit with main. Buf comes from npm, so both run where Node is installed.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::steps::{output, run as run_command};

/// <https://www.npmjs.com/package/@bufbuild/buf>
const PACKAGE: &str = "@bufbuild/buf@1.75.0";
const FOLDER: &str = "proto";
/// The section of `buf.yaml` that chooses the rules of breaking changes.
const BREAKING: &str = "\nbreaking:";
/// The main branch: as a clone knows it, and in a repository without a remote.
const MAIN: [&str; 2] = ["origin/main", "main"];

/// Lints the contracts and compares them with those of main. Without npm it prints that it skips both; without a main
/// branch it skips the comparison.
///
/// # Errors
/// When a rule is broken, or the package cannot be installed.
pub(crate) fn check() -> Result<()> {
    let npm = Command::new("npm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !npm.is_ok_and(|status| status.success()) {
        println!("   skipped: npm is not installed");
        return Ok(());
    }
    buf(&["lint"])?;
    let Some(base) = MAIN.iter().find_map(|main| git(&["merge-base", "HEAD", main]).ok()) else {
        println!("   skipped buf breaking: there is no main branch to compare with");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    extract(base.trim(), folder.path())?;
    // Nothing was released before the rules of breaking changes were chosen, so earlier contracts bind nobody.
    let rules = std::fs::read_to_string(folder.path().join(FOLDER).join("buf.yaml")).unwrap_or_default();
    if !rules.contains(BREAKING) {
        println!("   skipped buf breaking: the last common commit with main is from before its rules");
        return Ok(());
    }
    buf(&["breaking", "--against", &folder.path().join(FOLDER).to_string_lossy()])
}

fn buf(arguments: &[&str]) -> Result<()> {
    let npm = ["exec", "--yes", "--loglevel=error", "--package", PACKAGE, "--", "buf"];
    run_command(Command::new("npm").args(npm).args(arguments).current_dir(FOLDER))
}

fn git(arguments: &[&str]) -> Result<String> {
    output(Command::new("git").args(arguments))
}

/// Extracts the contracts of a commit. A folder works where buf's own git input does not: in a linked worktree.
fn extract(commit: &str, folder: &Path) -> Result<()> {
    let archive = folder.join("proto.tar");
    run_command(Command::new("git").args(["archive", "--output"]).arg(&archive).args([commit, FOLDER]))?;
    run_command(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder))
}
