//! The plans of statements on SQLite.
//!
//! Without statistics SQLite's planner looks at the schema alone, so the plan on an empty file is the plan on a full one.

use std::{fs, io, path::Path};

use sqlx::{AssertSqlSafe, SqliteConnection, query_as};

/// The tables and statements of a service that need no index.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Tables that do not grow with patients, appointments or time.
    pub small_tables: &'a [&'a str],
    /// Statements that may read all rows of an organisation: a part of the text, and the reason.
    pub exceptions: &'a [(&'a str, &'a str)],
}

/// The whole statements among the string literals of a folder of Rust sources, without its tests. Literals that a macro puts
/// together are not among them.
///
/// # Errors
/// When a file cannot be read.
pub fn literals(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(literals(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(literals_in(&fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}

const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];

fn literals_in(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(start) = rest.find('"') {
        let end = if rest[..start].ends_with("r#") { "\"#" } else { "\"" };
        let Some(length) = rest[start + 1..].find(end) else { break };
        let (text, after) = (&rest[start + 1..start + 1 + length], &rest[start + 1 + length + end.len()..]);
        let is_whole = after.trim_start().starts_with(';') || after.trim_start().starts_with(')');
        if is_whole && VERBS.iter().any(|verb| text.trim_start().starts_with(verb)) {
            found.push(text.to_owned());
        }
        rest = after;
    }
    found
}

/// Reads of the statements that grow with a table: a scan of a whole table, or an index by its organisation alone. An index
/// with a condition is bounded by its condition.
///
/// # Errors
/// When a statement cannot be explained.
pub async fn growing_reads(
    connection: &mut SqliteConnection,
    statements: &[&str],
    known: &Known<'_>,
) -> Result<Vec<String>, sqlx::Error> {
    let tables: Vec<(String,)> =
        query_as("SELECT name FROM sqlite_master WHERE type = 'table'").fetch_all(&mut *connection).await?;
    let indexes: Vec<(String, String, bool)> = query_as(
        "SELECT name, tbl_name, coalesce(sql, '') LIKE '%) WHERE %' OR coalesce(sql, '') LIKE '%)\n%WHERE %' \
         FROM sqlite_master WHERE type = 'index'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut found = Vec::new();
    for &statement in statements {
        if known.exceptions.iter().any(|(part, _)| statement.contains(part)) {
            continue;
        }
        let steps = explain(&mut *connection, statement).await?;
        for (.., step) in steps {
            let index = indexes.iter().find(|(name, ..)| step.split_whitespace().any(|word| word == name.as_str()));
            let table = match index {
                Some((_, table, _)) => Some(table.as_str()),
                None => table_of(&step, statement, &tables),
            };
            let grows = table.is_some_and(|table| !known.small_tables.contains(&table));
            let bounded = index.is_some_and(|(.., has_condition)| *has_condition);
            if grows && !bounded && reads_all(&step) {
                found.push(format!("{step}: {statement}"));
            }
        }
    }
    Ok(found)
}

async fn explain(
    connection: &mut SqliteConnection,
    statement: &str,
) -> Result<Vec<(i64, i64, i64, String)>, sqlx::Error> {
    query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"))).fetch_all(connection).await
}

/// Keeps the statements that SQLite understands: literals hold parts of statements and PostgreSQL's own, too.
pub async fn understood(connection: &mut SqliteConnection, literals: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    for literal in literals {
        if explain(&mut *connection, &literal).await.is_ok() {
            kept.push(literal);
        }
    }
    kept
}

fn reads_all(step: &str) -> bool {
    step.starts_with("SCAN ") || step.ends_with("(organization_id=?)")
}

/// The table of a step without an index, which names it by its alias; `None` for a subquery.
fn table_of<'a>(step: &str, statement: &str, tables: &'a [(String,)]) -> Option<&'a str> {
    let named = |name: &str| tables.iter().map(|(table,)| table.as_str()).find(|table| *table == name);
    let alias = step.split_whitespace().nth(1)?;
    let mut before = None;
    for word in
        statement.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
    {
        if word == alias
            && let Some(table) = before.and_then(named)
        {
            return Some(table);
        }
        if !word.eq_ignore_ascii_case("as") {
            before = Some(word);
        }
    }
    named(alias)
}
