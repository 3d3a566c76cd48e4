//! `meridian keys`: API keys of the default organisation or of a named one.

use anyhow::{Result, bail};
use clap::Subcommand;
use domain::id::{KeyId, LocationId, OrganizationId};
use gateway::{
    auth::{self, Scope},
    keys::{Key, Keys, Permissions},
};
use jiff::Timestamp;
use runtime::{Clock, Ids};
use sql::Target;

use crate::{config::Config, roles::Role, storage};

const PAGE_SIZE: u32 = 200;

/// The commands about keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key and print it, this once
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// The role of its holder, whose scopes it has: reception, practitioner, operations or owner
        #[arg(long)]
        role: Option<auth::Role>,
        /// What it may do, such as slots:read; several with commas or by repeating
        #[arg(long = "scope", required_unless_present = "role", value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// A location to which it is limited, loc_…; several with commas or by repeating
        #[arg(long = "location", value_delimiter = ',', value_name = "LOC")]
        locations: Vec<LocationId>,
        /// The instant from which on it opens nothing, such as 2027-01-31T00:00:00Z
        #[arg(long = "expires-at", value_name = "INSTANT")]
        expires_at: Option<Timestamp>,
        /// The organisation that it belongs to
        #[arg(long, value_name = "ORG")]
        organization: Option<OrganizationId>,
    },
    /// List the keys, without the keys themselves: those in use first, of either the newest first
    List {
        /// The organisation that they belong to
        #[arg(long, value_name = "ORG")]
        organization: Option<OrganizationId>,
    },
    /// End a key
    Revoke {
        /// The key's id, key_…
        id: KeyId,
        /// The organisation that it belongs to
        #[arg(long, value_name = "ORG")]
        organization: Option<OrganizationId>,
    },
}

pub(crate) async fn run(config: &Config, command: Command) -> Result<()> {
    storage::prepare(config, None).await?;
    let (Command::Create { organization, .. } | Command::List { organization } | Command::Revoke { organization, .. }) =
        &command;
    let (clock, ids) = (Clock::system(), Ids::system());
    let organization = match organization {
        Some(named) => check_organization(config, *named).await?,
        None => availability::App::default_organization(&config.database_of(Role::Availability), &clock, &ids).await?,
    };
    let keys = Keys::open(&config.database_of(Role::Gateway), clock, ids).await?;
    match command {
        Command::Create { name, role, scopes, locations, expires_at, .. } => {
            let expires_at_us = expires_at.map(Timestamp::as_microsecond);
            if expires_at_us.is_some_and(|at| at <= Clock::system().now_us()) {
                bail!("--expires-at lies in the past: give an instant in the future, or leave it out");
            }
            let permissions = Permissions { role, scopes: &scopes, locations: &locations, expires_at_us };
            let (key, secret) = keys.create(organization, &name, permissions).await?;
            keys.record_command(organization, "create_key", key.id).await?;
            eprintln!("{} made; this is the only time that it is shown:", key.id);
            println!("{secret}");
        }
        Command::List { .. } => {
            let mut page = keys.page(organization, None, PAGE_SIZE).await?;
            while let Some(last) = page.last().cloned() {
                page.iter().for_each(print);
                page = keys.page(organization, Some(&last), PAGE_SIZE).await?;
            }
        }
        Command::Revoke { id, .. } => match keys.revoke(organization, id).await? {
            Some(_) => {
                keys.record_command(organization, "revoke_key", id).await?;
                println!("{id} is revoked; running gateways refuse it within 5 seconds");
            }
            None => bail!("there is no key {id} in this organisation"),
        },
    }
    Ok(())
}

fn print(key: &Key) {
    let has_expired = key.expires_at_us.is_some_and(|at| at <= Clock::system().now_us());
    let state = match (key.revoked_at_us, has_expired) {
        (Some(_), _) => "revoked",
        (None, true) => "expired",
        (None, false) => "in use",
    };
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let role = key.role.map(|role| format!("{}: ", role.as_str())).unwrap_or_default();
    let locations = key.locations.iter().flatten().map(|id| format!(" {id}")).collect::<String>();
    println!("{}  {state:8} {role}{}{locations}  {}", key.id, scopes.join(","), key.name);
}

/// Checks that a named organisation exists.
async fn check_organization(config: &Config, organization: OrganizationId) -> Result<OrganizationId> {
    let database = config.database_of(Role::Availability);
    let no_database = matches!(&database, Target::Sqlite(path) if !path.exists());
    if !no_database && availability::App::has_organization(&database, organization).await? {
        return Ok(organization);
    }
    bail!(
        "there is no organisation {organization} in availability's database; GET /v1/organizations lists those that there are"
    )
}
