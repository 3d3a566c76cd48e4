//! The table of configuration keys in `deploy/README.md`, made from the code.
//!
//! Keys and meanings are read from the doc comments of the configuration structs, defaults from `meridian config`. The
//! check compares keys and meanings only, so that it needs no build; a test of the `meridian` crate compares the
//! defaults.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use syn::{Attribute, Expr, Fields, GenericArgument, Item, ItemStruct, Lit, Meta, PathArguments, PathSegment, Type};

use crate::steps::{fresh_product, output};

/// The file with the table, and the markers around it.
const PAGE: &str = "deploy/README.md";
const BEGIN: &str = "<!-- configuration: written by `cargo xtask config-reference` -->";
const END: &str = "<!-- end of configuration -->";
const MEND: &str = "run `cargo xtask config-reference`";

/// The crate and the name of the struct that holds the whole configuration.
const ROOT: (&str, &str) = ("meridian", "Config");
/// Crates with configuration structs, and where their sources are.
const CRATES: [(&str, &str); 6] = [
    ("meridian", "services/meridian/src"),
    ("availability", "services/availability/src"),
    ("booking", "services/booking/src"),
    ("gateway", "services/gateway/src"),
    ("reminder", "services/reminder/src"),
    ("runtime", "crates/runtime/src"),
];
/// A configuration struct stands in a file or folder of one of these names.
const FOLDERS: [&str; 2] = ["config", "telemetry"];

/// One key: its name with dots, and its meaning in Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    name: String,
    meaning: String,
}

/// A section: its name with dots (empty for the root), its meaning, and its keys.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    name: String,
    meaning: String,
    keys: Vec<Key>,
}

/// Writes the table.
///
/// # Errors
/// When the code cannot be read or the product cannot be built.
pub(crate) fn write() -> Result<()> {
    let sections = sections(Path::new("."))?;
    let defaults = defaults(&fresh_product()?)?;
    let page = fs::read_to_string(PAGE).with_context(|| format!("{PAGE} cannot be read"))?;
    let (before, _, after) = parts(&page)?;
    fs::write(PAGE, format!("{before}{BEGIN}\n\n{}\n{END}{after}", drawn(&sections, &defaults)?))?;
    Ok(())
}

/// Lists every key whose row in the table is missing, stale or left over.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn stale(top: &Path) -> Result<Vec<String>> {
    let page = top.join(PAGE);
    if !page.is_file() {
        return Ok(vec![]);
    }
    let page = fs::read_to_string(page)?;
    let (_, table, _) = parts(&page)?;
    let written = rows(table);
    let keys: Vec<Key> = sections(top)?.into_iter().flat_map(|section| section.keys).collect();
    let mut stale = Vec::new();
    for key in &keys {
        match written.get(key.name.as_str()) {
            None => stale.push(format!("{PAGE}: lacks the key {}; {MEND}", key.name)),
            Some((_, meaning)) if *meaning != key.meaning => {
                stale.push(format!("{PAGE}: the meaning of {} has changed; {MEND}", key.name));
            }
            Some(_) => {}
        }
    }
    let left_over = written.keys().filter(|name| keys.iter().all(|key| key.name != **name));
    stale.extend(left_over.map(|name| format!("{PAGE}: there is no key {name}; {MEND}")));
    Ok(stale)
}

/// The page before the table, the table, and the page after it.
fn parts(page: &str) -> Result<(&str, &str, &str)> {
    let marked = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?)));
    let (before, (table, after)) = marked.with_context(|| format!("{PAGE} lacks the markers `{BEGIN}` and `{END}`"))?;
    Ok((before, table, after))
}

/// The default and the meaning of each key in a table.
fn rows(table: &str) -> BTreeMap<&str, (&str, &str)> {
    table.lines().filter_map(row).collect()
}

/// One row: the key, then its default and its meaning.
fn row(line: &str) -> Option<(&str, (&str, &str))> {
    let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
    let (default, meaning) = rest.strip_suffix(" |")?.split_once(" | ")?;
    Some((key, (default, meaning)))
}

