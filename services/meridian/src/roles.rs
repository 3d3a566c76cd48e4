//! The four roles, wired to each other: in one process straight into each other's servers, apart over TCP.

use anyhow::{Context as _, Result};
use domain::id::OrganizationId;
use rpc::{Channel, Context};
use runtime::{Clock, Ids, Readiness, Shutdown};
use sql::Target;
use tokio::task::JoinSet;
use uuid::Uuid;
use wire::availability::{CreateOrganizationRequest, directory_client::DirectoryClient};

use crate::{background_runtime::Quiet, config::Config};

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

    /// Brings this role's database up to date.
    pub(crate) async fn migrate(self, database: &Target) -> Result<()> {
        match self {
            Self::Availability => availability::App::migrate(database).await?,
            Self::Booking => booking::App::migrate(database).await?,
            Self::Reminder => reminder::App::migrate(database).await?,
            Self::Gateway => gateway::App::migrate(database).await?,
        }
        Ok(())
    }

    /// How many migrations this role's database still lacks.
    pub(crate) async fn pending_migrations(self, database: &Target) -> Result<usize> {
        Ok(match self {
            Self::Availability => availability::App::pending_migrations(database).await?,
            Self::Booking => booking::App::pending_migrations(database).await?,
            Self::Reminder => reminder::App::pending_migrations(database).await?,
            Self::Gateway => gateway::App::pending_migrations(database).await?,
        })
    }
}

/// The organisation that the first start makes; the same in every installation.
pub(crate) const DEFAULT_ORGANIZATION: OrganizationId =
    OrganizationId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

const SETTING_UP_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// What all roles of a process share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) readiness: Readiness,
    pub(crate) admin_key: Option<String>,
    /// Where patients and providers find the gateway; `None` in a process that cannot know it.
    pub(crate) public_url: Option<String>,
}

/// The ways to the services.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) availability: Channel,
    pub(crate) booking: Channel,
    pub(crate) reminder: Channel,
}

impl Ways {
    /// Into servers of this process, which are bound when they are built.
    pub(crate) fn in_process() -> Self {
        Self { availability: Channel::pending(), booking: Channel::pending(), reminder: Channel::pending() }
    }

    /// Over TCP, to where the configuration says.
    pub(crate) fn over_tcp(config: &Config) -> Result<Self> {
        let way = |name: &str, uri: &Option<String>, port: u16| {
            let uri = uri.clone().unwrap_or_else(|| format!("http://127.0.0.1:{port}"));
            Channel::connect(&uri).with_context(|| format!("peers.{name} is not a URL"))
        };
        Ok(Self {
            availability: way("availability", &config.peers.availability, 9091)?,
            booking: way("booking", &config.peers.booking, 9090)?,
            reminder: way("reminder", &config.peers.reminder, 9092)?,
        })
    }
}

/// Builds availability, and makes the default organisation where there is none.
pub(crate) async fn availability(config: &Config, around: &Surroundings, ways: &Ways) -> Result<availability::App> {
    let app = availability::App::build(availability::Deps {
        config: config.availability.service.clone(),
        clock: around.clock.clone(),
        ids: around.ids.clone(),
        database: config.database_of(Role::Availability),
        booking: ways.booking.clone(),
        readiness: around.readiness.clone(),
    })
    .await?;
    ways.availability.bind(app.routes());
    let ctx = Context::new(DEFAULT_ORGANIZATION, "meridian", SETTING_UP_WITHIN);
    let request = CreateOrganizationRequest {
        id: DEFAULT_ORGANIZATION.to_string(),
        name: "Default organisation".into(),
        default_language: "en".into(),
        country: "CA".into(),
    };
    let made = DirectoryClient::new(Channel::in_process(app.routes())).create_organization(ctx.request(request)).await;
    made.map_err(rpc::Fault::from).context("the default organisation cannot be made")?;
    Ok(app)
}

/// Builds booking.
pub(crate) async fn booking(config: &Config, around: &Surroundings, ways: &Ways) -> Result<booking::App> {
    let app = booking::App::build(
        config.booking.service.clone(),
        booking::Deps {
            clock: around.clock.clone(),
            ids: around.ids.clone(),
            database: config.database_of(Role::Booking),
            availability: ways.availability.clone(),
        },
    )
    .await?;
    ways.booking.bind(app.routes());
    Ok(app)
}

/// Builds reminder, in the quiet threads: a message may leave some milliseconds later, a search may not.
pub(crate) async fn reminder(
    config: &Config,
    around: &Surroundings,
    ways: &Ways,
    quiet: &Quiet,
) -> Result<reminder::App> {
    let mut section = config.reminder.service.clone();
    section.public_url.clone_from(&around.public_url);
    let deps = reminder::Deps {
        clock: around.clock.clone(),
        ids: around.ids.clone(),
        database: config.database_of(Role::Reminder),
        booking: ways.booking.clone(),
        availability: ways.availability.clone(),
    };
    // What it spawns runs there, too.
    let app = quiet.handle().spawn(reminder::App::build(section, deps)).await??;
    ways.reminder.bind(app.routes());
    Ok(app)
}

/// Builds the gateway.
pub(crate) async fn gateway(config: &Config, around: &Surroundings, ways: &Ways) -> Result<gateway::App> {
    let deps = gateway::Deps {
        clock: around.clock.clone(),
        ids: around.ids.clone(),
        database: config.database_of(Role::Gateway),
        availability: ways.availability.clone(),
        booking: ways.booking.clone(),
        reminder: ways.reminder.clone(),
        admin_key: around.admin_key.clone(),
        default_organization: DEFAULT_ORGANIZATION,
        readiness: around.readiness.clone(),
        public_url: around.public_url.clone().unwrap_or_default(),
    };
    Ok(gateway::App::build(config.gateway.service.clone(), deps).await?)
}

/// The background work of a process, ended together.
#[derive(Default)]
pub(crate) struct Background(JoinSet<()>);

impl Background {
    /// Runs something until draining begins.
    pub(crate) fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(work);
    }

    /// The same in threads that give way.
    pub(crate) fn run_quietly(&mut self, quiet: &Quiet, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn_on(work, quiet.handle());
    }

    /// Waits until everything has ended.
    pub(crate) async fn ended(mut self, shutdown: &Shutdown) {
        shutdown.begin();
        while self.0.join_next().await.is_some() {}
    }
}
