//! The graph of a service's top-level modules, read from their imports, and its cycles.
//!
//! A module has an edge to each module that a path in it names: `crate::store::Batch` in `src/plans/book.rs` is an edge
//! from `plans` to `store`. Tests have no edges.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use anyhow::{Context, Result};

/// The largest cycle that is allowed: two modules that import each other.
const CYCLE_MAX: usize = 2;

/// The modules of one service and, for each, the modules that it imports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Reads the sources of one crate.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn read(src: &Path) -> Result<Self> {
        let modules: BTreeSet<String> = entries(src)?.iter().filter_map(|path| module_name(path)).collect();
        let mut graph = Self::default();
        for module in &modules {
            let mut edges = BTreeSet::new();
            let file = src.join(module).with_extension("rs");
            if file.is_file() {
                add_file(&file, 1, &modules, &mut edges)?;
            }
            add_folder(&src.join(module), 1, &modules, &mut edges)?;
            edges.remove(module);
            graph.edges.insert(module.clone(), edges);
        }
        Ok(graph)
    }

    /// The sets of more than two modules that all reach each other.
    pub(crate) fn cycles(&self) -> Vec<BTreeSet<String>> {
        let reach: BTreeMap<&String, BTreeSet<&String>> =
            self.edges.keys().map(|module| (module, self.reached_from(module))).collect();
        let mut cycles: Vec<BTreeSet<String>> = Vec::new();
        for (module, reached) in &reach {
            let cycle: BTreeSet<String> = reached
                .iter()
                .filter(|other| reach[**other].contains(*module))
                .map(|other| (*other).clone())
                .chain([(*module).clone()])
                .collect();
            if cycle.len() > CYCLE_MAX && !cycles.contains(&cycle) {
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// The modules that a module imports.
    pub(crate) fn imports_of(&self, module: &str) -> impl Iterator<Item = &String> {
        self.edges.get(module).into_iter().flatten()
    }

    /// One line for each module: its name and its imports.
    pub(crate) fn render(&self) -> String {
        let width = self.edges.keys().map(String::len).max().unwrap_or_default();
        let mut text = String::new();
        for (module, edges) in &self.edges {
            let names: Vec<&str> = edges.iter().map(String::as_str).collect();
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {module:width$} -> {}", names.join(" "));
        }
        text
    }

    fn reached_from(&self, module: &str) -> BTreeSet<&String> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![module]);
        while let Some(next) = open.pop() {
            for other in self.edges.get(next).into_iter().flatten() {
                if reached.insert(other) {
                    open.push(other);
                }
            }
        }
        reached
    }
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(read.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
}

/// The module that a file or folder directly under `src` is.
fn module_name(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    let is_source = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
    (is_source && !["lib", "main", "tests"].contains(&name)).then(|| name.to_owned())
}

fn add_folder(folder: &Path, depth: usize, modules: &BTreeSet<String>, edges: &mut BTreeSet<String>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for path in entries(folder)? {
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "tests" || name.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            add_folder(&path, depth + 1, modules, edges)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            add_file(&path, if name == "mod" { depth } else { depth + 1 }, modules, edges)?;
        }
    }
    Ok(())
}

/// Adds the edges of one file; `depth` counts the `super` from it to the crate's root.
fn add_file(path: &Path, depth: usize, modules: &BTreeSet<String>, edges: &mut BTreeSet<String>) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let root = "super::".repeat(depth);
    for prefix in ["crate::", root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            let is_path_start = before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != ':');
            if is_path_start {
                edges.extend(first_names(&code[at + prefix.len()..]).filter(|name| modules.contains(name)));
            }
        }
    }
    Ok(())
}

/// The first names of a path, or of each path in a braced group: `{a::b, c::{d, e}}` gives `a` and `c`.
fn first_names(text: &str) -> impl Iterator<Item = String> {
    let name_of = |text: &str| text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    let mut names: Vec<String> = Vec::new();
    match text.strip_prefix('{') {
        None => names.push(name_of(text)),
        Some(group) => {
            let (mut depth, mut starts) = (0, true);
            for (at, letter) in group.char_indices() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => starts = true,
                    letter if starts && depth == 0 && !letter.is_whitespace() => {
                        names.push(name_of(&group[at..]));
                        starts = false;
                    }
                    _ => {}
                }
            }
        }
    }
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(files: &[(&str, &str)]) -> Graph {
        let top = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Graph::read(top.path()).unwrap()
    }

    #[test]
    fn paths_and_groups_are_edges_and_tests_are_not() {
        let found = graph(&[
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            ("a.rs", "use crate::{\n    Inner,\n    b::{self, crate_like},\n    c,\n};\n// crate::e is far away\n"),
            ("b/mod.rs", "use super::c::Thing;\n"),
            ("b/deep.rs", "use super::super::d;\nuse super::e;\n"),
            ("b/more/mod.rs", "use super::super::c;\nuse super::a;\n"),
            ("c.rs", "fn f() { crate::d::g() }\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n"),
            ("c/tests.rs", "use crate::e;"),
            ("d.rs", ""),
            ("e.rs", ""),
        ]);
        assert_eq!(found.render(), "  a -> b c\n  b -> c d\n  c -> d\n  d -> \n  e -> \n");
        assert_eq!(found.cycles(), Vec::<BTreeSet<String>>::new());
        assert_eq!(found.imports_of("b").collect::<Vec<_>>(), ["c", "d"]);
    }

    #[test]
    fn two_modules_may_form_a_cycle_and_three_may_not() {
        let two = [("lib.rs", ""), ("a.rs", "use crate::b;"), ("b.rs", "use crate::a;"), ("c.rs", "use crate::a;")];
        assert_eq!(graph(&two).cycles(), Vec::<BTreeSet<String>>::new());
        let three = [
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::a;"),
            ("d.rs", "use crate::a;"),
        ];
        let cycle: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(graph(&three).cycles(), [cycle]);
    }
}
