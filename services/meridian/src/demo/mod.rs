//! `meridian demo`: all roles in one process, with a fictional chain of clinics.

mod appointments;
mod care_plans;
mod chain;
mod load;

use anyhow::Result;
use domain::id::OrganizationId;
use gateway::{
    auth::{self, Scope},
    keys::{Keys, Permissions},
};
use jiff::SignedDuration;
use runtime::{Clock, Shutdown, telemetry};

use crate::{
    background_runtime::BackgroundRuntime,
    cli::{Common, Settings},
    config::Config,
    roles::{self, BackgroundTasks, Peers, Role, Shared},
    secrets, serve, storage,
    write_watch::WriteWatch,
};

/// Instead of the default of `reminder.settle_seconds`.
const SETTLE_SECONDS: u32 = 2;
const FRONT_END: &str = "demo front end";
const PAGE_SIZE: u32 = 200;
const STAFF: &str = "demo staff";

/// Runs the demo.
pub(crate) async fn run(common: &Common) -> Result<()> {
    let mut settings = common.settings()?;
    settings.config.reminder.service.check_files()?;
    let config = &mut settings.config;
    if config.telemetry.filter == telemetry::Config::default().filter {
        config.telemetry.filter = "warn".into();
    }
    // Messages about a moved appointment wait until the move settles; the demo shortens the wait.
    config.reminder.service.settle_seconds = SETTLE_SECONDS;
    let config = &settings.config;
    let guard = telemetry::start(&config.telemetry, "all")?;
    telemetry::collect_metrics();
    storage::prepare(config, None).await?;
    // The demo has no real patients.
    let keyring = secrets::keyring(&Settings { dev: true, ..settings.clone() })?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let (listener, address) = serve::listen(&config.listen).await?;
    let mut shared = serve::shared(&settings, keyring, Some(address));
    if !shared.clock.is_simulated() {
        // The load of the chain plays the weeks before the present.
        shared.clock = Clock::behind(SignedDuration::from_hours(24 * care_plans::DAYS));
    }
    let peers = Peers::in_process();
    let availability = roles::availability(config, &shared, &peers).await?;
    let booking = roles::booking(config, &shared, &peers).await?;
    let mut tasks = BackgroundTasks::default();
    let end = shutdown.clone();
    let run = booking.clone();
    tasks.run(async move { run.run(end).await });
    let end = shutdown.clone();
    let run = availability.clone();
    tasks.run(async move { run.run(end).await });
    let organization = roles::default_organization(&peers.availability).await?;
    let search = load::chain(organization, &shared.clock, &peers, &shutdown).await?;
    if shutdown.has_begun() {
        tasks.finish(&shutdown).await;
        tokio::join!(booking.close(), availability.close());
        return Ok(());
    }
    // Reminder starts after the load: it sends no messages about appointments in its first snapshot.
    let background_runtime = BackgroundRuntime::new()?;
    let reminder = roles::reminder(config, &shared, &peers, &background_runtime).await?;
    let gateway = roles::gateway(config, &shared, &peers).await?;
    let end = shutdown.clone();
    let run = reminder.clone();
    tasks.run_on(&background_runtime, async move { run.run(end).await });
    tasks.run(WriteWatch::new(config, None, shared.readiness.clone()).run(shutdown.clone()));
    load::wait_for_reminder(&shared.clock, &peers, &shutdown).await;
    load::aftercare_rules(&peers).await?;
    let (front_end, staff) = create_keys(config, &shared, organization).await?;
    print_walk_through(shared.public_url.as_deref().unwrap_or_default(), &front_end, &staff, &search);
    let served = gateway.serve(listener, shutdown.clone()).await;
    tasks.finish(&shutdown).await;
    tokio::join!(booking.close(), availability.close(), reminder.close(), gateway.close());
    guard.flush();
    Ok(served?)
}

