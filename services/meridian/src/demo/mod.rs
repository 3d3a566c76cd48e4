//! `meridian demo`: everything in one process, with a fictional chain to try it on.

mod appointments;
mod care_plans;
mod chain;
mod load;

use anyhow::{Context as _, Result};
use gateway::{auth::Scope, keys::Keys};
use jiff::SignedDuration;
use runtime::{Clock, Shutdown, telemetry};

use crate::{
    background_runtime::Quiet,
    cli::Common,
    config::Config,
    roles::{self, Background, DEFAULT_ORGANIZATION, Role, Surroundings, Ways},
    serve,
};

const SETTLE_SECONDS: u32 = 2;
const FRONT_END: &str = "demo front end";
const KEYS: u32 = 200;
const STAFF: &str = "demo staff";

/// Runs the demo.
pub(crate) async fn run(common: &Common) -> Result<()> {
    let mut settings = common.settings()?;
    settings.config.reminder.service.check_files()?;
    let config = &mut settings.config;
    if config.telemetry.filter == telemetry::Config::default().filter {
        config.telemetry.filter = "warn".into();
    }
    // A word about a moved visit waits for the move to settle; whoever tries the demo should not have to.
    config.reminder.service.settle_seconds = SETTLE_SECONDS;
    let config = &settings.config;
    let guard = telemetry::start(&config.telemetry, "all")?;
    telemetry::collect_metrics();
    config.make_folder().context("the folder of the databases cannot be made")?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let (listener, address) = serve::listen(&config.listen).await?;
    let mut around = serve::surroundings(&settings, Some(address));
    if !around.clock.is_simulated() {
        // The chain has a past: it is loaded as the weeks go by.
        around.clock = Clock::behind(SignedDuration::from_hours(24 * care_plans::DAYS));
    }
    let ways = Ways::in_process();
    let availability = roles::availability(config, &around, &ways).await?;
    let booking = roles::booking(config, &around, &ways).await?;
    let mut background = Background::default();
    let end = shutdown.clone();
    background.run(async move { booking.run(end).await });
    let end = shutdown.clone();
    background.run(async move { availability.run(end).await });
    let search = load::chain(&around.clock, &ways, &shutdown).await?;
    if shutdown.has_begun() {
        background.ended(&shutdown).await;
        return Ok(());
    }
    // Only now: whoever starts from a snapshot sends no word about visits that were booked before.
    let quiet = Quiet::new()?;
    let reminder = roles::reminder(config, &around, &ways, &quiet).await?;
    let gateway = roles::gateway(config, &around, &ways).await?;
    let end = shutdown.clone();
    background.run_quietly(&quiet, async move { reminder.run(end).await });
    load::reminders(&around.clock, &ways, &shutdown).await;
    load::care_rules(&ways).await?;
    let (front_end, staff) = keys(config, &around).await?;
    show(around.public_url.as_deref().unwrap_or_default(), &front_end, &staff, &search);
    let served = gateway.serve(listener, shutdown.clone()).await;
    background.ended(&shutdown).await;
    guard.flush();
    Ok(served?)
}

/// New keys at each start: those of the start before are kept only as hashes, so they are revoked.
async fn keys(config: &Config, around: &Surroundings) -> Result<(String, String)> {
    let keys = Keys::open(&config.database_of(Role::Gateway), around.clock.clone(), around.ids.clone()).await?;
    let mut page = keys.page(DEFAULT_ORGANIZATION, None, KEYS).await?;
    while let Some(last) = page.last().cloned() {
        for key in page.iter().filter(|key| key.revoked_at_us.is_none()) {
            if [FRONT_END, STAFF].contains(&key.name.as_str()) {
                keys.revoke(DEFAULT_ORGANIZATION, key.id).await?;
            }
        }
        // Those that were revoked before come last.
        page = match last.revoked_at_us {
            None => keys.page(DEFAULT_ORGANIZATION, Some(&last), KEYS).await?,
            Some(_) => vec![],
        };
    }
    let front_end = [Scope::SlotsRead, Scope::BookingsWrite];
    let (_, front_end) = keys.create(DEFAULT_ORGANIZATION, FRONT_END, &front_end).await?;
    let (_, staff) = keys.create(DEFAULT_ORGANIZATION, STAFF, &[Scope::Admin]).await?;
    Ok((front_end, staff))
}

/// What there is to search for, so that the lines below find something.
pub(crate) struct Search {
    pub(crate) service: String,
    pub(crate) location: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

fn show(url: &str, front_end: &str, staff: &str, search: &Search) {
    let Search { service, location, from, to } = search;
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
