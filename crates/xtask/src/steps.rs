//! Steps with a heading and a time, and the commands that they run.

use std::{
    path::PathBuf,
    process::Command,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// A step that takes longer says so at this interval.
const STILL_RUNNING: Duration = Duration::from_secs(60);

/// Runs one step: prints its name, says every minute that it is still running, and prints its seconds.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let began = Instant::now();
    let (ended, waiting) = mpsc::channel::<()>();
    let ticker = thread::spawn(move || {
        while waiting.recv_timeout(STILL_RUNNING) == Err(RecvTimeoutError::Timeout) {
            println!("   still running after {:.0} s", began.elapsed().as_secs_f64());
        }
    });
    let result = work();
    drop(ended);
    // The ticker cannot panic.
    let _ = ticker.join();
    let value = result.with_context(|| format!("{name} failed"))?;
    println!("   {:.1} s", began.elapsed().as_secs_f64());
    Ok(value)
}

/// Runs a command, whose output goes to this program's.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} cannot be run", command_line(command)))?;
    if status.success() { Ok(()) } else { bail!("{} failed ({status})", command_line(command)) }
}

/// Runs cargo.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    run(Command::new("cargo").args(arguments))
}

/// Runs a command and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{} cannot be run", command_line(command)))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}):\n{error}", command_line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether cargo has a command.
pub(crate) fn has_cargo(command: &str) -> bool {
    Command::new("cargo").args([command, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// Whether `MERIDIAN_BIN` names the product.
pub(crate) fn is_named() -> bool {
    std::env::var_os("MERIDIAN_BIN").is_some()
}

/// The product: `MERIDIAN_BIN`, or the binary of this build beside this program.
pub(crate) fn built_product() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("MERIDIAN_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    Ok(own.parent().context("this program is in no folder")?.join("meridian"))
}

/// The product: `MERIDIAN_BIN`, or the binary of this source, built where it is not fresh. It is built as the tests build it: a
/// package by itself has other features of its libraries, and would be compiled once more.
pub(crate) fn fresh_product() -> Result<PathBuf> {
    if !is_named() {
        cargo(&["build", "--quiet", "--workspace", "--bins"])?;
    }
    built_product()
}

/// The product: `MERIDIAN_BIN`, or the binary of a cargo profile.
pub(crate) fn product_of(profile: &str) -> Result<PathBuf> {
    if is_named() {
        return built_product();
    }
    // Each profile has its folder beside that of this program.
    let own = built_product()?;
    let target = own.ancestors().nth(2).context("this program is in no folder")?;
    Ok(target.join(profile).join("meridian"))
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
