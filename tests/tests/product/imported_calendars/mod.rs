//! Calendars of other programs, imported as a practitioner's busy time: a corpus of cases, each with the times that RFC
//! 5545 gives, worked out by hand.
//!
//! The practitioner works in New York, whose clocks are five hours behind UTC, and four from 14 March to 7 November 2027.
//! Berlin is one hour ahead, and two from 28 March to 31 October.

mod feed;
mod lenient;
mod lines;
mod series;
mod versions;
mod zones;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use reqwest::StatusCode;
use scenarios::{Answer, Clinic, ManualClockProduct, service};
use serde_json::{Value, json};
use testkit::database::Database;

const NOW: &str = "2026-12-31T12:00:00Z";

/// A calendar and its busy times, or the code with which it is refused and the line that is named.
struct Case {
    name: &'static str,
    /// The components of the calendar; each line ends with `\n`.
    lines: String,
    expected: Expected,
}

enum Expected {
    /// As `20270104T1400 20270104T1500`, in UTC.
    Busy(&'static [&'static str]),
    /// A code and a line of the file.
    Refused(&'static str, u64),
}

fn busy(name: &'static str, lines: impl Into<String>, times: &'static [&'static str]) -> Case {
    Case { name, lines: lines.into(), expected: Expected::Busy(times) }
}

fn refused(name: &'static str, lines: impl Into<String>, code: &'static str, line: u64) -> Case {
    Case { name, lines: lines.into(), expected: Expected::Refused(code, line) }
}

/// An event with these lines.
fn event(lines: &[&str]) -> String {
    format!("BEGIN:VEVENT\n{}\nEND:VEVENT\n", lines.join("\n"))
}

fn file(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//scenario//EN\n{lines}END:VCALENDAR\n").replace('\n', "\r\n")
}

struct Fixture {
    product: ManualClockProduct,
    clinic: Clinic,
}

impl Fixture {
    async fn start() -> Result<Self> {
        let product = ManualClockProduct::at(NOW, Database::sqlite()?, booking::Config::default()).await?;
        let clinic = product.rest.clinic("America/New_York", service()).await?;
        Ok(Self { product, clinic })
    }

    /// Sends a file; `more` are further parameters.
    async fn import(&self, file: &str, more: &str) -> Result<Answer> {
        let path = format!("/v1/practitioners/{}/busy?source=outside{more}", self.clinic.practitioner);
        self.product.post(&path, Value::from(file)).await
    }

    async fn read(&self, file: &str) -> Result<Answer> {
        self.import(file, "&dry_run=true").await
    }
}

/// The busy times of an answer, in the form of the corpus.
fn times(answer: &Answer) -> Vec<String> {
    let short = |time: &Value| time.as_str().unwrap_or_default().replace(['-', ':'], "").replace("00Z", "");
    let times = answer.body["times"].as_array().cloned().unwrap_or_default();
    times.iter().map(|time| format!("{} {}", short(&time["starts_at"]), short(&time["ends_at"]))).collect()
}

/// Writes a case into the folder for `cargo xtask compare-calendars target/tmp/calendars --from 2027-01-01`.
fn write_case(number: usize, case: &Case) -> Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("calendars");
    fs::create_dir_all(&folder)?;
    let name: String = case.name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
    Ok(fs::write(folder.join(format!("{number:03}-{name}.ics")), file(&case.lines))?)
}

#[tokio::test]
async fn each_kind_of_calendar_is_read_as_the_standard_says() -> Result<()> {
    let fixture = Fixture::start().await?;
    let mut wrong = Vec::new();
    let corpus = [zones::cases(), series::cases(), versions::cases(), lines::cases()];
    for (number, case) in corpus.into_iter().flatten().enumerate() {
        write_case(number, &case)?;
        let answer = fixture.read(&file(&case.lines)).await?;
        let is_right = match case.expected {
            Expected::Busy(expected) => answer.status == StatusCode::OK && times(&answer) == expected,
            Expected::Refused(code, line) => {
                let error = &answer.body["errors"][0];
                let named = error["detail"].as_str().is_some_and(|it| it.starts_with(&format!("line {line}: ")));
                answer.status == StatusCode::UNPROCESSABLE_ENTITY && error["code"] == code && named
            }
        };
        if !is_right {
            wrong.push(format!("{}: {} {:?} {}", case.name, answer.status, times(&answer), answer.body["errors"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_year_of_events_is_imported_and_a_larger_file_is_refused_with_advice() -> Result<()> {
    let fixture = Fixture::start().await?;
    let one = |number: usize| {
        let (month, day, hour) = (number / 250 % 12 + 1, number / 9 % 28 + 1, number % 9 + 8);
        let at = |minute: u8| format!("2027{month:02}{day:02}T{hour:02}{minute:02}00Z");
        let (uid, start, end) = (format!("UID:{number}"), format!("DTSTART:{}", at(0)), format!("DTEND:{}", at(30)));
        event(&[&uid, &start, &end, &format!("DESCRIPTION:{}", "x".repeat(400))])
    };
    let year: String = (0..3600).map(one).collect();
    let year = file(&year);
    assert!((1 << 20..2 << 20).contains(&year.len()), "{}", year.len());
    let taken = fixture.read(&year).await?;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
    assert_eq!(times(&taken).first().context("times")?, "20270101T0800 20270101T0830");

    let large = fixture.read(&file(&"X-LINE:1\n".repeat(220_000))).await?;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(large.text("/detail").contains("export fewer months"), "{}", large.body);
    // Other bodies keep their smaller limit.
    let name = json!({"given_name": "x".repeat(300 << 10), "family_name": "Sample"});
    let other = fixture.product.post("/v1/practitioners", name).await?;
    assert_eq!(other.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!other.text("/detail").contains("months"), "{}", other.body);
    Ok(())
}
