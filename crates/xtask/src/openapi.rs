//! The committed OpenAPI document: `cargo xtask openapi` writes it, `cargo xtask check` compares it with the code's.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};

use crate::steps::{fresh_product, output};

const FILE: &str = "services/gateway/openapi.json";
/// The most differing lines that the check prints.
const LINES_MAX: usize = 20;

/// Writes the document of the code.
///
/// # Errors
/// When the product cannot be built, or the file cannot be written.
pub(crate) fn write() -> Result<()> {
    fs::write(FILE, document()?).with_context(|| format!("{FILE} cannot be written"))?;
    println!("{FILE} is written: review its difference with git diff");
    Ok(())
}

/// Compares the committed document with the one of the code.
///
/// # Errors
/// When they differ: the first differing lines, and how to renew the file.
pub(crate) fn check() -> Result<()> {
    let committed = fs::read_to_string(FILE).unwrap_or_default();
    let current = document()?;
    if committed == current {
        return Ok(());
    }
    bail!(
        "{FILE} is not the document of this code:\n{}\nRun `cargo xtask openapi`, review the difference, and commit it.",
        difference(&committed, &current)
    )
}

/// The document that the product prints, which `MERIDIAN_BIN` may name.
fn document() -> Result<String> {
    output(Command::new(fresh_product()?).arg("openapi"))
}

/// The lines between the common beginning and the common end of two texts, removed ones before added ones.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let removed = old_rest[..old_rest.len() - end].iter().map(|line| format!("- {line}"));
    let added = new_rest[..new_rest.len() - end].iter().map(|line| format!("+ {line}"));
    let lines: Vec<String> = removed.take(LINES_MAX).chain(added.take(LINES_MAX)).collect();
    format!("from line {}:\n{}", start + 1, lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_the_changed_lines_alone() {
        assert_eq!(difference("a\nb\nc\nd", "a\nx\nc\nd"), "from line 2:\n- b\n+ x");
        assert_eq!(difference("", "a"), "from line 1:\n+ a");
        assert_eq!(difference("a\nb\nb", "a\nb"), "from line 3:\n- b");
    }
}
