//! Availability: what there is, when it works, and which slots are open.
//!
//! Owns the directory (locations, practitioners, services and what belongs to them) and answers the search from
//! memory: rosters from its own database, what is taken from booking's change feed. It never takes a slot itself
//! (booking does, and asks here first), and holds nothing about patients but their ids.
//!
//! Start reading at `index/` (rosters as bits), `occupancy/` (what is taken), `slots/` (the questions), and
//! `directory/write.rs` (how the directory changes).

#![warn(clippy::unwrap_used)]

mod changes;
mod config;
mod directory;
mod displacement;
mod grpc;
mod ical;
mod index;
mod jobs;
mod occupancy;
mod organisations;
mod planner;
mod revision;
mod slots;
mod store;

use std::{sync::Arc, time::Duration};

use careplan::series::Weights;
pub use config::{Calendars, Config, PlanWeights, Travel};
use domain::id::{AppointmentId, OrganizationId};
use rpc::{Code, Context, Fault};
use runtime::{Clock, Ids, Readiness, Shutdown};
use sql::{Failure, Target, feed::Reach};
use store::Store;
use tokio::sync::{Semaphore, watch};
use tonic::service::Routes;
use uuid::Uuid;
use wire::{
    availability::{directory_server::DirectoryServer, planner_server::PlannerServer, search_server::SearchServer},
    booking::{booking_client::BookingClient, feed_client::FeedClient},
};

use crate::{
    displacement::Doubts,
    index::directory::{Directory, Entry},
    organisations::Orgs,
    revision::Revision,
};

/// The full names of the services that it serves.
pub const SERVICES: [&str; 3] =
    ["meridian.availability.v1.Directory", "meridian.availability.v1.Planner", "meridian.availability.v1.Search"];

/// The longest that a read waits for the revision that it was given, in real time.
const FRESH_WITHIN: Duration = Duration::from_secs(2);
/// The longest that a question waits for an appointment that it names, in real time.
const KNOWN_WITHIN: Duration = Duration::from_millis(300);
/// Questions that one replica follows at a time.
const WATCHERS_MAX: usize = 2000;
/// How often a replica looks for changes of the directory by others, in real time.
const RELOAD_EVERY: Duration = Duration::from_millis(500);

