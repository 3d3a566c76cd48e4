//! The house's own rules: what may stand at the top level, and how long a file may be.

use std::{fs, path::Path};

use anyhow::{Result, bail};

const TOP: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "crates",
    "deploy",
    "docker-compose.yml",
    "proto",
    "services",
    "tests",
];
/// Made by building and running; not part of the house.
const MADE: [&str; 2] = ["target", "meridian-data"];
const LINES_MAX: usize = 420;

/// Checks the rules.
///
/// # Errors
/// Lists everything that breaks one.
pub(crate) fn check() -> Result<()> {
    let mut broken = Vec::new();
    for entry in fs::read_dir(".")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let known = name.starts_with('.') || TOP.contains(&name.as_str()) || MADE.contains(&name.as_str());
        if !known {
            broken.push(format!("{name}: does not belong at the top level"));
        }
    }
    for folder in ["crates", "services", "tests"] {
        lengths(Path::new(folder), &mut broken)?;
    }
    if broken.is_empty() { Ok(()) } else { bail!("the house's rules are broken:\n  {}", broken.join("\n  ")) }
}

fn lengths(folder: &Path, broken: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            lengths(&path, broken)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = fs::read_to_string(&path)?.lines().count();
            if lines > LINES_MAX {
                broken.push(format!("{}: {lines} lines; a file over 400 wants to be two", path.display()));
            }
        }
    }
    Ok(())
}
