//! Finds the shipped templates, so that a new file under `templates/` needs no list.
//!
//! Writes `templates.rs`: an array of `("en/booked.sms", include_str!(…))`. Fails where a language lacks a template that
//! another language has.

use std::{collections::BTreeSet, env, error::Error, fmt::Write, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=templates");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("templates");
    let languages = names(&folder)?;
    let mut templates = BTreeSet::new();
    for language in &languages {
        templates.extend(names(&folder.join(language))?);
    }
    let mut array = "[\n".to_owned();
    for language in &languages {
        for template in &templates {
            let file = folder.join(language).join(template);
            if !file.is_file() {
                return Err(format!("templates/{language}/{template} is missing: another language has it").into());
            }
            let name = template.strip_suffix(".txt").ok_or_else(|| format!("{template} is no .txt file"))?;
            writeln!(array, "    ({:?}, include_str!({:?})),", format!("{language}/{name}"), file)?;
        }
    }
    array.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("templates.rs"), array)?;
    Ok(())
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
