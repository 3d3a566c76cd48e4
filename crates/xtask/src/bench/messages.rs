//! A crowd of reminders that are due in one minute: how long they take to be planned after an import, and to be sent.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{
    Plan,
    fake_provider::Carrier,
    memory::{free_addresses, start},
    pgbench::psql,
    search::UNHINDERED,
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
/// What each worker may send a second where there is a pace.
const PACE: usize = 100;
/// Seconds of sending at that pace.
const PACED_SECONDS: usize = 10;
const WITHIN: Duration = Duration::from_secs(600);
/// How long before the visits the two text messages of the default rules go.
const DAY: i64 = 24 * 3600;
const HOURS: i64 = 2 * 3600;

pub(super) fn run(plan: &Plan) -> Result<()> {
    let messages = if plan.quick { MESSAGES / 10 } else { MESSAGES };
    let cluster = postgres::start(Options { durable: true, ..Options::default() })?;
    let folder = tempfile::tempdir()?;
    {
        // Makes the schemas and the organisation.
        let mut variables = UNHINDERED.to_vec();
        variables.push(("MERIDIAN_DATABASE__URL", cluster.url()));
        Product::start(&plan.binary, folder.path(), &["serve", "--listen", "127.0.0.1:0"], &variables)?;
    }
    psql(&cluster, cluster.url(), &["-c", &directory()])?;
    let starts_at_us = step("import", || visits(&cluster, messages))?;
    let carrier = Carrier::start()?;
    let addresses = free_addresses()?;
    let role = |name: &str, listen: &str, more: &[(&str, &str)]| {
        start(plan, folder.path(), name, listen, &addresses, cluster.url(), more)
    };
    let _booking = role("booking", &addresses[1], &[])?;
    let _availability = role("availability", &addresses[0], &[])?;
    let workers = |pace: &str| -> Result<Vec<Product>> {
        let mut variables = provider(&carrier.url);
        variables.push(("MERIDIAN_REMINDER__SMS_PER_SECOND", pace));
        (0..WORKERS).map(|_| role("reminder", "127.0.0.1:0", &variables)).collect()
    };

    let began = Instant::now();
    let unhindered = workers("0")?;
    planned(&cluster)?;
    let took = began.elapsed();
    let count = psql(&cluster, cluster.url(), &["-Atc", "SELECT count(*) FROM reminder.messages"])?;
    let title = format!("Reminders of {messages} imported visits, PostgreSQL (fsync on)");
    let mut table = Table::new(&title, &["planned", "seconds", "messages/s"]);
    let planned: usize = count.trim().parse()?;
    table.row([planned.to_string(), seconds(took), per_second(planned, took)]);
    print!("{}", table.text());

    let title = format!("Text messages that are due at one instant, {WORKERS} workers, to a provider of this machine");
    let columns = ["", "messages", "seconds", "messages/s", "lag p50 s", "lag p99 s", "twice"];
    let mut table = Table::new(&title, &columns);
    table.row(drained(&cluster, &carrier, "as fast as they go", (starts_at_us, DAY), messages)?);
    drop(unhindered);
    let _paced = workers(&PACE.to_string())?;
    let name = format!("{PACE} a second each");
    table.row(drained(&cluster, &carrier, &name, (starts_at_us, HOURS), PACE * WORKERS * PACED_SECONDS)?);
    print!("{}", table.text());
    Ok(())
}

/// What a worker needs to know of the provider.
fn provider(url: &str) -> Vec<(&str, &str)> {
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

/// Imports visits that all start at one instant, each of a patient of their own; answers when: on a morning when everybody
/// works, so that none counts as displaced. Nothing guards them: an import of what can be would be no crowd.
fn visits(cluster: &Cluster, count: usize) -> Result<i64> {
    let statements = format!(
        "CREATE TABLE booking.v AS SELECT o.id AS org, md5('visit' || n)::uuid AS id, md5('person' || n)::uuid AS patient, \
         md5('p' || (1 + n % {PRACTITIONERS}))::uuid AS practitioner, n, \
         d.at FROM (SELECT id FROM availability.organizations LIMIT 1) o, generate_series(1, {count}) n, \
         (SELECT (extract(epoch FROM min(day) + interval '16 hours') * 1000000)::bigint AS at FROM generate_series( \
         date_trunc('day', now() AT TIME ZONE 'UTC') + interval '2 days', now() AT TIME ZONE 'UTC' + interval '9 days', \
         '1 day') AS days(day) WHERE extract(isodow FROM day) < 6) d; \
         INSERT INTO booking.patients SELECT org, patient, 1, 'load' || n, 0, json_build_object('given_name', 'A', \
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

/// Waits until the import is planned: the position in the feed comes with the last part of the snapshot.
fn planned(cluster: &Cluster) -> Result<()> {
    let there = "SELECT 1 FROM reminder.feed_position WHERE position NOT LIKE 'snapshot %'";
    let wait = format!(
        "DO $$ BEGIN FOR i IN 1..6000 LOOP EXIT WHEN EXISTS ({there}); PERFORM pg_sleep(0.1); END LOOP; END $$"
    );
    psql(cluster, cluster.url(), &["-c", &wait])?;
    let stands = psql(cluster, cluster.url(), &["-Atc", there])?;
    ensure!(stands.trim() == "1", "the import was not planned within ten minutes");
    Ok(())
}

/// Lets the messages of one rule be due at one instant that is near, and waits until all are sent: their row.
fn drained(
    cluster: &Cluster,
    carrier: &Carrier,
    name: &str,
    (starts_at_us, before): (i64, i64),
    count: usize,
) -> Result<[String; 7]> {
    *carrier.account() = Default::default();
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
    wait_until("the messages", WITHIN, || carrier.account().arrivals.len() >= count)?;
    settled(cluster)?;
    let account = carrier.account();
    let mut lags: Vec<_> = account.arrivals.iter().map(|at| at.saturating_duration_since(due)).collect();
    lags.sort_unstable();
    let lag = |part: f64| lags.get((lags.len() as f64 * part) as usize).map_or_else(String::new, |lag| seconds(*lag));
    let took = lags.last().copied().unwrap_or_default();
    let twice: u32 = account.numbers.values().map(|count| count - 1).sum();
    let sent = account.arrivals.len();
    Ok([
        name.to_owned(),
        sent.to_string(),
        seconds(took),
        per_second(sent, took),
        lag(0.5),
        lag(0.99),
        twice.to_string(),
    ])
}

/// Waits until what became of each is recorded: what is sent twice would be sent by now.
fn settled(cluster: &Cluster) -> Result<()> {
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
