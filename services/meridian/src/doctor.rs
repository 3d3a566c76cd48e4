//! `meridian doctor`: checks the configuration, the databases, the clock and the peers.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, bail};
use jiff::Timestamp;
use rpc::Tls;
use sql::{Target, builds, writable};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

mod absent;
mod audit;
mod zone_drift;

use crate::{
    backup,
    cli::Common,
    config::Config,
    peer_tls,
    roles::{Role, connect},
    secrets, serve, storage,
};

/// The deadline of a peer's health check.
const PEER_TIMEOUT: Duration = Duration::from_secs(3);
/// Fewest days of a certificate that need no mending.
const CERTIFICATE_DAYS_MIN: u64 = 14;

/// The checks that run only on request: they read whole tables.
pub(crate) struct Extras {
    /// The wall-clock times of appointments; `Some(true)` repairs them.
    pub(crate) zone_drift: Option<bool>,
    /// The chains of the audit log.
    pub(crate) audit: bool,
}

/// Runs all checks, prints their outcomes, and fails if any of them fails.
pub(crate) async fn run(common: &Common, extras: Extras) -> Result<()> {
    let mut problems = 0;
    let mut report = |check: &str, outcome: Result<String, String>| match outcome {
        Ok(state) => println!("ok      {check}: {state}"),
        Err(problem) => {
            problems += 1;
            println!("WRONG   {check}: {problem}");
        }
    };
    let config = match common.load() {
        Ok(config) => {
            report("configuration", Ok("every key is known and valid".into()));
            config
        }
        Err(error) => {
            report("configuration", Err(format!("{error:#}")));
            bail!("mend the configuration first");
        }
    };
    let files = config.reminder.service.check_files();
    report("files that it names", files.map(|()| "can be read".into()).map_err(|error| error.to_string()));
    report("clock", clock(common));
    report(
        "installation's key",
        match common.admin_key() {
            Ok(Some(_)) => Ok("is set".into()),
            Ok(None) => Ok("is not set; set MERIDIAN_ADMIN_KEY to manage keys over HTTP".into()),
            Err(error) => Err(format!("{error:#}")),
        },
    );
    report("keys of secrets", secrets::check(&config, common.is_dev()));
    report("public address", public_url(&config));
    // First: the checks of the databases connect to them.
    if let Some(builds) = builds(&config).await {
        report("builds that run", builds);
    }
    for role in Role::ALL {
        report(&format!("database of {}", role.as_str()), database(&config, role, common.is_dev()).await);
    }
    if let Some(backups) = backup::check(&config) {
        report("backups", backups);
    }
    if let Ok(clock) = common.clock() {
        report("appointments after a restore", absent::check(&config, &clock).await);
    }
    let tls = certificates(&config, &mut report);
    for (role, url) in config.peers.urls() {
        if let Some(url) = url {
            report(&format!("peer {}", role.as_str()), peer(role, url, tls.as_ref()).await);
        }
    }
    if extras.audit {
        for (chain, outcome) in audit::check(&config).await {
            report(&chain, outcome);
        }
    }
    if let Some(issuer) = &config.auth.oidc.issuer {
        report("OpenID provider", openid_provider(&config, issuer).await);
    }
    if let Some(repair) = extras.zone_drift {
        report("wall clocks of appointments", zone_drift::check(common, &config, repair).await);
    }
    if problems == 0 { Ok(()) } else { bail!("{problems} of these need mending") }
}

fn clock(common: &Common) -> Result<String, String> {
    let clock = common.clock().map_err(|error| error.to_string())?;
    let earliest: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap_or_default();
    if !clock.is_simulated() && clock.now() < earliest {
        return Err(format!("it shows {}, which is in the past: set the system's time", clock.now()));
    }
    Ok(format!("it shows {}", clock.now()))
}

/// Checks the public URL, which links and providers' reports use and which has two configuration keys.
fn public_url(config: &Config) -> Result<String, String> {
    if let Some((used, unused)) = config.public_urls_differ() {
        return Err(format!(
            "public_url is {used} and reminder.public_url is {unused}: they are one setting, and the first is used; leave \
             reminder.public_url out, or set both alike"
        ));
    }
    let reminder = &config.reminder.service;
    match config.public_url() {
        Some(url) => Ok(format!("links lead to {url}, and providers report there")),
        None if reminder.sms_provider != "sandbox" || reminder.smtp.url.is_some() => {
            Err("messages are sent, but public_url is not set: their links lead nowhere that patients can reach, and \
             providers cannot report; set it to the gateway's address"
                .to_owned())
        }
        None => Ok("public_url is not set; links lead to where the gateway listens".to_owned()),
    }
}