/// What the service needs from outside.
pub struct Deps {
    /// Its section of the configuration.
    pub config: Config,
    /// Where time comes from.
    pub clock: Clock,
    /// Where ids come from.
    pub ids: Ids,
    /// Where the data is kept.
    pub database: Target,
    /// The way to booking.
    pub booking: rpc::Channel,
    /// Where it says whether it is ready.
    pub readiness: Readiness,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be opened.
    #[error("availability's database cannot be used")]
    Database(#[from] sqlx::Error),
    /// The database cannot be read.
    #[error("availability's database cannot be read")]
    Read(#[from] Failure),
    /// A migration failed.
    #[error("availability's database cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// The availability service.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What every handler shares.
pub(crate) struct Inner {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) store: Store,
    pub(crate) orgs: Orgs,
    pub(crate) booking: BookingClient<rpc::Channel>,
    pub(crate) feed: FeedClient<rpc::Channel>,
    pub(crate) readiness: Readiness,
    /// How far the feed has been applied; `None` before the first snapshot.
    pub(crate) applied: watch::Sender<Option<Reach>>,
    /// Which appointments' ground is to be looked at again.
    pub(crate) doubts: Doubts,
    /// Set when those who watch must go and come back elsewhere.
    pub(crate) draining: Shutdown,
    /// Those who may watch at a time.
    pub(crate) watchers: Arc<Semaphore>,
    /// Reads calendars that are kept elsewhere.
    pub(crate) outbound: outbound::Client,
    pub(crate) calendars: Calendars,
    /// What a plan's departures from the best cost.
    pub(crate) weights: Weights,
}

impl App {
    /// Opens and migrates the database, reads the directory, and makes the service ready to serve.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn build(deps: Deps) -> Result<Self, Error> {
        let store = Store::open(&deps.database).await?;
        store.migrate().await?;
        deps.readiness.unready("projection", "the first snapshot of bookings is not there yet");
        let inner = Inner {
            clock: deps.clock,
            ids: deps.ids,
            store,
            orgs: Orgs::new(deps.config.travel),
            booking: BookingClient::new(deps.booking.clone()),
            feed: FeedClient::new(deps.booking),
            readiness: deps.readiness,
            applied: watch::Sender::new(None),
            doubts: Doubts::default(),
            draining: Shutdown::new(),
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
            outbound: outbound::Client::new(deps.config.calendars.allow_private_addresses),
            calendars: deps.config.calendars,
            weights: deps.config.plan_weights.weights(),
        };
        for organization in inner.store.organizations().await? {
            inner.reload(organization.id).await?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// The gRPC services, with the guard in front.
    pub fn routes(&self) -> Routes {
        let routes = Routes::new(DirectoryServer::new(grpc::directory::Service(self.0.clone())));
        let routes = routes.add_service(PlannerServer::new(grpc::planner::Planner(self.0.clone())));
        rpc::guard(routes.add_service(SearchServer::new(grpc::search::Service(self.0.clone()))))
    }

    /// Follows booking's feed and other replicas' changes of the directory, and tells booking of displaced
    /// appointments, until draining begins.
    pub async fn run(&self, shutdown: Shutdown) {
        let feed = jobs::feed::run(&self.0, &shutdown);
        let doubts = displacement::run(&self.0, &shutdown);
        let drain = async {
            shutdown.begun().await;
            self.0.draining.begin();
        };
        let calendars = jobs::calendar_poll::run(&self.0, &shutdown);
        tokio::join!(feed, doubts, self.watch(&shutdown), calendars, drain);
    }

    /// Notices other replicas' changes of the directory, and that a day has passed.
    async fn watch(&self, shutdown: &Shutdown) {
        let mut ticks = tokio::time::interval(RELOAD_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.until(ticks.tick()).await.is_some() {
            let inner = self.0.clone();
            // A day's new calendars take longer than other tasks should wait.
            let upkeep = tokio::task::spawn_blocking(move || inner.orgs.upkeep(inner.clock.now()));
            if let Err(error) = upkeep.await {
                tracing::error!(%error, "the calendars could not be moved on to the present day");
            }
            if let Err(error) = self.reload_changed().await {
                tracing::warn!(%error, "the directory could not be read again");
            }
        }
    }

    async fn reload_changed(&self) -> Result<(), Failure> {
        for row in self.0.store.organizations().await? {
            let known = self.0.orgs.directory(row.id).map(|directory| directory.version);
            if known.is_none_or(|known| known < row.directory_version) {
                self.0.reload(row.id).await?;
                self.0.doubts.all(row.id);
            }
        }
        Ok(())
    }

    /// Migrates a database and does nothing else.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn migrate(database: &Target) -> Result<(), Error> {
        Ok(Store::open(database).await?.migrate().await?)
    }

    /// Whether a database has an organisation of this id. Migrates it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn has_organization(database: &Target, id: OrganizationId) -> Result<bool, Error> {
        let store = Store::open(database).await?;
        store.migrate().await?;
        Ok(store.organization(id.uuid()).await?.is_some())
    }

    /// How many migrations a database still lacks. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_migrations(database: &Target) -> Result<usize, Error> {
        let (sqlite, postgres) = (&store::sqlite::MIGRATIONS, &store::postgres::MIGRATIONS);
        Ok(sql::pending(database, "availability", sqlite, postgres).await?)
    }
}

impl Inner {
    /// Reads an organisation's directory from the database; an unknown one stays unknown.
    pub(crate) async fn reload(&self, organization: Uuid) -> Result<(), Failure> {
        let Some((version, rows)) = self.store.entries(organization).await? else { return Ok(()) };
        let entries = rows.iter().filter_map(|row| {
            Entry::read(row).map_err(|error| tracing::error!(%error, "a stored entry cannot be read")).ok()
        });
        self.orgs.publish(organization, Directory::new(version, entries), self.clock.now());
        Ok(())
    }

