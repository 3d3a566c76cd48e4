//! The house's own rules: what may stand at the top level, how long a file may be, what a file may not say, and which
//! crates are pure.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

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
/// Crates without I/O, whose manifests prove it.
const PURE: [&str; 3] = ["domain", "calendar", "careplan"];
const IMPURE: [&str; 7] = ["tokio", "sqlx", "tonic", "axum", "reqwest", "hyper", "runtime"];
const SERVICES: [&str; 4] = ["availability", "booking", "gateway", "reminder"];
const LINES_MAX: usize = 400;
/// Whose files are measured and read.
const SOURCES: [&str; 7] = ["rs", "proto", "sql", "toml", "sh", "md", "yml"];
/// Not measured: their length is their data's.
const LONG: [&str; 4] = ["sql", "toml", "md", "yml"];

/// What no file says, and why. Each is written in two parts, so that this file does not say it.
const FORBIDDEN: [(&str, &str, &str); 6] = [
    ("#[ign", "ore]", "a test that does not run shows nothing"),
    ("#[al", "low(", "write #[expect(lint, reason = \"…\")]"),
    ("TO", "DO", "do it, or write an issue"),
    ("FIX", "ME", "mend it, or write an issue"),
    ("/home", "/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
];

/// Checks the rules.
///
/// # Errors
/// Lists everything that breaks one.
pub(crate) fn check() -> Result<()> {
    let broken = broken(Path::new("."))?;
    if broken.is_empty() { Ok(()) } else { bail!("the house's rules are broken:\n  {}", broken.join("\n  ")) }
}

fn broken(top: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for entry in fs::read_dir(top)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let known = name.starts_with('.') || TOP.contains(&name.as_str()) || MADE.contains(&name.as_str());
        if !known {
            broken.push(format!("{name}: does not belong at the top level"));
        }
    }
    let mut sources = Vec::new();
    for folder in ["crates", "services", "tests", "proto", "deploy"] {
        find(&top.join(folder), &mut sources)?;
    }
    for path in &sources {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        lengths(path, &text, &mut broken);
        words(path, &text, &mut broken);
    }
    for name in PURE {
        pure(&top.join("crates").join(name).join("Cargo.toml"), &mut broken)?;
    }
    for name in SERVICES {
        if !top.join("services").join(name).join("DECISIONS.md").is_file() {
            broken.push(format!("services/{name}: has no DECISIONS.md"));
        }
    }
    broken.sort();
    Ok(broken)
}

fn find(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, sources)?;
        } else if has_extension(&path, &SOURCES) {
            sources.push(path);
        }
    }
    Ok(())
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| extensions.contains(&extension))
}

fn lengths(path: &Path, text: &str, broken: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LINES_MAX && !has_extension(path, &LONG) {
        broken.push(format!("{}: {lines} lines; a file over {LINES_MAX} wants to be two", path.display()));
    }
}

fn words(path: &Path, text: &str, broken: &mut Vec<String>) {
    for (number, line) in (1..).zip(text.lines()) {
        for (first, second, why) in FORBIDDEN {
            if line.find(first).is_some_and(|at| line[at + first.len()..].starts_with(second)) {
                broken.push(format!("{}:{number}: says {first}{second}: {why}", path.display()));
            }
        }
    }
}

fn pure(manifest: &Path, broken: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(manifest).with_context(|| format!("{} cannot be read", manifest.display()))?;
    let section = text.split("\n[").find_map(|part| part.strip_prefix("dependencies]")).unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    for name in names.filter(|name| IMPURE.contains(name)) {
        broken.push(format!("{}: a pure crate does not depend on {name}", manifest.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A house that breaks no rule.
    fn house() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        for name in PURE {
            let folder = top.path().join("crates").join(name);
            fs::create_dir_all(&folder).unwrap();
            let manifest = "[package]\nname = \"x\"\n\n[dependencies]\njiff.workspace = true\n\n[dev-dependencies]\ntokio = \"1\"\n";
            fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        }
        for name in SERVICES {
            let folder = top.path().join("services").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("DECISIONS.md"), "").unwrap();
        }
        top
    }

    #[test]
    fn each_rule_can_be_broken() {
        let top = house();
        assert_eq!(broken(top.path()).unwrap(), Vec::<String>::new());
        let write = |path: &str, text: &str| fs::write(top.path().join(path), text).unwrap();
        let long = "\n".repeat(LINES_MAX + 1);
        write("notes.txt", "");
        write("services/booking/long.rs", &long);
        write("services/booking/long.sql", &long);
        write("services/booking/word.rs", &format!("fn a() {{}}\n// {}{} later", "TO", "DO"));
        write("crates/domain/Cargo.toml", "[package]\n\n[dependencies]\nsqlx.workspace = true\n");
        fs::remove_file(top.path().join("services/gateway/DECISIONS.md")).unwrap();
        let found = broken(top.path()).unwrap();
        let rules = ["top level", "wants to be two", "word.rs:2", "does not depend on sqlx", "has no DECISIONS.md"];
        assert_eq!(found.len(), rules.len(), "{found:#?}");
        for rule in rules {
            assert!(found.iter().any(|line| line.contains(rule)), "{rule}: {found:#?}");
        }
    }
}
