//! Python's own libraries as judges of what the product writes: another hand's reading of a standard.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Runs a script with a package of PyPI at hand, `NAME==VERSION`; answers what it printed. The package lives in a virtual
/// environment of its own below `folder`, made once.
///
/// # Errors
/// Where Python or the package cannot be had, or the script fails: holds what it wrote.
pub fn run(folder: &Path, package: &str, script: &str, input: &[u8]) -> Result<String> {
    let python = environment(folder, package)?.join("bin/python");
    let mut command = Command::new(python);
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("python cannot be run")?;
    child.stdin.take().context("standard input is piped")?.write_all(input)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Made beside its place and then moved there, so that two tests that make it at once do not meet in it.
fn environment(folder: &Path, package: &str) -> Result<PathBuf> {
    let place = folder.join("python").join(package);
    if place.join("bin/python").exists() {
        return Ok(place);
    }
    let parent = folder.join("python");
    fs::create_dir_all(&parent)?;
    let lock = fs::File::create(parent.join("lock"))?;
    lock.lock()?;
    if !place.join("bin/python").exists() {
        let fresh = parent.join("fresh");
        let help = "install Python 3.10 or newer with venv (Debian or Ubuntu: apt-get install python3-venv)";
        done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&fresh)).context(help)?;
        done(Command::new(fresh.join("bin/python")).args(["-m", "pip", "install", "--quiet", package]))?;
        fs::rename(fresh, &place)?;
    }
    Ok(place)
}

fn done(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
