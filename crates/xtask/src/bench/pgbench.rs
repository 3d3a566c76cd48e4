//! pgbench with booking's own statement: the upper bound that the database sets.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    postgres::{self, Cluster},
    steps::output,
};

const MIGRATIONS: &str = "services/booking/migrations/postgres";
const DATABASE: &str = "pgbench";
/// The settings of booking's connections.
const SETTINGS: &str = "-c search_path=booking,public -c jit=off";

/// The figures of pgbench.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    /// Transactions a second, without the time to connect.
    pub(super) tps: f64,
    /// The mean.
    pub(super) latency_ms: f64,
    /// Transactions that failed.
    pub(super) failed: u64,
}

/// Creates a database with booking's schema; returns its URL for the product's role, whom policies bind as in an installation.
///
/// # Errors
/// When a migration fails.
pub(super) fn prepare(cluster: &Cluster) -> Result<String> {
    let product = postgres::for_product(cluster)?;
    let (server, _) = product.rsplit_once('/').context("the cluster's URL names no database")?;
    let url = format!("{server}/{DATABASE}");
    let create = format!("CREATE DATABASE {DATABASE} OWNER {}", postgres::PRODUCT_ROLE);
    psql(cluster, cluster.url(), &["-c", &create])?;
    psql(cluster, &url, &["-c", "CREATE SCHEMA booking"])?;
    for path in migrations()? {
        psql(cluster, &url, &["-f", &path.to_string_lossy()])?;
    }
    Ok(url)
}

/// Runs it: each transaction books a different hour of one of 200 practitioners, so none is refused.
///
/// # Errors
/// When pgbench cannot be run or its output cannot be read.
pub(super) fn run(cluster: &Cluster, url: &str, clients: usize, window: Duration) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("booking.sql");
    fs::write(&script, script_text(clients))?;
    let text = output(
        Command::new(cluster.bin().join("pgbench"))
            .args(["--no-vacuum", "--define=n=0", "--jobs=1", "--random-seed=1"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", window.as_secs().max(1)))
            .arg("--file")
            .arg(&script)
            .arg(url)
            .env("PGOPTIONS", SETTINGS),
    )?;
    let figures = parse(&text).with_context(|| format!("unexpected output of pgbench:\n{text}"))?;
    ensure!(figures.tps > 0.0, "pgbench booked nothing:\n{text}");
    Ok(figures)
}

/// The migrations, then the functions, as the product applies them.
fn migrations() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(MIGRATIONS);
    let mut paths = sql_files(&folder)?;
    ensure!(!paths.is_empty(), "{} holds no migrations", folder.display());
    paths.extend(sql_files(&folder.join("functions"))?);
    Ok(paths)
}

/// The SQL files of a folder, sorted.
fn sql_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    paths.sort();
    Ok(paths)
}

pub(super) fn psql(cluster: &Cluster, url: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(cluster.bin().join("psql"));
    output(command.args([url, "-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments).env("PGOPTIONS", SETTINGS))
}

/// A batch as booking sends it: a new patient, one appointment, three claims, a link, a change and an idempotency key.
/// Ids are made of numbers of twelve digits, which are hexadecimal too.
fn script_text(clients: usize) -> String {
    const ORG: &str = "00000000-0000-7000-8000-000000000001";
    const LOW: u64 = 100_000_000_000;
    const HIGH: u64 = 999_999_999_999;
    let id = |variable: &str| format!("00000000-0000-7000-8000-:{variable}");
    let (appointment, patient, practitioner, room) = (id("appointment"), id("patient"), id("practitioner"), id("room"));
    let claim = |kind: u8, resource: &str| {
        format!(
            r#"{{"kind": {kind}, "resource": "{resource}", "unit": 0, "starts_at_us": :starts, "ends_at_us": :ends, "owner": "{appointment}", "expires_at_us": null, "location_id": "{ORG}", "needling": false}}"#
        )
    };
    // The bytes of an answer and of a change have about this length.
    let (response, payload, token) = ("ab".repeat(300), "cd".repeat(200), "ef".repeat(26));
    let claims = [claim(1, &practitioner), claim(2, &room), claim(4, &patient)].join(", ");
    let batch = format!(
        r#"{{"organization_id": "{ORG}", "now_us": 1772784000000000,
 "idempotency": {{"caller": "key_bench", "route": "BookAppointment", "key": "k:appointment", "fingerprint": "{token}", "response": "{response}"}},
 "patients": [{{"id": "{patient}", "match_key": "load|test|+15875550100", "open_changes": 0, "details": "{{}}", "words": ["+15875550100", "load", "test"]}}],
 "appointments": [{{"id": "{appointment}", "version": 1, "status": "booked", "service_id": "{ORG}", "practitioner_id": "{practitioner}", "location_id": "{ORG}", "room_id": "{room}", "starts_at_us": :starts, "ends_at_us": :ends, "time_zone": "America/Edmonton", "starts_local": "2026-03-09T09", "patient_id": "{patient}", "displaced": false, "rescheduled_late": false, "note": "", "link_generation": 0, "created_at_us": 1772784000000000, "updated_at_us": 1772784000000000}}],
 "claims": [{claims}],
 "links": [{{"token_hash": "{token}:appointment", "appointment_id": "{appointment}", "expires_at_us": 1775376000000000, "replaces": false}}],
 "changes": [{{"version": 1, "payload": "{payload}"}}]}}"#
    )
    .replace('\n', "");
    format!(
        "\\set n :n + 1\n\\set appointment random({LOW}, {HIGH})\n\\set patient random({LOW}, {HIGH})\n\
         \\set which random(0, 199)\n\\set practitioner {LOW} + :which\n\\set room {LOW} + 1000 + :which\n\
         \\set starts 1773046800000000 + (:n * {clients} + :client_id) * 3600000000\n\
         \\set ends :starts + 1800000000\nSELECT feed_position, seqs, versions FROM commit_batch('{batch}'::jsonb);\n"
    )
}

fn parse(text: &str) -> Option<Figures> {
    let after = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix)?.split_whitespace().next());
    Some(Figures {
        tps: after("tps = ")?.parse().ok()?,
        latency_ms: after("latency average = ")?.parse().ok()?,
        failed: after("number of failed transactions: ")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Options;

    #[test]
    fn its_output_is_parsed() {
        let text = "transaction type: x\nnumber of failed transactions: 3 (0.1%)\nlatency average = 1.250 ms\n\
                    initial connection time = 9 ms\ntps = 4321.5 (without initial connection time)\n";
        assert_eq!(parse(text), Some(Figures { tps: 4321.5, latency_ms: 1.25, failed: 3 }));
        assert_eq!(parse("pgbench: error"), None);
    }

    #[test]
    fn every_transaction_books() {
        let cluster = postgres::start(Options::default()).unwrap();
        let url = prepare(&cluster).unwrap();
        let figures = run(&cluster, &url, 4, Duration::from_secs(1)).unwrap();
        assert_eq!(figures.failed, 0);
        let (server, _) = cluster.url().rsplit_once('/').unwrap();
        let admin = format!("{server}/{DATABASE}");
        let count = |table: &str| -> u64 {
            let rows = psql(&cluster, &admin, &["-Atc", &format!("SELECT count(*) FROM {table}")]).unwrap();
            rows.trim().parse().unwrap()
        };
        let appointments = count("appointments");
        assert!(appointments > 0);
        for (table, each) in [("claims", 3), ("changes", 1), ("patients", 1), ("idempotency", 1), ("manage_links", 1)] {
            assert_eq!(count(table), appointments * each, "{table}");
        }
    }
}