/// The defaults by key, as TOML, from a product that is started without any configuration.
fn defaults(product: &Path) -> Result<HashMap<String, String>> {
    let folder = tempfile::tempdir()?;
    let product = fs::canonicalize(product)?;
    let mut command = Command::new(product);
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("MERIDIAN_"));
    ours.for_each(|name| {
        command.env_remove(name);
    });
    let printed = output(command.arg("config").current_dir(folder.path()))?;
    let pair = |line: &str| {
        let (key, value) = line.strip_suffix("  # default")?.split_once(" = ")?;
        Some((key.to_owned(), value.to_owned()))
    };
    Ok(printed.lines().filter_map(pair).collect())
}

fn drawn(sections: &[Section], defaults: &HashMap<String, String>) -> Result<String> {
    let mut text = String::new();
    for section in sections.iter().filter(|section| !section.keys.is_empty()) {
        let name = if section.name.is_empty() { "Top level".to_owned() } else { format!("`{}`", section.name) };
        writeln!(text, "#### {name}\n\n{}\n\n| key | default | meaning |\n|---|---|---|", section.meaning)?;
        for Key { name, meaning } in &section.keys {
            let default = defaults.get(name).map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
            writeln!(text, "| `{name}` | {default} | {meaning} |")?;
        }
        text.push('\n');
    }
    Ok(text.trim_end().to_owned() + "\n")
}

/// The configuration's structs by crate and name.
type Structs = HashMap<(String, String), ItemStruct>;

/// Every section, the root first, in the order of the code.
fn sections(top: &Path) -> Result<Vec<Section>> {
    let mut structs = Structs::new();
    for (name, src) in CRATES {
        for path in config_files(&top.join(src))? {
            let text = fs::read_to_string(&path)?;
            let file = syn::parse_file(&text).with_context(|| format!("{} cannot be read", path.display()))?;
            structs.extend(file.items.into_iter().filter_map(|item| match item {
                Item::Struct(item) => Some(((name.to_owned(), item.ident.to_string()), item)),
                _ => None,
            }));
        }
    }
    let root = (ROOT.0.to_owned(), ROOT.1.to_owned());
    let root = structs.get(&root).with_context(|| format!("{}::{} is not found", ROOT.0, ROOT.1))?;
    let mut sections = vec![Section { meaning: docs(&root.attrs), ..Section::default() }];
    Walk { structs: &structs, sections: &mut sections }.fields(0, ROOT.0, root, None)?;
    Ok(folded(sections))
}

/// Puts the key of a section with one key into the section around it.
fn folded(mut sections: Vec<Section>) -> Vec<Section> {
    for at in (1..sections.len()).rev() {
        if sections[at].keys.len() != 1 {
            continue;
        }
        let around = sections[at].name.rsplit_once('.').map_or("", |(around, _)| around).to_owned();
        if let Some(outer) = sections.iter().position(|section| section.name == around) {
            let keys = std::mem::take(&mut sections[at].keys);
            sections[outer].keys.extend(keys);
        }
    }
    sections
}

/// The sources of a crate that may hold configuration structs.
fn config_files(src: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in FOLDERS {
        let file = src.join(name).with_extension("rs");
        found.extend(file.is_file().then_some(file));
        let folder = src.join(name);
        if folder.is_dir() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "rs") {
                    found.push(path);
                }
            }
        }
    }
    Ok(found)
}

/// Goes through the structs from the root down.
struct Walk<'a> {
    structs: &'a Structs,
    sections: &'a mut Vec<Section>,
}

impl Walk<'_> {
    /// Adds the keys of one struct of one crate to a section; a generic struct's parameter stands for `argument`.
    fn fields(&mut self, section: usize, of: &str, item: &ItemStruct, argument: Option<(&str, &Type)>) -> Result<()> {
        let Fields::Named(fields) = &item.fields else { bail!("{} has no named fields", item.ident) };
        let parameter = item.generics.type_params().next().map(|parameter| parameter.ident.to_string());
        for field in &fields.named {
            let name = field.ident.as_ref().context("a field has no name")?.to_string();
            let prefix = &self.sections[section].name;
            let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            let meaning = docs(&field.attrs);
            let is_parameter =
                |ty: &Type| parameter.is_some() && parameter == last(ty).map(|last| last.ident.to_string());
            let (of, ty) = argument.filter(|_| is_parameter(&field.ty)).unwrap_or((of, &field.ty));
            match self.resolve(of, ty) {
                None => {
                    if meaning.is_empty() {
                        bail!("{name} has no doc comment: the configuration reference is made of them");
                    }
                    self.sections[section].keys.push(Key { name, meaning });
                }
                Some((inner_crate, inner)) => {
                    let argument = type_argument(ty).map(|ty| (of, ty));
                    let section = if is_flat(&field.attrs) {
                        section
                    } else {
                        let meaning = if meaning.is_empty() { docs(&inner.attrs) } else { meaning };
                        self.sections.push(Section { name, meaning, keys: vec![] });
                        self.sections.len() - 1
                    };
                    self.fields(section, &inner_crate, &inner, argument)?;
                }
            }
        }
        Ok(())
    }

    /// The configuration struct that a type names, and its crate; none where the type is a value.
    fn resolve(&self, of: &str, ty: &Type) -> Option<(String, ItemStruct)> {
        let Type::Path(path) = ty else { return None };
        let first = path.path.segments.first()?.ident.to_string();
        let of = if CRATES.iter().any(|(name, _)| *name == first) { first } else { of.to_owned() };
        let item = self.structs.get(&(of.clone(), last(ty)?.ident.to_string()))?;
        Some((of, item.clone()))
    }
}

