//! The cost of a request with few and with many past appointments.

use std::time::{Duration, Instant};

use anyhow::Result;
use domain::id::ServiceId;

use super::{
    Days, Settings,
    booking::bookings_from,
    load,
    pgbench::psql,
    rest_client::RestClient,
    runtime,
    search::{UNLIMITED, micros, paths, searches},
    start::{LOCATION, PRACTITIONERS, SERVICE, directory},
    table::Table,
};
use crate::{
    postgres::{self, Cluster, Options},
    product::{Product, wait_until},
};

const FEW: u64 = 1_000;
const MANY: u64 = 10_000_000;
const MANY_QUICK: u64 = 100_000;
/// Appointments of one INSERT.
const PART: u64 = 500_000;
/// In half hours. Appointments of the last day still count in the calendars.
const TWO_WEEKS: u64 = 14 * 48;
const SEARCHES: usize = 8;
const BOOKERS: usize = 4;
const BOOKINGS_MAX: usize = 400;
const WITHIN: Duration = Duration::from_secs(120);

pub(super) fn run(settings: &Settings) -> Result<()> {
    let cluster = postgres::start(Options::default())?;
    let database = postgres::for_product(&cluster)?;
    let folder = tempfile::tempdir()?;
    let mut variables = UNLIMITED.to_vec();
    variables.push(("MERIDIAN_DATABASE__URL", &database));
    let serve = || Product::start(&settings.binary, folder.path(), &["serve", "--listen", "127.0.0.1:0"], &variables);
    // Makes the schemas and the organisation.
    drop(serve()?);
    psql(&cluster, cluster.url(), &["-c", &directory()])?;
    let title = format!("Requests with past appointments: {PRACTITIONERS} practitioners, PostgreSQL");
    let columns = ["visits", "s to the first answer", "search p50 µs", "p99 µs", "booking p50 µs", "p99 µs", "MB"];
    let (mut table, mut stored) = (Table::new(&title, &columns), 0);
    for (round, visits) in [FEW, if settings.quick { MANY_QUICK } else { MANY }].into_iter().enumerate() {
        fill(&cluster, stored, visits)?;
        stored = visits;
        let began = Instant::now();
        let product = serve()?;
        table.row(measure(settings, &product, began, (round, visits))?);
    }
    print!("{}", table.text());
    Ok(())
}

fn measure(
    settings: &Settings,
    product: &Product,
    began: Instant,
    (round, visits): (usize, u64),
) -> Result<[String; 7]> {
    let (rest, runtime) = (std::sync::Arc::new(RestClient::new(&product.url)), runtime()?);
    let Days { from, to } = &settings.days;
    let first = format!("/v1/slots?service_id={}&from={from}&to={to}&limit=1", ServiceId::new(SERVICE));
    wait_until("the first answer", WITHIN, || runtime.block_on(rest.get(&first)).is_ok())?;
    let first = began.elapsed();
    runtime.block_on(async {
        let next = searches(rest.clone(), paths(&rest, &settings.days).await?);
        let searched = load::run(&rest.address, SEARCHES, settings.window, next).await?;
        let slots = rest.slots(&Days::next(84), BOOKINGS_MAX).await?;
        let book = bookings_from(rest.clone(), slots, round * BOOKINGS_MAX);
        let booked = load::run(&rest.address, BOOKERS, settings.window, book).await?;
        Ok([
            visits.to_string(),
            format!("{:.2}", first.as_secs_f64()),
            micros(searched.quantile(0.5)),
            micros(searched.quantile(0.99)),
            micros(booked.quantile(0.5)),
            micros(booked.quantile(0.99)),
            super::memory::megabytes(product.memory()?),
        ])
    })
}

/// Inserts appointments of 100,000 patients that ended two weeks ago and earlier, from one number up to another. The
/// foreign keys are not checked.
fn fill(cluster: &Cluster, mut from: u64, to: u64) -> Result<()> {
    psql(cluster, cluster.url(), &["-c", PATIENTS])?;
    while from < to {
        let until = (from + PART).min(to);
        let half_hour = 1_800_000_000_u64;
        let visits = format!(
            "SET session_replication_role = replica; \
             INSERT INTO booking.appointments (organization_id, id, version, status, service_id, practitioner_id, location_id, \
             starts_at_us, ends_at_us, time_zone, starts_local, patient_id, displaced, note, link_generation, created_at_us, \
             updated_at_us) SELECT o.id, ('01940000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 3, 'fulfilled', \
             '{SERVICE}', md5('p' || 1 + n % {PRACTITIONERS})::uuid, '{LOCATION}', at, at + {half_hour}, 'America/Edmonton', \
             '2020-03-09T09:00', md5('patient' || n % 100000)::uuid, false, '', 0, at, at \
             FROM (SELECT id FROM availability.organizations LIMIT 1) o, generate_series({from}::bigint, {until} - 1) n, \
             LATERAL (SELECT (extract(epoch FROM date_trunc('day', now())) * 1000000)::bigint \
             - ({TWO_WEEKS} + n / {PRACTITIONERS}) * {half_hour} AS at) times"
        );
        psql(cluster, cluster.url(), &["-c", &visits])?;
        from = until;
        println!("   {from} of {to} past appointments");
    }
    psql(cluster, cluster.url(), &["-c", "ANALYZE booking.appointments"]).map(drop)
}

const PATIENTS: &str = "INSERT INTO booking.patients (organization_id, id, version, match_key, open_changes, details, \
                        created_at_us, updated_at_us) \
                        SELECT o.id, md5('patient' || n)::uuid, 1, 'load' || n, 0, '{}', 0, 0 \
                        FROM (SELECT id FROM availability.organizations LIMIT 1) o, generate_series(0, 99999) n \
                        ON CONFLICT DO NOTHING";
