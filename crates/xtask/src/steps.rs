//! Steps with a heading and a time, and the commands that they run.

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, bail};

/// Runs one step under its heading.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let began = Instant::now();
    let value = work().with_context(|| format!("{name} failed"))?;
    println!("   {:.1} s", began.elapsed().as_secs_f64());
    Ok(value)
}

/// Runs a command that speaks for itself.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} cannot be run", shown(command)))?;
    if status.success() { Ok(()) } else { bail!("{} failed ({status})", shown(command)) }
}

/// Runs cargo.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    run(Command::new("cargo").args(arguments))
}

/// Runs a command and gives what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{} cannot be run", shown(command)))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}):\n{error}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a cargo command is there.
pub(crate) fn has_cargo(command: &str) -> bool {
    Command::new("cargo").args([command, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// Whether the product is one that `MERIDIAN_BIN` names.
pub(crate) fn is_named() -> bool {
    std::env::var_os("MERIDIAN_BIN").is_some()
}

/// The product: `MERIDIAN_BIN`, else what this profile's build makes beside this very program.
pub(crate) fn built_product() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("MERIDIAN_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    Ok(own.parent().context("this program lies in no folder")?.join("meridian"))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
