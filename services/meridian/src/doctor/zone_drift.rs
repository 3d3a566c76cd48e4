//! `meridian doctor --tz`: upcoming appointments whose wall-clock time has changed with the rules of their time zone.

use booking::{App, Repair, ZoneDrift};
use domain::time::zone;

use crate::{
    cli::Common,
    config::Config,
    roles::{self, Peers, Role, Shared},
    secrets,
};

/// Lists the affected appointments, or moves them to their wall-clock time. Fails if any are left.
pub(super) async fn check(common: &Common, config: &Config, repair: bool) -> Result<String, String> {
    let target = config.database_of(Role::Booking);
    if let sql::Target::Sqlite(path) = &target
        && !path.exists()
    {
        return Ok("there are none yet".into());
    }
    let app = app(common, config).await.map_err(|error| format!("{error:#}"))?;
    let wrong = app.zone_drifts().await.map_err(|error| format!("booking's database cannot be read: {error}"))?;
    if wrong.is_empty() {
        return Ok("all show the promised hour".into());
    }
    let (count, mut left) = (wrong.len(), 0);
    for one in &wrong {
        let outcome = if repair { Some(mend(&app, one).await) } else { None };
        let (is_left, words) = match outcome {
            None => (true, ""),
            Some(Ok(Repair::Moved)) => (false, "; moved"),
            Some(Ok(Repair::Conflict)) => {
                (true, "; NOT moved: someone else has that time, settle it with the patients")
            }
            Some(Ok(Repair::Group)) => (true, "; NOT moved: it is a place in a group session, move that by hand"),
            Some(Ok(Repair::Changed)) => (true, "; NOT moved: it has just been changed, look again"),
            Some(Err(_)) => (true, "; NOT moved: the database failed, try again"),
        };
        left += usize::from(is_left);
        println!("        {}{words}", line(one));
    }
    match (left, repair) {
        (0, _) => Ok(format!("{count} were wrong and have been moved")),
        (_, true) => Err(format!("{left} of {count} could not be moved")),
        (_, false) => {
            Err(format!("{count} begin at another hour than was promised: run meridian doctor --tz --repair"))
        }
    }
}

async fn mend(app: &App, wrong: &ZoneDrift) -> Result<Repair, rpc::Fault> {
    app.repair_zone_drift(wrong).await
}

fn line(wrong: &ZoneDrift) -> String {
    let ZoneDrift { appointment, location, time_zone, wall_clock, starts_at, should_start_at, .. } = wrong;
    let shows = zone(time_zone).map(|zone| starts_at.to_zoned(zone).datetime().strftime("%Y-%m-%dT%H:%M").to_string());
    let (promised, shows) = (wall_clock.strftime("%Y-%m-%dT%H:%M"), shows.unwrap_or_default());
    format!(
        "{appointment} at {location}: promised {promised} in {time_zone}, but {starts_at} shows {shows}; {should_start_at} is right"
    )
}

/// Booking over its database, without a server.
async fn app(common: &Common, config: &Config) -> anyhow::Result<App> {
    let shared = Shared {
        clock: common.clock()?,
        ids: runtime::Ids::system(),
        readiness: runtime::Readiness::new(),
        admin_key: None,
        public_url: None,
        keyring: secrets::keyring(&common.settings()?)?,
    };
    roles::booking(config, &shared, &Peers::in_process()).await
}
