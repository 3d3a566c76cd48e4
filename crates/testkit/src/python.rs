//! Python libraries as independent implementations of a standard, against which tests compare the product.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Runs a script with a package of PyPI, `NAME==VERSION`; returns its output. The package's virtual environment below
/// `folder` is made once.
///
/// # Errors
/// When Python or the package is missing, or the script fails; the error holds its output.
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

/// Made in a temporary folder and then moved, so that concurrent tests never use a half-made one.
fn environment(folder: &Path, package: &str) -> Result<PathBuf> {
    let path = folder.join("python").join(package);
    if path.join("bin/python").exists() {
        return Ok(path);
    }
    let parent = folder.join("python");
    fs::create_dir_all(&parent)?;
    let lock = fs::File::create(parent.join("lock"))?;
    lock.lock()?;
    if !path.join("bin/python").exists() {
        let fresh = parent.join("fresh");
        let help = "install Python 3.10 or newer with venv (Debian or Ubuntu: apt-get install python3-venv)";
        run_checked(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&fresh)).context(help)?;
        run_checked(Command::new(fresh.join("bin/python")).args(["-m", "pip", "install", "--quiet", package]))?;
        fs::rename(fresh, &path)?;
    }
    Ok(path)
}

fn run_checked(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
