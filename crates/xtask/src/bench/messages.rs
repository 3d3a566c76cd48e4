//! Many reminders that are due at one instant: the time to plan them after an import, and to send them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{
    Settings,
    fake_provider::FakeProvider,
    memory::{free_addresses, start_role},
    pgbench::psql,
    search::UNLIMITED,
    start::{LOCATION, PRACTITIONERS, SERVICE, directory},
    table::Table,
};
use crate::{
    postgres::{self, Cluster, Options},
    product::{Product, wait_until},
    steps::step,
};

const MESSAGES: usize = 100_000;
const WORKERS: usize = 4;
/// Messages a second for each worker under a limited rate.
const RATE: usize = 100;
/// Seconds of sending at the limited rate.
const LIMITED_SECONDS: usize = 10;
const WITHIN: Duration = Duration::from_secs(600);
/// Seconds before the appointments at which the two text messages of the default rules are due.
const DAY: i64 = 24 * 3600;
const HOURS: i64 = 2 * 3600;

pub(super) fn run(settings: &Settings) -> Result<()> {
    let messages = if settings.quick { MESSAGES / 10 } else { MESSAGES };
    let cluster = postgres::start(Options { durable: true, ..Options::default() })?;
    let database = postgres::for_product(&cluster)?;
    let folder = tempfile::tempdir()?;
    {
        // Makes the schemas and the organisation.
        let mut variables = UNLIMITED.to_vec();
        variables.push(("MERIDIAN_DATABASE__URL", &database));
        Product::start(&settings.binary, folder.path(), &["serve", "--listen", "127.0.0.1:0"], &variables)?;
    }
    psql(&cluster, cluster.url(), &["-c", &directory()])?;
    let starts_at_us = step("import", || import_appointments(&cluster, messages))?;
    let provider = FakeProvider::start()?;
    let addresses = free_addresses()?;
    let role = |name: &str, listen: &str, more: &[(&str, &str)]| {
        start_role(settings, folder.path(), name, listen, &addresses, &database, more)
    };
    let _booking = role("booking", &addresses[1], &[])?;
    let _availability = role("availability", &addresses[0], &[])?;
    let workers = |rate: &str| -> Result<Vec<Product>> {
        let mut variables = provider_settings(&provider.url);
        variables.push(("MERIDIAN_REMINDER__SMS_PER_SECOND", rate));
        (0..WORKERS).map(|_| role("reminder", "127.0.0.1:0", &variables)).collect()
    };

    let began = Instant::now();
    let unlimited = workers("0")?;
    wait_until_planned(&cluster)?;
    let elapsed = began.elapsed();
    let count = psql(&cluster, cluster.url(), &["-Atc", "SELECT count(*) FROM reminder.messages"])?;
    let title = format!("Reminders of {messages} imported visits, PostgreSQL (fsync on)");
    let mut table = Table::new(&title, &["planned", "seconds", "messages/s"]);
    let planned: usize = count.trim().parse()?;
    table.row([planned.to_string(), seconds(elapsed), per_second(planned, elapsed)]);
    print!("{}", table.text());

    let title = format!("Text messages that are due at one instant, {WORKERS} workers, to a provider of this machine");
    let columns = ["", "messages", "seconds", "messages/s", "lag p50 s", "lag p99 s", "twice"];
    let mut table = Table::new(&title, &columns);
    table.row(measure_sending(&cluster, &provider, "without a limit", (starts_at_us, DAY), messages)?);
    drop(unlimited);
    let _limited = workers(&RATE.to_string())?;
    let name = format!("{RATE} a second each");
    table.row(measure_sending(&cluster, &provider, &name, (starts_at_us, HOURS), RATE * WORKERS * LIMITED_SECONDS)?);
    print!("{}", table.text());
    Ok(())
}

/// The settings of a worker that sends through the provider.
fn provider_settings(url: &str) -> Vec<(&str, &str)> {
    vec![
        ("MERIDIAN_REMINDER__SMS_PROVIDER", "twilio"),
        ("MERIDIAN_REMINDER__PROVIDERS__TWILIO__BASE_URL", url),
        ("MERIDIAN_REMINDER__PROVIDERS__TWILIO__ACCOUNT_SID", "AC00000000000000000000000000000000"),
        ("MERIDIAN_REMINDER__PROVIDERS__TWILIO__AUTH_TOKEN", "measuring"),
        ("MERIDIAN_REMINDER__PROVIDERS__TWILIO__FROM", "Meridian"),
        ("MERIDIAN_REMINDER__CONCURRENCY", "128"),
        ("MERIDIAN_REMINDER__LEASE_SECONDS", "600"),
    ]
}

