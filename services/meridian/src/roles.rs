//! The four roles and their channels to each other: in memory inside one process, else over TCP, with mutual TLS where there
//! are certificates.

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::id::OrganizationId;
use rpc::{Channel, Context, Tls};
use runtime::{Clock, Ids, Readiness, Shutdown};
use service::{
    reseal::{Progress, Resealed},
    seal::Keyring,
};
use sql::Target;
use tokio::task::JoinSet;
use uuid::Uuid;
use wire::availability::{GetDefaultOrganizationRequest, directory_client::DirectoryClient};

use crate::{background_runtime::BackgroundRuntime, config::Config};

/// A role of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Availability,
    Booking,
    Reminder,
    Gateway,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Availability, Self::Booking, Self::Reminder, Self::Gateway];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Booking => "booking",
            Self::Reminder => "reminder",
            Self::Gateway => "gateway",
        }
    }

    /// The port of this machine on which others call it, unless they are configured otherwise.
    fn default_port(self) -> u16 {
        match self {
            Self::Availability => 9091,
            Self::Booking => 9090,
            Self::Reminder => 9092,
            Self::Gateway => 8080,
        }
    }

    /// Asks this role's SQLite file whether it holds data that presuppose the databases of the other roles.
    pub(crate) fn in_use(self) -> &'static str {
        match self {
            Self::Availability => availability::IN_USE,
            Self::Booking => booking::IN_USE,
            Self::Reminder => reminder::IN_USE,
            Self::Gateway => gateway::IN_USE,
        }
    }

    /// Migrates this role's database.
    pub(crate) async fn migrate(self, database: &Target) -> Result<()> {
        match self {
            Self::Availability => availability::App::migrate(database).await?,
            Self::Booking => booking::App::migrate(database).await?,
            Self::Reminder => reminder::App::migrate(database).await?,
            Self::Gateway => gateway::App::migrate(database).await?,
        }
        Ok(())
    }

    /// Seals the secrets in this role's database under the newest key.
    pub(crate) async fn reseal(self, database: &Target, keyring: &Keyring, progress: Progress<'_>) -> Result<Resealed> {
        Ok(match self {
            Self::Availability => availability::App::reseal(database, keyring, progress).await?,
            Self::Booking => booking::App::reseal(database, keyring, progress).await?,
            Self::Reminder => reminder::App::reseal(database, keyring, progress).await?,
            Self::Gateway => gateway::App::reseal(database, keyring).await?,
        })
    }

    /// The number of migrations that this role's database lacks.
    pub(crate) async fn pending_migrations(self, database: &Target) -> Result<usize> {
        Ok(match self {
            Self::Availability => availability::App::pending_migrations(database).await?,
            Self::Booking => booking::App::pending_migrations(database).await?,
            Self::Reminder => reminder::App::pending_migrations(database).await?,
            Self::Gateway => gateway::App::pending_migrations(database).await?,
        })
    }
}

/// The deadline of the call that makes the default organisation.
const DEFAULT_ORGANIZATION_TIMEOUT: Duration = Duration::from_secs(10);

/// The dependencies that all roles of a process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) readiness: Readiness,
    pub(crate) admin_key: Option<String>,
    /// The URL at which patients and providers reach the gateway; `None` in a process that cannot know it.
    pub(crate) public_url: Option<String>,
    /// Seals the secrets in the databases.
    pub(crate) keyring: Keyring,
}

/// The channels to the services.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) availability: Channel,
    pub(crate) booking: Channel,
    pub(crate) reminder: Channel,
    /// The certificates of this process, by which its peers know it.
    pub(crate) tls: Option<Tls>,
}

impl Peers {
    /// Channels to servers of this process, which are bound when the servers are built.
    pub(crate) fn in_process() -> Self {
        let [availability, booking, reminder] = [(); 3].map(|()| Channel::pending());
        Self { availability, booking, reminder, tls: None }
    }

    /// Channels over TCP to the configured addresses, with these certificates if there are any.
    pub(crate) fn over_tcp(config: &Config, tls: Option<Tls>) -> Result<Self> {
        let urls = config.peers.urls().map(|(role, url)| (role, url.map(str::to_owned)));
        let [availability, booking, reminder] = urls.map(|(role, url)| {
            let url = url.unwrap_or_else(|| format!("{}://127.0.0.1:{}", config.peers.scheme(), role.default_port()));
            connect(role, &url, tls.as_ref()).with_context(|| format!("peers.{} is not a URL", role.as_str()))
        });
        Ok(Self { availability: availability?, booking: booking?, reminder: reminder?, tls })
    }
}