/// Creates the demo's keys and revokes those of the previous start, whose secrets are not stored.
async fn create_keys(config: &Config, shared: &Shared, organization: OrganizationId) -> Result<(String, String)> {
    let keys = Keys::open(&config.database_of(Role::Gateway), shared.clock.clone(), shared.ids.clone()).await?;
    let mut page = keys.page(organization, None, PAGE_SIZE).await?;
    while let Some(last) = page.last().cloned() {
        for key in page.iter().filter(|key| key.revoked_at_us.is_none()) {
            if [FRONT_END, STAFF].contains(&key.name.as_str()) {
                keys.revoke(organization, key.id).await?;
            }
        }
        // Revoked keys come last.
        page = match last.revoked_at_us {
            None => keys.page(organization, Some(&last), PAGE_SIZE).await?,
            Some(_) => vec![],
        };
    }
    let front_end = Permissions {
        role: None,
        scopes: &[Scope::SlotsRead, Scope::BookingsWrite],
        locations: &[],
        expires_at_us: None,
    };
    let (_, front_end) = keys.create(organization, FRONT_END, front_end).await?;
    let staff = Permissions { role: Some(auth::Role::Owner), scopes: &[], locations: &[], expires_at_us: None };
    let (_, staff) = keys.create(organization, STAFF, staff).await?;
    Ok((front_end, staff))
}

/// A search that finds open slots.
pub(crate) struct SearchExample {
    pub(crate) service: String,
    pub(crate) location: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

fn print_walk_through(url: &str, front_end: &str, staff: &str, search: &SearchExample) {
    let SearchExample { service, location, from, to } = search;
    let json = "-H 'content-type: application/json'";
    println!("listening on {url}");
    println!();
    println!("  front-end key  {front_end}");
    println!("  staff key      {staff}");
    println!("  documentation  {url}/docs");
    println!();
    println!("Paste these lines in turn: search, hold, book, reschedule, and see the messages in the sandbox.");
    println!();
    println!(
        "SLOTS=$(curl -s '{url}/v1/slots?service_id={service}&location_id={location}&from={from}&to={to}&limit=20' -H 'authorization: Bearer {front_end}' | grep -o 'slot_[A-Za-z0-9_-]*' | grep -v '^slot_id$'); echo \"$SLOTS\""
    );
    println!();
    println!(
        "HOLD=$(curl -s -X POST {url}/v1/holds -H 'authorization: Bearer {front_end}' {json} -d \"{{\\\"slot_id\\\":\\\"$(echo \"$SLOTS\" | head -1)\\\"}}\"); echo \"$HOLD\""
    );
    println!();
    println!(
        "BOOKED=$(curl -s -X POST {url}/v1/appointments -H 'authorization: Bearer {front_end}' {json} -d \"{{\\\"hold_id\\\":\\\"$(echo \"$HOLD\" | grep -o 'hold_[a-z0-9]*' | head -1)\\\",\\\"patient\\\":{{\\\"given_name\\\":\\\"Ada\\\",\\\"family_name\\\":\\\"Example\\\",\\\"phone\\\":\\\"+17805550123\\\",\\\"email\\\":\\\"ada@example.org\\\",\\\"consents\\\":[{{\\\"channel\\\":\\\"sms\\\",\\\"kind\\\":\\\"service\\\"}},{{\\\"channel\\\":\\\"email\\\",\\\"kind\\\":\\\"service\\\"}}]}}}}\"); echo \"$BOOKED\""
    );
    println!();
    println!(
        "curl -s -X POST \"$(echo \"$BOOKED\" | grep -o 'http[^\\\"]*/v1/manage/[A-Za-z0-9_-]*')/reschedule\" {json} -d \"{{\\\"slot_id\\\":\\\"$(echo \"$SLOTS\" | tail -1)\\\"}}\"; echo"
    );
    println!();
    println!(
        "sleep 4; curl -s \"{url}/v1/messages?appointment_id=$(echo \"$BOOKED\" | grep -o 'appt_[a-z0-9]*' | head -1)\" -H 'authorization: Bearer {staff}'; echo"
    );
    println!();
}
