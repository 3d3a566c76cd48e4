//! READMEs name only what exists: every path in backticks, every relative link with its heading, every task; the page
//! of the tests and the table of threats also every test. Each threat names a test.
//!
//! A path in backticks is a text with a slash in it and without spaces, relative to the README, to the folder around it or
//! to the top of the repository. `{a,b}` stands for each of a list, `*` for any one entry. A numbered migration may be an
//! example: its folder must exist. A test is a name of at least four words.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::Arguments;

/// Where READMEs and guides are.
const ROOMS: [&str; 6] = [".github", "crates", "deploy", "proto", "services", "tests"];
/// The page that names tests.
const TESTS_PAGE: &str = "tests/README.md";
/// The page with the table of threats, whose rows name tests in their last cell, and the mark before the table.
const THREATS_PAGE: &str = "deploy/README.md";
const THREATS: &str = "<!-- threats -->\n";
const NAMES: [&str; 2] = ["README.md", "CONTRIBUTING.md"];
/// Media types begin with one of these.
const MEDIA: [&str; 2] = ["application/", "text/"];

/// Lists everything that a README names and that does not exist.
///
/// # Errors
/// When a README cannot be read.
pub(crate) fn missing(top: &Path) -> Result<Vec<String>> {
    let mut missing = unknown_tests(top)?;
    for path in pages(top)? {
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let folder = path.parent().unwrap_or(top).to_owned();
        let bases = [top, &folder, folder.parent().unwrap_or(top)];
        let page = path.strip_prefix(top).unwrap_or(&path).display();
        for quoted in quoted(&text) {
            let is_there = |path: &String| bases.iter().any(|base| exists(base, without_migration(path)));
            if is_path(quoted) && !expanded(quoted).iter().all(is_there) {
                missing.push(format!("{page}: there is no `{quoted}`"));
            }
        }
        for link in links(&text) {
            missing.extend(broken_link(&folder, &text, link).map(|why| format!("{page}: {why}")));
        }
        missing.extend(unknown_tasks(&text).map(|task| format!("{page}: there is no `cargo xtask {task}`")));
    }
    Ok(missing)
}

/// Every README and guide.
fn pages(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = NAMES.iter().map(|name| top.join(name)).filter(|page| page.is_file()).collect();
    let mut folders: Vec<PathBuf> = ROOMS.iter().map(|room| top.join(room)).filter(|room| room.is_dir()).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if NAMES.iter().any(|name| path.ends_with(name)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The texts in single backticks, outside fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    outside_fences(text).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

fn outside_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    })
}

fn is_path(quoted: &str) -> bool {
    // A capital letter begins a time zone or a gRPC method.
    let has_form = quoted.contains('/')
        && !quoted.starts_with(|first: char| first == '/' || first.is_ascii_uppercase())
        && quoted.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-{},*".contains(letter));
    has_form && MEDIA.iter().all(|beginning| !quoted.starts_with(beginning))
}

/// The paths that a text with `{a,b}` stands for.
fn expanded(path: &str) -> Vec<String> {
    let list = path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match list {
        None => vec![path.to_owned()],
        Some((before, (names, after))) => {
            names.split(',').flat_map(|name| expanded(&format!("{before}{name}{after}"))).collect()
        }
    }
}

/// A path without the numbered migration at its end.
fn without_migration(path: &str) -> &str {
    let is_number = |text: &str| text == "NNNN" || text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |name: &str| name.split_once('_').is_some_and(|(number, _)| number.len() == 4 && is_number(number));
    path.rsplit_once('/').filter(|(_, name)| number(name)).map_or(path, |(folder, _)| folder)
}

fn exists(folder: &Path, path: &str) -> bool {
    let mut found = vec![folder.to_owned()];
    for part in path.split('/').filter(|part| !part.is_empty()) {
        found = match part.split_once('*') {
            None => found.into_iter().map(|folder| folder.join(part)).filter(|path| path.exists()).collect(),
            Some((before, after)) => found.iter().flat_map(|folder| entries(folder, before, after)).collect(),
        };
    }
    !found.is_empty()
}

/// The entries of a folder whose names begin and end so.
fn entries(folder: &Path, before: &str, after: &str) -> Vec<PathBuf> {
    let Ok(read) = fs::read_dir(folder) else { return vec![] };
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(before) && name.ends_with(after)
    };
    read.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(fits).collect()
}

/// The targets of links and images.
fn links(text: &str) -> Vec<&str> {
    let targets = |line: &'_ str| line.match_indices("](").map(|(at, _)| at + 2).collect::<Vec<_>>();
    let target = |line: &'_ str, at: usize| line[at..].find(')').map(|length| at..at + length);
    outside_fences(text)
        .flat_map(|line| targets(line).into_iter().filter_map(move |at| line.get(target(line, at)?)))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// Why a relative link leads nowhere.
fn broken_link(folder: &Path, page: &str, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let text = match path {
        "" => page.to_owned(),
        path if !folder.join(path).exists() => return Some(format!("the link {link} leads to no file")),
        path if anchor.is_empty() || folder.join(path).is_dir() => return None,
        path => fs::read_to_string(folder.join(path)).unwrap_or_default(),
    };
    let is_there = anchor.is_empty() || anchors(&text).contains(anchor);
    (!is_there).then(|| format!("the link {link} leads to no heading"))
}

/// The anchors that forges give to headings: small letters, without punctuation, a hyphen for each space.
fn anchors(text: &str) -> HashSet<String> {
    let kept = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter => letter.is_alphanumeric().then_some(letter),
    };
    let anchor = |heading: &str| heading.trim().to_lowercase().chars().filter_map(kept).collect();
    let headings = outside_fences(text).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The tasks that a text calls and that this program does not have.
