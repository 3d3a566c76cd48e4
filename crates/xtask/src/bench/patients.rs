//! Looking patients up through REST among a hundred thousand of them, on both engines.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    Settings, load,
    rest_client::RestClient,
    runtime,
    search::{DEMO, UNLIMITED, micros},
    table::Table,
};
use crate::{
    postgres::{self, Options},
    product::Product,
};

const PATIENTS: usize = 100_000;
/// In quick mode.
const FEW_PATIENTS: usize = 5_000;
/// Longer than it takes to write them.
const FILLING_MAX: Duration = Duration::from_secs(1800);
const CONNECTIONS: usize = 16;
/// Parts of names: 24 given names in three, and 13,824 family names in three parts.
const PARTS: [&str; 24] = [
    "an", "ber", "cla", "da", "el", "fran", "gra", "ha", "is", "jo", "ka", "li", "mar", "na", "ol", "pe", "ro", "sa",
    "tom", "ul", "vi", "wil", "yo", "zo",
];
/// The typed queries, each with a name: the words are those of the patient with a number.
const QUERIES: [&str; 10] = [
    "both names",
    "beginnings of both names",
    "family name",
    "three letters",
    "one letter",
    "one letter of each name",
    "telephone number",
    "last four digits",
    "date of birth",
    "e-mail address",
];

pub(super) fn run(settings: &Settings) -> Result<()> {
    let folder = tempfile::tempdir()?;
    measure(settings, "SQLite", folder.path(), &UNLIMITED)?;
    let cluster = postgres::start(Options { durable: true, ..Options::default() })?;
    let database = postgres::for_product(&cluster)?;
    let folder = tempfile::tempdir()?;
    let mut variables = UNLIMITED.to_vec();
    variables.push(("MERIDIAN_DATABASE__URL", &database));
    measure(settings, "PostgreSQL", folder.path(), &variables)
}

fn measure(settings: &Settings, engine: &str, folder: &Path, variables: &[(&str, &str)]) -> Result<()> {
    let product = Product::start(&settings.binary, folder, &DEMO, variables)?;
    let rest = Arc::new(RestClient::new(&product.url));
    let runtime = runtime()?;
    let count = if settings.quick { FEW_PATIENTS } else { PATIENTS };
    let filled = runtime.block_on(load::run(&rest.address, CONNECTIONS, FILLING_MAX, create(rest.clone(), count)))?;
    ensure!(filled.refused.is_empty(), "patients are refused: {:?}", filled.refused.first());
    let title = format!("Looking up one of {count} patients through REST on {engine}, one connection");
    let mut table = Table::new(&title, &["typed", "p50 µs", "p99 µs", "server p50 µs", "server p99 µs"]);
    let window = settings.window / 5;
    for what in QUERIES {
        let outcome = runtime.block_on(load::run(&rest.address, 1, window, look_up(rest.clone(), what, count)))?;
        ensure!(outcome.refused.is_empty(), "{what} is refused: {:?}", outcome.refused.first());
        table.row([
            what.to_owned(),
            micros(outcome.quantile(0.5)),
            micros(outcome.quantile(0.99)),
            micros(outcome.server_quantile(0.5)),
            micros(outcome.server_quantile(0.99)),
        ]);
    }
    print!("{}", table.text());
    Ok(())
}

/// Creates so many patients.
fn create(rest: Arc<RestClient>, count: usize) -> Arc<load::Next> {
    let turn = AtomicUsize::new(0);
    Arc::new(move || {
        let number = turn.fetch_add(1, Ordering::Relaxed);
        (number < count).then(|| rest.request(Method::POST, "/v1/patients", Some(&patient(number))))?
    })
}

/// The patient with a number. Some names are those of many patients, as in life.
fn patient(number: usize) -> Value {
    // A multiplicative hash, so that neighbours differ.
    let mixed = number.wrapping_mul(2_654_435_761) >> 7;
    let skewed = |of: usize| (of % 24) * (of / 24 % 24) / 24;
    let part = |of: usize| PARTS[of % 24];
    let given = format!("{}{}", part(skewed(mixed)), part(mixed / 576));
    let family = format!("{}{}{}", part(skewed(mixed / 7)), part(mixed / 4_032), part(mixed / 96_768));
    json!({"given_name": given, "family_name": family, "phone": format!("+1780{:07}", 2_000_000 + number * 37),
        "email": format!("{given}.{family}.{number}@example.org"),
        "date_of_birth": format!("{}-{:02}-{:02}", 1930 + number % 80, 1 + number % 12, 1 + number % 28)})
}

/// Looks patients up by what is typed of them.
fn look_up(rest: Arc<RestClient>, what: &'static str, count: usize) -> Arc<load::Next> {
    let turn = AtomicUsize::new(0);
    Arc::new(move || {
        let number = turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(7_919) % count;
        let patient = patient(number);
        let text = |name: &str| patient[name].as_str().unwrap_or_default().to_owned();
        let begins = |name: &str, letters: usize| text(name).chars().take(letters).collect::<String>();
        let (given, family, phone) = (text("given_name"), text("family_name"), text("phone"));
        let typed = match what {
            "both names" => format!("{family}%20{given}"),
            "beginnings of both names" => format!("{}%20{}", begins("given_name", 3), begins("family_name", 5)),
            "family name" => family,
            "three letters" => begins("family_name", 3),
            "one letter" => begins("family_name", 1),
            "one letter of each name" => format!("{}%20{}", begins("given_name", 1), begins("family_name", 1)),
            "telephone number" => format!("({})%20{}", &phone[2..5], &phone[5..]),
            "last four digits" => phone[8..].to_owned(),
            "date of birth" => text("date_of_birth"),
            _ => text("email"),
        };
        rest.request(Method::GET, &format!("/v1/patients?q={typed}"), None)
    })
}
