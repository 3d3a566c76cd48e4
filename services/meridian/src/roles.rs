//! The four roles and their channels to each other: in memory inside one process, else over TCP, with mutual TLS where there
//! are certificates.

use anyhow::{Context as _, Result};
use domain::id::OrganizationId;
use rpc::{Channel, Context, Tls};
use runtime::{Clock, Ids, Readiness, Shutdown};
use sql::Target;
use tokio::task::JoinSet;
use uuid::Uuid;
use wire::availability::{CreateOrganizationRequest, directory_client::DirectoryClient};

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

/// The organisation that the first start creates; its id is the same in every installation.
pub(crate) const DEFAULT_ORGANIZATION: OrganizationId =
    OrganizationId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

/// The deadline of the call that creates it.
const CREATE_ORGANIZATION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The dependencies that all roles of a process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) readiness: Readiness,
    pub(crate) admin_key: Option<String>,
    /// The URL at which patients and providers reach the gateway; `None` in a process that cannot know it.
    pub(crate) public_url: Option<String>,
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

/// Builds availability, and creates the default organisation if there is none.
pub(crate) async fn availability(config: &Config, shared: &Shared, peers: &Peers) -> Result<availability::App> {
    let app = availability::App::build(availability::Deps {
        config: config.availability.service.clone(),
        clock: shared.clock.clone(),
        ids: shared.ids.clone(),
        database: config.database_of(Role::Availability),
        booking: peers.booking.clone(),
        readiness: shared.readiness.clone(),
    })
    .await?;
    peers.availability.bind(app.routes());
    let ctx = Context::new(DEFAULT_ORGANIZATION, "meridian", CREATE_ORGANIZATION_TIMEOUT);
    let request = CreateOrganizationRequest {
        id: DEFAULT_ORGANIZATION.to_string(),
        name: "Default organisation".into(),
        default_language: "en".into(),
        country: "CA".into(),
    };
    let created =
        DirectoryClient::new(Channel::in_process(app.routes())).create_organization(ctx.request(request)).await;
    created.map_err(rpc::Fault::from).context("the default organisation cannot be made")?;
    Ok(app)
}

/// Builds booking.
pub(crate) async fn booking(config: &Config, shared: &Shared, peers: &Peers) -> Result<booking::App> {
    let app = booking::App::build(
        config.booking.service.clone(),
        booking::Deps {
            clock: shared.clock.clone(),
            ids: shared.ids.clone(),
            database: config.database_of(Role::Booking),
            availability: peers.availability.clone(),
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
        default_organization: DEFAULT_ORGANIZATION,
        readiness: shared.readiness.clone(),
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