/// A channel to a role, with mutual TLS if there are certificates.
pub(crate) fn connect(role: Role, url: &str, tls: Option<&Tls>) -> Result<Channel> {
    let channel = match tls {
        Some(tls) => Channel::connect_tls(url, tls, role.as_str())?,
        None => Channel::connect(url)?,
    };
    Ok(channel)
}

/// Builds availability, and makes the default organisation if there is none.
pub(crate) async fn availability(config: &Config, shared: &Shared, peers: &Peers) -> Result<availability::App> {
    let app = availability::App::build(availability::Deps {
        config: config.availability.service.clone(),
        clock: shared.clock.clone(),
        ids: shared.ids.clone(),
        database: config.database_of(Role::Availability),
        booking: peers.booking.clone(),
        readiness: shared.readiness.clone(),
        keyring: shared.keyring.clone(),
    })
    .await?;
    peers.availability.bind(app.routes());
    default_organization(&Channel::in_process(app.routes())).await?;
    Ok(app)
}

/// The default organisation, which the first call makes.
pub(crate) async fn default_organization(availability: &Channel) -> Result<OrganizationId> {
    let ctx = Context::new(OrganizationId::new(Uuid::nil()), "meridian", DEFAULT_ORGANIZATION_TIMEOUT);
    let request = ctx.request(GetDefaultOrganizationRequest {});
    let found = DirectoryClient::new(availability.clone()).get_default_organization(request).await;
    let found = found.map_err(rpc::Fault::from).context("the default organisation cannot be made")?;
    Ok(found.into_inner().id.parse()?)
}

/// Builds booking.
pub(crate) async fn booking(config: &Config, shared: &Shared, peers: &Peers) -> Result<booking::App> {
    let app = booking::App::build(
        config.booking.service.clone(),
        booking::Deps {
            clock: shared.clock.clone(),
            readiness: shared.readiness.clone(),
            ids: shared.ids.clone(),
            database: config.database_of(Role::Booking),
            availability: peers.availability.clone(),
            keyring: shared.keyring.clone(),
        },
    )
    .await?;
    peers.booking.bind(app.routes());
    Ok(app)
}

/// Builds reminder on the background runtime: messages may be some milliseconds late, searches may not.
pub(crate) async fn reminder(
    config: &Config,
    shared: &Shared,
    peers: &Peers,
    background_runtime: &BackgroundRuntime,
) -> Result<reminder::App> {
    let mut section = config.reminder.service.clone();
    section.public_url.clone_from(&shared.public_url);
    let deps = reminder::Deps {
        clock: shared.clock.clone(),
        ids: shared.ids.clone(),
        database: config.database_of(Role::Reminder),
        booking: peers.booking.clone(),
        availability: peers.availability.clone(),
        keyring: shared.keyring.clone(),
    };
    // Tasks that the app spawns run on the runtime that builds it.
    let app = background_runtime.handle().spawn(reminder::App::build(section, deps)).await??;
    peers.reminder.bind(app.routes());
    Ok(app)
}

/// Builds the gateway.
pub(crate) async fn gateway(config: &Config, shared: &Shared, peers: &Peers) -> Result<gateway::App> {
    let deps = gateway::Deps {
        clock: shared.clock.clone(),
        ids: shared.ids.clone(),
        database: config.database_of(Role::Gateway),
        availability: peers.availability.clone(),
        booking: peers.booking.clone(),
        reminder: peers.reminder.clone(),
        admin_key: shared.admin_key.clone(),
        oidc: config.auth.oidc.clone(),
        default_organization: None,
        readiness: shared.readiness.clone(),
        keyring: shared.keyring.clone(),
        public_url: shared.public_url.clone().unwrap_or_default(),
    };
    Ok(gateway::App::build(config.gateway.service.clone(), deps).await?)
}

/// The background tasks of a process.
#[derive(Default)]
pub(crate) struct BackgroundTasks(JoinSet<()>);

impl BackgroundTasks {
    /// Spawns a task, which must end when draining begins.
    pub(crate) fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Spawns a task on the background runtime.
    pub(crate) fn run_on(&mut self, runtime: &BackgroundRuntime, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn_on(task, runtime.handle());
    }

    /// Begins draining, and waits until every task has ended.
    pub(crate) async fn finish(mut self, shutdown: &Shutdown) {
        shutdown.begin();
        while self.0.join_next().await.is_some() {}
    }
}