/// The builds that use the PostgreSQL databases of this configuration; `None` for embedded databases.
async fn builds(config: &Config) -> Option<Result<String, String>> {
    let mut targets: Vec<Target> = Vec::new();
    for target in Role::ALL.map(|role| config.database_of(role)) {
        if matches!(target, Target::Postgres(_)) && !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut found = BTreeMap::new();
    for target in &targets {
        match builds::connected(target).await {
            Ok(some) => found.extend(some),
            Err(error) => return Some(Err(format!("PostgreSQL cannot be asked: {error}"))),
        }
    }
    let found: Vec<String> = found.iter().map(|(build, count)| format!("{build} ({count} connections)")).collect();
    let this = concat!("this program is ", env!("CARGO_PKG_VERSION"));
    let running = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    (!targets.is_empty()).then(|| Ok(format!("{running}; {this}")))
}

async fn database(config: &Config, role: Role, is_dev: bool) -> Result<String, String> {
    if let Some(fault) = storage::faults(config, Some(role)).into_iter().next() {
        return Err(fault);
    }
    if let Some(missing) = storage::missing(config, Some(role)).await {
        return Err(missing);
    }
    match config.database_of(role) {
        Target::Sqlite(path) if !path.exists() => {
            Ok(format!("{} is not there yet; the first start makes it", path.display()))
        }
        target => {
            let name = match &target {
                Target::Sqlite(path) => path.display().to_string(),
                Target::Postgres(_) => "PostgreSQL".to_owned(),
            };
            if !is_dev && let Ok(Some(unbound)) = sql::unbound_role(&target).await {
                return Err(format!(
                    "{unbound}, so PostgreSQL does not keep organisations apart and services refuse to start: {}",
                    serve::MEND_ROLE
                ));
            }
            // First: a full disk may keep the file from being opened, too.
            if let Err(error) = writable::check(&target, role.as_str()).await {
                let cause = anyhow::Error::from(error);
                return Err(format!("{name} takes no writes: {}; the cause: {cause:#}", writable::MEND));
            }
            match role.pending_migrations(&target).await {
                Ok(0) => Ok(format!("{name} can be reached, takes writes and is up to date")),
                Ok(lacking) => Err(format!(
                    "{name} is not up to date (migrations to run: {lacking}): run meridian migrate, on PostgreSQL as the \
                         role that owns the schema"
                )),
                Err(error) if error.chain().any(sql::is_of_another_build) => Err(format!(
                    "{name} was migrated by a build of Meridian that does not run beside this one: use that build, or a new \
                     database ({error:#})"
                )),
                Err(error) => Err(format!("{name} cannot be reached: {error:#}")),
            }
        }
    }
}

async fn openid_provider(config: &Config, issuer: &str) -> Result<String, String> {
    match gateway::App::count_issuer_keys(&config.auth.oidc).await {
        Ok(Some(keys)) if keys > 0 => Ok(format!("{issuer} publishes keys that verify tokens: {keys}")),
        Ok(_) => Err(format!("{issuer} publishes no key that verifies tokens: is auth.oidc.jwks_url right?")),
        Err(error) => Err(format!("the keys of {issuer} cannot be fetched, so no token is taken: {error}")),
    }
}

/// Checks the certificates of roles; returns those of the role that this configuration is for.
fn certificates(config: &Config, report: &mut impl FnMut(&str, Result<String, String>)) -> Option<Tls> {
    let check = "certificates of roles";
    let Some(files) = config.peers.tls.files() else {
        // The gateway's exposure is that of the URLs alone.
        match peer_tls::exposure(config, Role::Gateway) {
            _ if config.peers.plaintext => println!("CAUTION {check}: {}", peer_tls::CAUTION),
            None => report(check, Ok("are not set: roles apart speak plain text, within this machine alone".into())),
            Some(exposure) => report(
                check,
                Err(format!("{exposure} without certificates, so a role refuses to start: set peers.tls")),
            ),
        }
        return None;
    };
    // A configuration does not say its role; the certificate does.
    let mut found = Role::ALL.map(|role| (role, Tls::open(files.clone(), role.as_str()))).into_iter();
    let Some((role, tls)) = found.find_map(|(role, tls)| Some((role, tls.ok()?))) else {
        let why =
            Tls::open(files, Role::Booking.as_str()).err().map(|error| format!("{:#}", anyhow::Error::from(error)));
        report(check, Err(format!("cannot be used: {}", why.unwrap_or_default())));
        return None;
    };
    let days = tls.days_left();
    let state = format!("{} is valid for {days} days", rpc::tls::dns_name(role.as_str()));
    let renew = "renew it with meridian certificates --renew";
    report(check, if days < CERTIFICATE_DAYS_MIN { Err(format!("{state}: {renew}")) } else { Ok(state) });
    Some(tls)
}

async fn peer(role: Role, url: &str, tls: Option<&Tls>) -> Result<String, String> {
    let channel = connect(role, url, tls).map_err(|error| format!("{url} is not a URL: {error:#}"))?;
    let health = async { HealthClient::new(channel).check(HealthCheckRequest::default()).await };
    match tokio::time::timeout(PEER_TIMEOUT, health).await {
        Ok(Ok(answer)) if answer.get_ref().status() != ServingStatus::Serving => {
            Err(format!("{url} is not ready: its /readyz on ops_listen names what is missing"))
        }
        Ok(Ok(_)) => Ok(format!("{url} serves")),
        Ok(Err(status)) => Err(format!(
            "{url} does not serve ({:?}): is it running, is the address right, and have both certificates of one authority \
             or none?",
            status.code()
        )),
        Err(_) => Err(format!("{url} did not answer within 3 s")),
    }
}
