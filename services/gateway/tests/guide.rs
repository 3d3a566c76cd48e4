//! The guide to the REST interface names every error code, every kind of event and every scope, and no others.

use std::collections::BTreeSet;

use domain::event::Kind;
use gateway::auth::Scope;
use rpc::Code;

const GUIDE: &str = include_str!("../README.md");

/// The text from a heading of the second level to the next one.
fn chapter(heading: &str) -> &'static str {
    let (_, after) = GUIDE.split_once(&format!("\n## {heading}\n")).expect("the chapter");
    after.split("\n## ").next().unwrap_or(after)
}

/// The texts in backticks at the beginning of a table's rows or in its cells.
fn quoted(text: &'static str) -> BTreeSet<&'static str> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn each_error_code_has_its_heading_and_status_and_each_heading_its_code() {
    let written: Vec<(&str, &str)> = chapter("Errors")
        .split("\n### ")
        .skip(1)
        .filter_map(|part| part.split_once("\n\n"))
        .map(|(heading, text)| (heading, text.split('.').next().unwrap_or_default()))
        .collect();
    let statuses: Vec<String> = Code::ALL.iter().map(|code| code.http().to_string()).collect();
    let mut known: Vec<(&str, &str)> =
        Code::ALL.iter().zip(&statuses).map(|(code, status)| (code.as_str(), status.as_str())).collect();
    // In the order of their statuses, as a reader looks for them.
    known.sort_by_key(|(_, status)| *status);
    assert_eq!(written, known);
}

#[test]
fn each_kind_of_event_is_named_and_no_other() {
    let (_, table) = chapter("Events and webhooks").split_once("<!-- kinds of events -->").expect("the table");
    let table = table.split("```").next().unwrap_or_default();
    assert_eq!(quoted(table), Kind::ALL.iter().map(|kind| kind.as_str()).collect());
}

#[test]
fn each_scope_is_named() {
    let named = quoted(chapter("Keys and scopes"));
    let missing: Vec<&str> = Scope::ALL.map(Scope::as_str).into_iter().filter(|scope| !named.contains(scope)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