    /// Waits until what is taken is known at all, and this replica is as fresh as the caller asks.
    pub(crate) async fn fresh(&self, ctx: &Context) -> Result<(), Fault> {
        let wanted = self.fresh_directory(ctx).await?.bookings;
        let reached = |applied: &Option<Reach>| {
            applied.as_ref().is_some_and(|applied| wanted.iter().all(|wanted| applied.has(*wanted)))
        };
        if reached(&self.applied.borrow()) {
            return Ok(());
        }
        let mut applied = self.applied.subscribe();
        let within = FRESH_WITHIN.min(ctx.remaining());
        match tokio::time::timeout(within, applied.wait_for(reached)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(behind()),
        }
    }

    /// Waits a moment for an appointment that was booked just now, where a question names one that is not known.
    pub(crate) async fn knows(&self, ctx: &Context, appointment: &str) {
        let Ok(id) = appointment.parse::<AppointmentId>() else { return };
        let Some(org) = self.orgs.get(ctx.organization.uuid()) else { return };
        let known = |_: &Option<Reach>| org.projection(self.clock.now()).appointment(id.uuid()).is_some();
        if known(&None) {
            return;
        }
        let mut applied = self.applied.subscribe();
        // One that is unknown still is so for the question itself to say.
        let _ = tokio::time::timeout(KNOWN_WITHIN.min(ctx.remaining()), applied.wait_for(known)).await;
    }

    /// Makes the directory as fresh as the caller asks; answers the whole revision that was asked for.
    pub(crate) async fn fresh_directory(&self, ctx: &Context) -> Result<Revision, Fault> {
        let Some(text) = &ctx.revision else { return Ok(Revision::default()) };
        let revision: Revision = text.parse().map_err(|_| {
            let detail = "send back the Meridian-Revision of an answer, as it is";
            Fault::violation("Meridian-Revision", "invalid_revision", detail)
        })?;
        let organization = ctx.organization.uuid();
        let older = |version: i64| self.orgs.directory(organization).is_some_and(|known| known.version < version);
        if let Some(version) = revision.directory
            && (self.orgs.directory(organization).is_none() || older(version))
        {
            self.reload(organization).await.map_err(failure)?;
            if older(version) {
                return Err(behind());
            }
        }
        Ok(revision)
    }

    /// The revision that an answer is computed at; what the caller asked for is part of it.
    pub(crate) fn revision(&self, ctx: &Context) -> String {
        let asked = ctx.revision.as_ref().and_then(|text| text.parse::<Revision>().ok()).unwrap_or_default();
        let directory = self.orgs.directory(ctx.organization.uuid()).map(|directory| directory.version);
        let own = self.applied.borrow().as_ref().map(|applied| applied.position);
        Revision { directory: asked.directory.max(directory), ..asked.settled(own) }.to_string()
    }
}

fn behind() -> Fault {
    Fault::new(Code::ProjectionBehind, "the search has not caught up with this revision; try again shortly")
        .retry_after(Duration::from_secs(1))
}

/// A failure of the database in public words.
pub(crate) fn failure(failure: Failure) -> Fault {
    match failure {
        Failure::Busy(_) | Failure::Serialization(_) => {
            Fault::new(Code::Overloaded, "the database is busy; try again shortly").retry_after(Duration::from_secs(1))
        }
        Failure::Unstorable(_) => {
            Fault::new(Code::ValidationFailed, "a text holds the character U+0000, which cannot be stored")
        }
        other => {
            let cause = std::error::Error::source(&other).map(ToString::to_string).unwrap_or_default();
            Fault::internal(format!("{other}: {cause}"))
        }
    }
}