/// Imports appointments of different patients that start at one instant, on a morning when all practitioners work, so that
/// none is displaced; returns that instant. They violate the guard against double booking, which the import skips.
fn import_appointments(cluster: &Cluster, count: usize) -> Result<i64> {
    let statements = format!(
        "CREATE TABLE booking.v AS SELECT o.id AS org, md5('visit' || n)::uuid AS id, md5('patient' || n)::uuid AS patient, \
         md5('p' || (1 + n % {PRACTITIONERS}))::uuid AS practitioner, n, \
         d.at FROM (SELECT id FROM availability.organizations LIMIT 1) o, generate_series(1, {count}) n, \
         (SELECT (extract(epoch FROM min(day) + interval '16 hours') * 1000000)::bigint AS at FROM generate_series( \
         date_trunc('day', now() AT TIME ZONE 'UTC') + interval '2 days', now() AT TIME ZONE 'UTC' + interval '9 days', \
         '1 day') AS days(day) WHERE extract(isodow FROM day) < 6) d; \
         INSERT INTO booking.patients (organization_id, id, version, match_key, open_changes, details, created_at_us, \
         updated_at_us) SELECT org, patient, 1, 'load' || n, 0, json_build_object('given_name', 'A', \
         'family_name', 'B', 'phone', '+1780' || (1000000 + n), 'consents', \
         json_build_array(json_build_object('channel', 'sms', 'kind', 'service')))::text, 0, 0 FROM booking.v; \
         INSERT INTO booking.appointments (organization_id, id, version, status, service_id, practitioner_id, location_id, \
         starts_at_us, ends_at_us, time_zone, starts_local, patient_id, displaced, note, link_generation, created_at_us, \
         updated_at_us) SELECT org, id, 1, 'booked', '{SERVICE}', practitioner, '{LOCATION}', at, at + 1800000000, \
         'America/Edmonton', '2026-03-09T09:00', patient, false, '', 0, 0, 0 FROM booking.v"
    );
    psql(cluster, cluster.url(), &["-c", &statements])?;
    let at = psql(cluster, cluster.url(), &["-Atc", "SELECT max(at) FROM booking.v", "-c", "DROP TABLE booking.v"])?;
    Ok(at.trim().parse()?)
}

/// Waits until the import is planned: the last part of the snapshot stores the position in the feed.
fn wait_until_planned(cluster: &Cluster) -> Result<()> {
    let there = "SELECT 1 FROM reminder.feed_position WHERE position NOT LIKE 'snapshot %'";
    let wait = format!(
        "DO $$ BEGIN FOR i IN 1..6000 LOOP EXIT WHEN EXISTS ({there}); PERFORM pg_sleep(0.1); END LOOP; END $$"
    );
    psql(cluster, cluster.url(), &["-c", &wait])?;
    let stored = psql(cluster, cluster.url(), &["-Atc", there])?;
    ensure!(stored.trim() == "1", "the import was not planned within ten minutes");
    Ok(())
}

/// Makes the messages of one rule due in six seconds, waits until all are sent, and returns the row of the table.
fn measure_sending(
    cluster: &Cluster,
    provider: &FakeProvider,
    name: &str,
    (starts_at_us, before): (i64, i64),
    count: usize,
) -> Result<[String; 7]> {
    *provider.received() = Default::default();
    let due = format!(
        "UPDATE reminder.messages SET due_at_us = at, wake_at_us = at \
         FROM (SELECT (extract(epoch FROM now() + interval '6 seconds') * 1000000)::bigint AS at) near \
         WHERE id IN (SELECT id FROM reminder.messages WHERE channel = 'sms' AND status = 'scheduled' \
         AND due_at_us = {starts_at_us} - {before}::bigint * 1000000 LIMIT {count})"
    );
    psql(cluster, cluster.url(), &["-c", &due])?;
    let left = "SELECT round(extract(epoch FROM now()) * 1000) || ' ' || max(due_at_us) / 1000 FROM reminder.messages \
         WHERE wake_at_us <= (extract(epoch FROM now()) * 1000000)::bigint + 60000000";
    let left = psql(cluster, cluster.url(), &["-Atc", left])?;
    let Some((now_ms, due_ms)) = left.trim().split_once(' ') else { bail!("no message is due: {left}") };
    let until_ms: i64 = due_ms.parse::<i64>()? - now_ms.parse::<f64>()? as i64;
    ensure!(until_ms > 0, "the messages were due before all were made so");
    let due = Instant::now() + Duration::from_millis(until_ms.unsigned_abs());
    wait_until("the messages", WITHIN, || provider.received().arrivals.len() >= count)?;
    wait_until_recorded(cluster)?;
    let received = provider.received();
    let mut lags: Vec<_> = received.arrivals.iter().map(|at| at.saturating_duration_since(due)).collect();
    lags.sort_unstable();
    let lag = |part: f64| lags.get((lags.len() as f64 * part) as usize).map_or_else(String::new, |lag| seconds(*lag));
    let last = lags.last().copied().unwrap_or_default();
    let twice: u32 = received.numbers.values().map(|count| count - 1).sum();
    let sent = received.arrivals.len();
    Ok([
        name.to_owned(),
        sent.to_string(),
        seconds(last),
        per_second(sent, last),
        lag(0.5),
        lag(0.99),
        twice.to_string(),
    ])
}

/// Waits until every outcome is recorded, so that a repeated message would have arrived.
fn wait_until_recorded(cluster: &Cluster) -> Result<()> {
    let count = "SELECT count(*) FROM reminder.messages WHERE status = 'sending'";
    wait_until("the records", WITHIN, || {
        psql(cluster, cluster.url(), &["-Atc", count]).is_ok_and(|count| count.trim() == "0")
    })
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

fn per_second(count: usize, time: Duration) -> String {
    format!("{:.0}", count as f64 / time.as_secs_f64().max(0.001))
}