fn last(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The `T` of `Some<T>`.
fn type_argument(ty: &Type) -> Option<&Type> {
    match &last(ty)?.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        }),
        _ => None,
    }
}

/// Whether serde puts a struct's fields in the place of the field.
fn is_flat(attributes: &[Attribute]) -> bool {
    let says = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("serde") && list.tokens.to_string().contains("flatten"),
        _ => false,
    };
    attributes.iter().any(says)
}

/// A doc comment as one line that a table can hold.
fn docs(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    lines.join(" ").trim().replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT_FILE: &str = "
        /// All of it.
        struct Config {
            /// Where to listen.
            listen: String,
            /// Spans | logs.
            telemetry: runtime::telemetry::Config,
            booking: Service<booking::Config>,
        }
        /// A service's section.
        struct Service<T> {
            database: Database,
            #[serde(flatten)]
            service: T,
        }
        /// A database.
        struct Database {
            /// Its URL,
            /// or none.
            url: Option<String>,
        }
    ";

    fn repository(page: &str) -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("services/meridian/src/config.rs", ROOT_FILE);
        write("services/booking/src/config.rs", "struct Config {\n /// Days.\n link_days: u32 }");
        write(
            "crates/runtime/src/telemetry/mod.rs",
            "struct Config {\n /// `text` or `json`.\n log: LogFormat,\n /// Which ones.\n filter: String }",
        );
        write(PAGE, page);
        top
    }

    #[test]
    fn sections_keys_and_meanings_come_from_the_code() {
        let top = repository("");
        let found = sections(top.path()).unwrap();
        let defaults = [("listen", "\"127.0.0.1:8080\""), ("booking.link_days", "30")];
        let defaults = defaults.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let heading = "| key | default | meaning |\n|---|---|---|\n";
        let expected = format!(
            "#### Top level\n\nAll of it.\n\n{heading}| `listen` | `\"127.0.0.1:8080\"` | Where to listen. |\n\n\
             #### `telemetry`\n\nSpans \\| logs.\n\n{heading}| `telemetry.log` | not set | `text` or `json`. |\n\
             | `telemetry.filter` | not set | Which ones. |\n\n\
             #### `booking`\n\nA service's section.\n\n{heading}| `booking.link_days` | `30` | Days. |\n\
             | `booking.database.url` | not set | Its URL, or none. |\n"
        );
        assert_eq!(drawn(&found, &defaults).unwrap(), expected);
    }

    #[test]
    fn a_stale_row_a_missing_one_and_one_too_many_are_named() {
        let table = "| `listen` | `1` | Where to listen. |\n| `telemetry.log` | not set | What. |\n\
                     | `telemetry.filter` | not set | Which ones. |\n| `booking.link_days` | `30` | Days. |\n| `gone` | not set | Nothing. |";
        let top = repository(&format!("# Page\n{BEGIN}\n{table}\n{END}\nEnd"));
        let found = stale(top.path()).unwrap();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].contains("the meaning of telemetry.log has changed; run `cargo xtask"), "{found:#?}");
        assert!(found[1].contains("lacks the key booking.database.url"), "{found:#?}");
        assert!(found[2].contains("there is no key gone"), "{found:#?}");
        assert!(stale(repository("no markers").path()).is_err());
    }
}