fn unknown_tasks(text: &str) -> impl Iterator<Item = &str> {
    let known: Vec<String> = Arguments::command().get_subcommands().map(|task| task.get_name().to_owned()).collect();
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let calls = text.match_indices("cargo xtask ").map(|(at, call)| &text[at + call.len()..]);
    let names = calls.map(move |rest| &rest[..rest.find(|letter| !is_name(letter)).unwrap_or(rest.len())]);
    names.filter(move |name| !name.is_empty() && !name.starts_with('-') && !known.iter().any(|task| task == name))
}

/// The tests that the page of the tests and the table of threats name and that do not exist, and the threats without a test.
fn unknown_tests(top: &Path) -> Result<Vec<String>> {
    let mut functions = HashSet::new();
    for room in ROOMS.iter().map(|room| top.join(room)).filter(|room| room.is_dir()) {
        collect_functions(&room, &mut functions)?;
    }
    let missing = |page: &str, text: &str| -> Vec<String> {
        let unknown = tests_in(text).into_iter().filter(|name| !functions.contains(*name));
        unknown.map(|name| format!("{page}: there is no test {name}")).collect()
    };
    let read = |page: &str| fs::read_to_string(top.join(page)).unwrap_or_default();
    let mut found = missing(TESTS_PAGE, &read(TESTS_PAGE));
    let threats = read(THREATS_PAGE);
    let (_, table) = threats.split_once(THREATS).unwrap_or_default();
    // Without its two lines of headings.
    for row in table.lines().take_while(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let tests = cells.last().copied().unwrap_or_default();
        if tests_in(tests).is_empty() {
            found.push(format!("{THREATS_PAGE}: no test shows the fence of: {}", cells[0]));
        }
        found.extend(missing(THREATS_PAGE, tests));
    }
    Ok(found)
}

/// The names in backticks that have the form of a test's.
fn tests_in(text: &str) -> Vec<&str> {
    let is_name = |name: &&str| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    let has_words = |name: &&str| name.matches('_').count() >= 3;
    quoted(text).into_iter().filter(is_name).filter(has_words).collect()
}

/// Adds the names of all functions in the sources below a folder.
fn collect_functions(folder: &Path, names: &mut HashSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_functions(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            let calls = text.split("fn ").skip(1).map(|rest| rest.split(|letter| !is_name(letter)).next());
            names.extend(calls.flatten().map(str::to_owned));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_readme_names_in_vain_is_found() {
        let top = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("services/booking/src/plans/book.rs", "");
        write("services/booking/src/plans/mod.rs", "async fn one_of_two_wins() {}");
        write("deploy/README.md", "# Operating\n## TLS, and `proxies`\n");
        let good = "See `services/booking/src/plans/book.rs`, `services/*/src/plans/{book,mod}.rs`, `GET /v1/slots`,\n\
                    `services/booking/src/plans/0002_x.sql`,\n\
                    `/docs`, `text/csv`, `Feed/Snapshot`, `postgres://host/name`, [operating](deploy/README.md#tls-and-proxies),\n\
                    [here](#one_two), [a site](https://example.org/x). Run `cargo xtask check`.\n# One_two!\n\
                    ```\n`services/none.rs` [x](none.md)\n```\n";
        write("README.md", good);
        write(TESTS_PAGE, "| a | `one_of_two_wins` |");
        write("services/README.md", "`booking/src/plans/book.rs` and `services/booking`\n");
        assert_eq!(missing(top.path()).unwrap(), Vec::<String>::new());
        write(
            "README.md",
            "`services/booking/src/gone.rs` `services/booking/src/plans/{book,gone}.rs` `crates/*/src` [a](gone.md)\n\
             [b](deploy/README.md#gone) [c](#gone) `cargo xtask gone`\n",
        );
        write(TESTS_PAGE, "| a | `one_of_two_loses` |");
        let found = missing(top.path()).unwrap();
        assert_eq!(found.len(), 8, "{found:#?}");
        assert!(found[0].ends_with("there is no test one_of_two_loses"), "{found:#?}");
        assert!(found[1].ends_with("there is no `services/booking/src/gone.rs`"), "{found:#?}");
        assert!(found[4].ends_with("the link gone.md leads to no file"), "{found:#?}");
        assert!(found[5].ends_with("the link deploy/README.md#gone leads to no heading"), "{found:#?}");
        assert!(found[6].ends_with("the link #gone leads to no heading"), "{found:#?}");
        assert!(found[7].ends_with("there is no `cargo xtask gone`"), "{found:#?}");
    }

    #[test]
    fn a_threat_without_an_existing_test_is_found() {
        let top = tempfile::tempdir().unwrap();
        for folder in ["deploy", "tests"] {
            fs::create_dir(top.path().join(folder)).unwrap();
        }
        fs::write(top.path().join("tests/a.rs"), "fn one_of_two_wins() {}").unwrap();
        let rows = "| a | `one_of_two_wins` | | `one_of_two_wins` |\n| b | | `one_of_two_wins` | none |\n\
                    | c | | | `one_of_two_wins`, `one_of_two_loses` |\n\n| `not_in_the_table` |\n";
        let page = format!("`not_a_test_either`\n{THREATS}| threat | fence | you | tests |\n|---|---|---|---|\n{rows}");
        fs::write(top.path().join(THREATS_PAGE), page).unwrap();
        let expected = ["no test shows the fence of: b", "there is no test one_of_two_loses"];
        assert_eq!(missing(top.path()).unwrap(), expected.map(|fault| format!("{THREATS_PAGE}: {fault}")));
    }
}
