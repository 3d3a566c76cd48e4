//! The slowest crates of a build and the slowest tests of a run, from the reports of cargo and of cargo-nextest.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// Entries of each list.
const SLOWEST: usize = 10;

/// A crate or a test, with its seconds.
type Timing = (String, f64);

/// Prints the slowest crates of the last `cargo build --timings`.
///
/// # Errors
/// When cargo has written no report that can be read.
pub(crate) fn print_crates() -> Result<()> {
    let report = fs::read_to_string(target().join("cargo-timings/cargo-timing.html"))
        .context("cargo build --timings has written no report")?;
    print("slowest crates", crates(&report)?);
    Ok(())
}

/// Prints the slowest tests of the last run of cargo-nextest.
///
/// # Errors
/// When it has written no report.
pub(crate) fn print_tests() -> Result<()> {
    let report = fs::read_to_string(target().join("nextest/default/junit.xml"))
        .context("cargo-nextest has written no report; install it to see the times of tests")?;
    print("slowest tests", tests(&report));
    Ok(())
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)
}

fn print(title: &str, mut timings: Vec<Timing>) {
    timings.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total: f64 = timings.iter().map(|(_, seconds)| seconds).sum();
    println!("== {title} (of {} in {total:.0} s)", timings.len());
    for (name, seconds) in timings.into_iter().take(SLOWEST) {
        println!("   {seconds:6.1} s  {name}");
    }
}

/// The units of cargo's report, those of one crate added up.
fn crates(report: &str) -> Result<Vec<Timing>> {
    let (_, data) = report.split_once("UNIT_DATA = ").context("the report has no units")?;
    let mut values = serde_json::Deserializer::from_str(data).into_iter::<Vec<Value>>();
    let units = values.next().context("the report has no units")??;
    let mut timings: Vec<Timing> = Vec::new();
    for unit in &units {
        let name = unit["name"].as_str().unwrap_or_default();
        let seconds = unit["duration"].as_f64().unwrap_or_default();
        match timings.iter_mut().find(|(known, _)| known == name) {
            Some((_, total)) => *total += seconds,
            None => timings.push((name.to_owned(), seconds)),
        }
    }
    Ok(timings)
}

/// The test cases of a JUnit report.
fn tests(report: &str) -> Vec<Timing> {
    let case = |tag: &str| {
        let attribute = |name: &str| tag.split_once(&format!(" {name}=\""))?.1.split('"').next();
        let seconds = attribute("time")?.parse().ok()?;
        Some((format!("{} {}", attribute("classname")?, attribute("name")?), seconds))
    };
    report.split("<testcase").skip(1).filter_map(|rest| case(rest.split('>').next()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_crate_are_added_up() {
        let report = "<script>\nconst UNIT_DATA = [\n  {\"name\": \"wire\", \"mode\": \"run-custom-build\", \"duration\": 1.5},\n  \
                      {\"name\": \"sql\", \"duration\": 2.0},\n  {\"name\": \"wire\", \"duration\": 4.0}\n];\nconst X = [];";
        assert_eq!(crates(report).unwrap(), [("wire".to_owned(), 5.5), ("sql".to_owned(), 2.0)]);
        assert!(crates("<html>").is_err());
    }

    #[test]
    fn test_cases_have_their_seconds() {
        let report = "<testsuite name=\"sql\" time=\"9\">\n<testcase name=\"a::b\" classname=\"sql::engines\" timestamp=\"x\" \
                      time=\"0.25\">\n</testcase><testcase name=\"c\" classname=\"sql\" time=\"3\"/></testsuite>";
        assert_eq!(super::tests(report), [("sql::engines a::b".to_owned(), 0.25), ("sql c".to_owned(), 3.0)]);
    }
}
