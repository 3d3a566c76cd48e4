//! The repository's own rules: the entries of the top level, the length of files, forbidden texts, pure crates, the module
//! layers of each service, and dependencies, paths and configuration keys that do not exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{config_reference, metrics_page, module_graph::Graph, readme_paths, unused_dependencies};

/// The entries of the top level, besides dotfiles.
const TOP_LEVEL: [&str; 10] = [
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
/// Written by builds and runs, and ignored by git.
const GENERATED: [&str; 2] = ["target", "meridian-data"];
/// Crates without I/O, whose manifests prove it.
const PURE: [&str; 5] = ["domain", "calendar", "careplan", "locale", "web"];
const IMPURE: [&str; 7] = ["tokio", "sqlx", "tonic", "axum", "reqwest", "hyper", "runtime"];
const SERVICES: [&str; 4] = ["availability", "booking", "gateway", "reminder"];
const LINES_MAX: usize = 400;
/// Extensions of the files that are read.
const SOURCES: [&str; 7] = ["rs", "proto", "sql", "toml", "sh", "md", "yml"];
/// Extensions without a limit of lines, since their length is that of their data.
const LONG: [&str; 4] = ["sql", "toml", "md", "yml"];

/// Forbidden texts with their reasons. Each is written in two parts, so that this file does not contain it.
const FORBIDDEN: [(&str, &str, &str); 8] = [
    ("#[ign", "ore]", "a test that does not run shows nothing"),
    ("#[al", "low(", "write #[expect(lint, reason = \"…\")]"),
    ("TO", "DO", "do it, or write an issue"),
    ("FIX", "ME", "mend it, or write an issue"),
    ("/home", "/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("SELECT", " *", "name the columns: a new one must not change what a statement answers"),
    ("RETURNING", " *", "name the columns: a new one must not change what a statement answers"),
];

/// At the root of each crate, not in the workspace's lints: those would hold for integration tests, too.
const UNWRAP_LINT: &str = "#![warn(clippy::unwrap_used)]";

/// Names that the field's words have replaced, and that no path and no definition may have again.
const RETIRED: [&str; 21] = [
    "again", "crowds", "fences", "ground", "guinea", "hear", "heard", "house", "laid", "lay", "laying", "moments",
    "news", "roads", "shown", "stand_in", "taker", "taking", "told", "way", "ways",
];
/// The keywords before the name of an item. Local variables may have any name.
const DEFINING: [&str; 7] = ["const", "enum", "fn", "mod", "struct", "trait", "type"];

/// Checks the rules.
///
/// # Errors
/// Lists all violations.
pub(crate) fn check() -> Result<()> {
    let violations = violations(Path::new("."))?;
    if violations.is_empty() {
        Ok(())
    } else {
        bail!("these rules of the repository are violated:\n  {}", violations.join("\n  "))
    }
}

/// Prints the module graph of each service, with its knots.
///
/// # Errors
/// When a source cannot be read.
pub(crate) fn print_graphs() -> Result<()> {
    for service in SERVICES {
        let graph = Graph::read(&Path::new("services").join(service).join("src"))?;
        println!("services/{service}\n{}", graph.render());
        for knot in graph.cycles() {
            println!("  knot: {}", knot.into_iter().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(())
}

fn violations(top: &Path) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for entry in fs::read_dir(top)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let known = name.starts_with('.') || TOP_LEVEL.contains(&name.as_str()) || GENERATED.contains(&name.as_str());
        if !known {
            violations.push(format!("{name}: does not belong at the top level"));
        }
    }
    let mut sources = Vec::new();
    for folder in ["crates", "services", "tests", "proto", "deploy"] {
        find(&top.join(folder), &mut sources)?;
    }
    for path in &sources {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        if is_crate_root(path) && !text.contains(UNWRAP_LINT) {
            violations.push(format!("{}: lacks {UNWRAP_LINT}", path.display()));
        }
        lengths(path, &text, &mut violations);
        forbidden_texts(path, &text, &mut violations);
        retired_names(top, path, &text, &mut violations);
    }
    for name in PURE {
        pure(&top.join("crates").join(name).join("Cargo.toml"), &mut violations)?;
    }
    for name in SERVICES {
        if !top.join("services").join(name).join("DECISIONS.md").is_file() {
            violations.push(format!("services/{name}: has no DECISIONS.md"));
        }
        let src = top.join("services").join(name).join("src");
        if src.is_dir() {
            layers(name, &Graph::read(&src)?, &mut violations);
        }
    }
    violations.extend(unused_dependencies::unused(top)?);
    violations.extend(readme_paths::missing(top)?);
    violations.extend(config_reference::stale(top)?);
    violations.extend(metrics_page::differences(top)?);
    violations.sort();
    Ok(violations)
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

/// Whether a file is the root of a crate in `crates` or `services`.
fn is_crate_root(path: &Path) -> bool {
    let mut parts = path.iter().rev().filter_map(|part| part.to_str());
    let [file, src, _, folder] = [(); 4].map(|()| parts.next().unwrap_or_default());
    ["lib.rs", "main.rs"].contains(&file) && src == "src" && ["crates", "services"].contains(&folder)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| extensions.contains(&extension))
}

fn lengths(path: &Path, text: &str, violations: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LINES_MAX && !has_extension(path, &LONG) {
        violations.push(format!("{}: {lines} lines; split a file over {LINES_MAX}", path.display()));
    }
}

fn forbidden_texts(path: &Path, text: &str, violations: &mut Vec<String>) {
    for (number, line) in (1..).zip(text.lines()) {
        for (first, second, why) in FORBIDDEN {
            // Not inside a word: `VTO` + `DO` is a component of iCalendar.
            let is_whole = |at: usize| {
                line[at + first.len()..].starts_with(second)
                    && !line[..at].chars().next_back().is_some_and(char::is_alphanumeric)
            };
            if line.match_indices(first).any(|(at, _)| is_whole(at)) {
                violations.push(format!("{}:{number}: contains {first}{second}: {why}", path.display()));
            }
        }
    }
}

/// No folder, file or definition has a retired name.
fn retired_names(top: &Path, path: &Path, text: &str, violations: &mut Vec<String>) {
    let below_top = path.strip_prefix(top).unwrap_or(path);
    let stems = below_top.iter().filter_map(|part| Path::new(part).file_stem()?.to_str());
    for stem in stems.filter(|stem| RETIRED.contains(stem)) {
        violations.push(format!("{}: `{stem}` is a retired name", path.display()));
    }
    if !has_extension(path, &["rs"]) {
        return;
    }
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        let words: Vec<&str> = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
        let defined = words.windows(2).filter(|pair| DEFINING.contains(&pair[0])).map(|pair| pair[1]);
        for name in defined.filter(|name| RETIRED.contains(&name.to_lowercase().as_str())) {
            violations.push(format!("{}:{number}: `{name}` is a retired name", path.display()));
        }
    }
}

/// A service's modules form no knot, a cycle of more than two, and its store imports nothing that lies above it.
fn layers(service: &str, graph: &Graph, violations: &mut Vec<String>) {
    let knotted = graph.cycles().into_iter().flatten();
    let knotted = knotted.map(|module| format!("{module} reaches itself through other modules"));
    let above = graph.imports_of("store").map(|module| format!("{module} lies above `store`, which imports it"));
    for fault in knotted.chain(above) {
        violations.push(format!("services/{service}: {fault}; `cargo xtask check --graph` draws it"));
    }
}

fn pure(manifest: &Path, violations: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(manifest).with_context(|| format!("{} cannot be read", manifest.display()))?;
    let section = text.split("\n[").find_map(|part| part.strip_prefix("dependencies]")).unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    for name in names.filter(|name| IMPURE.contains(name)) {
        violations.push(format!("{}: a pure crate does not depend on {name}", manifest.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository that breaks no rule.
    fn repository() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        for name in PURE {
            let folder = top.path().join("crates").join(name);
            fs::create_dir_all(&folder).unwrap();
            let manifest = "[package]\nname = \"x\"\n\n[dependencies]\njiff.workspace = true\n\n[dev-dependencies]\ntokio = \"1\"\n";
            fs::write(folder.join("Cargo.toml"), manifest).unwrap();
            fs::write(folder.join("lib.rs"), "use jiff::Zoned;\nuse tokio::test;\n").unwrap();
        }
        for name in SERVICES {
            let folder = top.path().join("services").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("DECISIONS.md"), "").unwrap();
        }
        top
    }

    #[test]
    fn each_rule_can_be_violated() {
        let top = repository();
        assert_eq!(violations(top.path()).unwrap(), Vec::<String>::new());
        let write = |path: &str, text: &str| fs::write(top.path().join(path), text).unwrap();
        let long = "\n".repeat(LINES_MAX + 1);
        write("notes.txt", "");
        write("services/booking/long.rs", &long);
        write("services/booking/long.sql", &long);
        fs::create_dir(top.path().join("crates/careplan/src")).unwrap();
        write("crates/careplan/src/lib.rs", "//! Unwraps.\n");
        write("services/booking/word.rs", &format!("fn a() {{}}\n// {}{} later", "TO", "DO"));
        write("services/booking/query.rs", &format!("const A: &str = \"SELECT{} FROM a\";", " *"));
        write("services/booking/name.rs", "// as was told\nfn told() {}\nfn told_of() {}\n");
        fs::create_dir(top.path().join("services/booking/ground")).unwrap();
        write("services/booking/ground/a.rs", "");
        write("crates/domain/Cargo.toml", "[package]\n\n[dependencies]\nsqlx.workspace = true\n");
        write("crates/domain/lib.rs", "use sqlx::Row;\n");
        write("crates/calendar/lib.rs", "use tokio::test;\n");
        fs::remove_file(top.path().join("services/gateway/DECISIONS.md")).unwrap();
        let found = violations(top.path()).unwrap();
        let rules = [
            "top level",
            "split a file over",
            "lacks #![warn(clippy::unwrap_used)]",
            "word.rs:2",
            "query.rs:1",
            "name.rs:2: `told` is a retired name",
            "`ground` is a retired name",
            "does not depend on sqlx",
            "has no DECISIONS.md",
            "nothing uses jiff",
        ];
        assert_eq!(found.len(), rules.len(), "{found:#?}");
        for rule in rules {
            assert!(found.iter().any(|line| line.contains(rule)), "{rule}: {found:#?}");
        }
    }

    #[test]
    fn a_knot_and_a_store_that_imports_upwards_break_a_rule() {
        let src = tempfile::tempdir().unwrap();
        let arrows = [("a", "b"), ("b", "c"), ("c", "a"), ("store", "a"), ("d", "store"), ("e", "f"), ("f", "e")];
        for (from, to) in arrows {
            fs::write(src.path().join(from).with_extension("rs"), format!("use crate::{to}::Thing;\n")).unwrap();
        }
        let mut violations = Vec::new();
        layers("booking", &Graph::read(src.path()).unwrap(), &mut violations);
        let expected = ["a reaches itself", "b reaches itself", "c reaches itself", "a lies above `store`"];
        assert_eq!(violations.len(), expected.len(), "{violations:#?}");
        for (violation, part) in violations.iter().zip(expected) {
            assert!(violation.contains(part), "{violations:#?}");
        }
    }
}
