//! `services/<service>/migrations/hashes.txt` holds one line for each file of SQL: its path and its SHA-256. The crate `sql`
//! has one for the function that all services share.
//!
//! A migration has one line, for ever. A function has one line for each text that it ever had, the newest last: a database
//! never returns to an earlier text, so an earlier text must not come back.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use sha2::{Digest, Sha256};

use super::{SERVICES, folder, is_renewing};

#[test]
fn applied_migrations_are_not_edited() {
    let mut broken = Vec::new();
    let shared = folder("../crates/sql");
    for folder in SERVICES.map(folder).into_iter().chain([shared]) {
        let migrations = folder.join("migrations");
        let file = migrations.join("hashes.txt");
        let mut text = fs::read_to_string(&file).unwrap_or_default();
        let present = present(&migrations);
        if is_renewing() {
            let known = known(&text);
            let mut added = String::new();
            for (path, hash) in &present {
                let hashes = known.get(path.as_str()).map(Vec::as_slice).unwrap_or_default();
                if hashes.is_empty() || (is_function(path) && !hashes.contains(&hash.as_str())) {
                    writeln!(added, "{path} {hash}").unwrap();
                }
            }
            text += &added;
            fs::write(&file, &text).unwrap();
        }
        let of_folder = |fault| format!("{}: {fault}", folder.display());
        broken.extend(faults(&known(&text), &present).into_iter().map(of_folder));
    }
    assert!(broken.is_empty(), "\n  {}\n", broken.join("\n  "));
}

#[test]
fn an_edited_or_deleted_migration_and_an_earlier_function_are_faults() {
    let text = "a/0001.sql one\na/0002.sql two\nfunctions/f.sql old\nfunctions/f.sql new\n";
    let present = |files: &[(&str, &str)]| {
        files.iter().map(|(path, hash)| ((*path).to_owned(), (*hash).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let sound = present(&[("a/0001.sql", "one"), ("a/0002.sql", "two"), ("functions/f.sql", "new")]);
    assert_eq!(faults(&known(text), &sound), Vec::<String>::new());
    let changed = present(&[("a/0001.sql", "ONE"), ("a/0003.sql", "three"), ("functions/f.sql", "old")]);
    let faults = faults(&known(text), &changed);
    let begins: Vec<_> = faults.iter().map(|fault| fault.split(" (").next().unwrap()).collect();
    assert_eq!(
        begins,
        [
            "migrations/a/0001.sql was edited",
            "migrations/a/0003.sql has no hash",
            "migrations/functions/f.sql has an earlier text",
            "migrations/a/0002.sql was deleted",
        ]
    );
}

fn is_function(path: &str) -> bool {
    path.contains("functions/")
}

/// The hashes of each path, oldest first.
fn known(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut known = BTreeMap::<_, Vec<_>>::new();
    for (path, hash) in text.lines().filter_map(|line| line.split_once(' ')) {
        known.entry(path).or_default().push(hash);
    }
    known
}

/// The hash of each file under `migrations/`.
fn present(migrations: &Path) -> BTreeMap<String, String> {
    let mut present = BTreeMap::new();
    for folder in ["postgres", "postgres/functions", "sqlite"] {
        // Most services have no functions.
        let Ok(entries) = fs::read_dir(migrations.join(folder)) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let name = path.file_name().unwrap().to_string_lossy();
            let hash = Sha256::digest(fs::read(&path).unwrap()).iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            });
            present.insert(format!("{folder}/{name}"), hash);
        }
    }
    present
}

fn faults(known: &BTreeMap<&str, Vec<&str>>, present: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, hash) in present {
        let hashes = known.get(path.as_str()).map(Vec::as_slice).unwrap_or_default();
        if hashes.last() == Some(&hash.as_str()) {
            continue;
        }
        faults.push(if hashes.contains(&hash.as_str()) {
            format!("migrations/{path} has an earlier text (databases keep the later one: change a comment in it)")
        } else if hashes.is_empty() || is_function(path) {
            format!("migrations/{path} has no hash (run `cargo xtask schema`)")
        } else {
            format!(
                "migrations/{path} was edited (write a new migration; or, if no release holds it, delete its line in \
                 migrations/hashes.txt and run `cargo xtask schema`)"
            )
        });
    }
    let deleted = known.keys().filter(|path| !present.contains_key(**path) && !is_function(path));
    faults.extend(deleted.map(|path| format!("migrations/{path} was deleted (databases have applied it)")));
    faults
}
