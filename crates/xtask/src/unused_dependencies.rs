//! Finds dependencies of a manifest that no source of its crate uses.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Used by generated code alone.
const GENERATED: [&str; 2] = ["prost-types", "tonic-prost"];

/// Lists every unused dependency: of each member of the workspace, and of the workspace's own table.
///
/// # Errors
/// When a manifest or a source cannot be read.
pub(crate) fn unused(top: &Path) -> Result<Vec<String>> {
    let (mut broken, mut used) = (Vec::new(), Vec::new());
    for manifest in manifests(top)? {
        let names = dependencies(&read(&manifest)?);
        let folder = manifest.parent().unwrap_or(top);
        let mut code = String::new();
        collect_code(folder, &mut code)?;
        for name in &names {
            let is_used = GENERATED.contains(&name.as_str()) || has_word(&code, &name.replace('-', "_"));
            if !is_used {
                broken.push(format!("{}: nothing uses {name}", manifest.display()));
            }
        }
        used.extend(names);
    }
    let table = top.join("Cargo.toml");
    if table.is_file() {
        let of_table = |head: &str| head == "[workspace.dependencies]";
        let unused = keys(&read(&table)?, of_table).into_iter().filter(|name| !used.contains(name));
        broken.extend(unused.map(|name| format!("{}: no member uses {name}", table.display())));
    }
    Ok(broken)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The manifests of all members.
fn manifests(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![top.join("tests/Cargo.toml")];
    for folder in ["crates", "services"] {
        let folder = top.join(folder);
        if folder.is_dir() {
            for entry in fs::read_dir(folder)? {
                found.push(entry?.path().join("Cargo.toml"));
            }
        }
    }
    found.retain(|path| path.is_file());
    found.sort();
    Ok(found)
}

/// The names in all sections of dependencies, those of one platform too.
fn dependencies(manifest: &str) -> Vec<String> {
    keys(manifest, |head| head.ends_with("dependencies]"))
}

/// The keys of the sections whose heads `is_wanted` selects.
fn keys(manifest: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let (mut keys, mut inside) = (Vec::new(), false);
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = is_wanted(line.trim());
        } else if let Some(key) = line.split(['.', ' ', '=', '#']).next().filter(|key| inside && !key.is_empty()) {
            keys.push(key.to_owned());
        }
    }
    keys
}

fn collect_code(folder: &Path, code: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_code(&path, code)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = read(&path)?;
            code.extend(text.lines().flat_map(|line| [line.split("//").next().unwrap_or_default(), "\n"]));
        }
    }
    Ok(())
}

/// Whether the code has this word.
fn has_word(code: &str, name: &str) -> bool {
    let is_part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    code.match_indices(name)
        .any(|(at, _)| !is_part(code[..at].chars().next_back()) && !is_part(code[at + name.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_no_source_names_is_found() {
        let top = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Cargo.toml",
            "[workspace.dependencies]\njiff = \"1\"\nuuid = \"1\"\nserde-json = \"1\"\nnix = \"1\"\nlost = \"1\"\n\n[profile.dev]\ndebug = 1\n",
        );
        let manifest = "[package]\nname = \"a\"\n\n[dependencies]\njiff.workspace = true\n# a comment\nserde-json = \"1\"\n\n[dev-dependencies]\nuuid = { workspace = true }\n\n[target.'cfg(unix)'.dependencies]\nnix.workspace = true\n";
        write("crates/a/Cargo.toml", manifest);
        write("crates/a/src/lib.rs", "use jiff::Zoned; // uuid\nfn not_uuid_either() {}\n");
        write("crates/a/tests/it.rs", "fn f() { serde_json::json!({}) }");
        let found = unused(top.path()).unwrap();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].ends_with("crates/a/Cargo.toml: nothing uses uuid"), "{found:#?}");
        assert!(found[1].ends_with("crates/a/Cargo.toml: nothing uses nix"), "{found:#?}");
        assert!(found[2].ends_with("Cargo.toml: no member uses lost"), "{found:#?}");
    }
}
