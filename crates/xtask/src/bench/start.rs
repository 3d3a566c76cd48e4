//! A large chain: availability's memory, and its time to start with a million live claims.

use std::time::{Duration, Instant};

use anyhow::Result;
use domain::id::{LocationId, ServiceId};
use uuid::Uuid;

use super::{
    Days, Settings,
    memory::{free_addresses, megabytes, start_role},
    pgbench::psql,
    rest_client::RestClient,
    runtime,
    search::UNLIMITED,
    table::Table,
};
use crate::{
    postgres::{self, Cluster, Options},
    product::{Product, wait_until},
};

pub(super) const PRACTITIONERS: u32 = 1000;
/// Appointments of each practitioner, with three claims each: a million claims in all.
const VISITS: u32 = 334;
const WITHIN: Duration = Duration::from_secs(120);
pub(super) const LOCATION: Uuid = Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0001);
pub(super) const SERVICE: Uuid = Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0002);

pub(super) fn run(settings: &Settings) -> Result<()> {
    let cluster = postgres::start(Options::default())?;
    let database = postgres::for_product(&cluster)?;
    let folder = tempfile::tempdir()?;
    {
        // Makes the schemas and the organisation.
        let mut variables = UNLIMITED.to_vec();
        variables.push(("MERIDIAN_DATABASE__URL", &database));
        Product::start(&settings.binary, folder.path(), &["serve", "--listen", "127.0.0.1:0"], &variables)?;
    }
    fill(&cluster, &directory())?;
    let title = format!("Availability: {PRACTITIONERS} practitioners, 400 days");
    let mut table = Table::new(&title, &["live claims", "seconds to the first answer", "MB"]);
    for claims in [0, PRACTITIONERS * VISITS * 3] {
        if claims > 0 {
            fill(&cluster, &bookings())?;
        }
        let (elapsed, memory) = measure_start(settings, folder.path(), &database)?;
        table.row([claims.to_string(), format!("{:.2}", elapsed.as_secs_f64()), megabytes(memory)]);
    }
    print!("{}", table.text());
    Ok(())
}

fn fill(cluster: &Cluster, statements: &str) -> Result<()> {
    psql(cluster, cluster.url(), &["-c", statements]).map(drop)
}

/// Starts the other roles, then availability; returns the time to the first answer and the memory then.
fn measure_start(settings: &Settings, folder: &std::path::Path, database: &str) -> Result<(Duration, u64)> {
    let addresses = free_addresses()?;
    let role = |at: usize, role| start_role(settings, folder, role, &addresses[at], &addresses, database, &[]);
    let _booking = role(1, "booking")?;
    let gateway = role(3, "gateway")?;
    let (rest, runtime) = (RestClient::new(&gateway.url), runtime()?);
    let Days { from, to } = Days::next(28);
    let path = format!("/v1/slots?service_id={}&from={from}&to={to}&limit=1", ServiceId::new(SERVICE));
    let began = Instant::now();
    let availability = role(0, "availability")?;
    wait_until("availability", WITHIN, || runtime.block_on(rest.get(&path)).is_ok())?;
    Ok((began.elapsed(), availability.memory()?))
}

/// One location, one service, and practitioners who work there on weekdays.
pub(super) fn directory() -> String {
    let entry = |kind: &str, id: &str, parent: &str, body: &str| {
        format!(
            "SELECT o.id, {id}, '{kind}', {parent}, 1, 0, 0, NULL::bigint, '{{\"kind\": \"{kind}\", \"body\": {body}}}'"
        )
    };
    let location = r#"{"name": "Large", "time_zone": "America/Edmonton"}"#;
    let service = r#"{"code": "visit", "name": "Visit", "duration_minutes": 30}"#;
    let practitioner = r#"{"given_name": "A", "family_name": "B"}"#;
    let day = |day: &str| format!(r#"{{"day": "{day}", "from": "08:00", "to": "17:00"}}"#);
    let weekly = ["mo", "tu", "we", "th", "fr"].map(day).join(", ");
    let here = LocationId::new(LOCATION);
    let roster = format!(r#"{{"location_id": "{here}", "effective_from": "2026-01-05", "weekly": [{weekly}]}}"#);
    let practitioners = format!("generate_series(1, {PRACTITIONERS}) AS p(n)");
    let rows = [
        entry("location", &format!("'{LOCATION}'::uuid"), "NULL::uuid", location) + " FROM o",
        entry("service", &format!("'{SERVICE}'::uuid"), "NULL::uuid", service) + " FROM o",
        entry("practitioner", "md5('p' || n)::uuid", "NULL::uuid", practitioner) + &format!(" FROM o, {practitioners}"),
        entry("roster", "md5('r' || n)::uuid", "md5('p' || n)::uuid", &roster) + &format!(" FROM o, {practitioners}"),
    ];
    format!(
        "WITH o AS (SELECT id FROM availability.organizations LIMIT 1) INSERT INTO availability.entries \
         (organization_id, id, kind, parent_id, version, created_at_us, updated_at_us, archived_at_us, body) {}; \
         UPDATE availability.organizations SET directory_version = directory_version + 1",
        rows.join(" UNION ALL ")
    )
}

/// Appointments of half an hour, eight a day, from tomorrow on. The guard against overlaps is dropped for speed.
fn bookings() -> String {
    let visits = format!(
        "SELECT o.id AS org, md5(p || '/' || k)::uuid AS id, md5('p' || p)::uuid AS practitioner, \
         md5('room' || p)::uuid AS room, md5('patient')::uuid AS patient, \
         (extract(epoch FROM date_trunc('day', now()) + ((1 + k / 8) || ' days')::interval \
         + ((16 + k % 8) || ' hours')::interval) * 1000000)::bigint AS at \
         FROM (SELECT id FROM availability.organizations LIMIT 1) o, generate_series(1, {PRACTITIONERS}) p, \
         generate_series(0, {VISITS} - 1) k"
    );
    let claim = |kind: u8, resource: &str| {
        format!(
            "SELECT org, {kind}::smallint, {resource}, 0::smallint, at, at + 1800000000, id, NULL::bigint, \
             '{LOCATION}'::uuid, false FROM v"
        )
    };
    format!(
        "ALTER TABLE booking.claims DROP CONSTRAINT claims_do_not_overlap; \
         CREATE TABLE booking.v AS {visits}; \
         INSERT INTO booking.patients (organization_id, id, version, match_key, open_changes, details, created_at_us, \
         updated_at_us) SELECT DISTINCT org, patient, 1, 'load', 0, '{{}}', 0, 0 FROM booking.v; \
         INSERT INTO booking.appointments (organization_id, id, version, status, service_id, practitioner_id, location_id, \
         starts_at_us, ends_at_us, time_zone, starts_local, patient_id, displaced, note, link_generation, created_at_us, \
         updated_at_us) SELECT org, id, 1, 'booked', '{SERVICE}', practitioner, '{LOCATION}', at, at + 1800000000, \
         'America/Edmonton', '2026-03-09T09:00', patient, false, '', 0, 0, 0 FROM booking.v; \
         INSERT INTO booking.claims (organization_id, kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, \
         location_id, needling) {}; DROP TABLE booking.v; ANALYZE booking.claims",
        // Each claim has its own patient, because the appointments of one would overlap.
        [claim(1, "practitioner"), claim(2, "room"), claim(4, "md5('patient' || id)::uuid")]
            .join(" UNION ALL ")
            .replace("FROM v", "FROM booking.v")
    )
}
