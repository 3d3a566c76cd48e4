//! Availability: the directory of each organisation, and the search for open slots.
//!
//! Owns the directory (locations, practitioners, services and everything below them) and answers searches from memory:
//! rosters from its own database, occupied time from booking's change feed. It never books a slot itself (booking does,
//! and checks the slot here first), and holds only the ids of patients.
//!
//! Start reading at `index/` (rosters as bits), `occupancy/` (claims as bits), `slots/` (the searches), and
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
use futures::future::BoxFuture;
use rpc::{Code, Context, Fault};
use runtime::{Clock, Ids, Readiness, Shutdown};
use service::{
    db_error,
    feed_client::FeedClient,
    idempotency::{self, RunningKeys},
    reseal::{Progress, Resealed},
    seal::Keyring,
    secrets,
};
use sql::{Failure, Target, feed::Reach};
use store::Store;
use tokio::sync::{Semaphore, watch};
use tonic::service::Routes;
use uuid::Uuid;
use wire::{
    availability::{directory_server::DirectoryServer, planner_server::PlannerServer, search_server::SearchServer},
    booking::booking_client::BookingClient,
};

use crate::{
    displacement::RecheckQueue, index::directory::Directory, organisations::Organisations, revision::Revision,
};

/// The full names of its gRPC services.
pub const SERVICES: [&str; 3] =
    ["meridian.availability.v1.Directory", "meridian.availability.v1.Planner", "meridian.availability.v1.Search"];

/// The longest wait for the caller's revision, in real time.
const REVISION_WAIT_MAX: Duration = Duration::from_secs(2);
/// The longest wait for the appointment that a request names, in real time.
const APPOINTMENT_WAIT_MAX: Duration = Duration::from_millis(300);
/// The most watchers of one replica.
const WATCHERS_MAX: usize = 2000;

/// Asks a database on SQLite whether it holds data that presuppose the databases of the other roles.
pub const IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM entries)";

/// The dependencies of the service.
pub struct Deps {
    /// The section `availability` of the configuration.
    pub config: Config,
    /// The source of time.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
    /// The database.
    pub database: Target,
    /// The connection to booking.
    pub booking: rpc::Channel,
    /// The register of what the process still lacks to be ready.
    pub readiness: Readiness,
    /// Seals the secrets in the database.
    pub keyring: Keyring,
}

/// The reason why the service cannot start.
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
    /// A secret in the database cannot be opened.
    #[error("availability's secrets cannot be opened")]
    Secrets(#[from] secrets::Error),
}

/// The availability service. Its futures are boxed: an async function is compiled where it is awaited, and that is to be here.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// The state that all requests and jobs share.
pub(crate) struct Inner {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) store: Store,
    pub(crate) organisations: Organisations,
    pub(crate) booking: BookingClient<rpc::Channel>,
    pub(crate) feed: FeedClient,
    pub(crate) readiness: Readiness,
    /// How far the feed has been applied; `None` before the first snapshot.
    pub(crate) applied: watch::Sender<Option<Reach>>,
    pub(crate) rechecks: RecheckQueue,
    /// Begun when watchers must reconnect elsewhere.
    pub(crate) draining: Shutdown,
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) running_keys: RunningKeys,
    /// Seals the secrets in the database.
    pub(crate) keyring: Keyring,
    /// The client for calendars on other servers.
    pub(crate) outbound: outbound::Client,
    pub(crate) calendars: Calendars,
    /// The costs of the plan engine.
    pub(crate) weights: Weights,
}

impl App {
    /// Opens and migrates the database and loads the directories.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn build(deps: Deps) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(async move {
            let store = Store::open(&deps.database).await?;
            store.migrate().await?;
            // It signs nothing: a wrong key is noticed at the start, before any address of a calendar is needed.
            secrets::load_or_insert(&store.database, &deps.keyring, "check", b"check").await?;
            deps.readiness.unready("projection", "the first snapshot of bookings is not there yet");
            let inner = Inner {
                clock: deps.clock,
                ids: deps.ids,
                store,
                organisations: Organisations::new(deps.config.travel),
                booking: BookingClient::new(deps.booking.clone()),
                feed: FeedClient::new(deps.booking, "availability"),
                readiness: deps.readiness,
                applied: watch::Sender::new(None),
                rechecks: RecheckQueue::default(),
                draining: Shutdown::new(),
                watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
                running_keys: RunningKeys::default(),
                keyring: deps.keyring,
                outbound: outbound::Client::new(deps.config.calendars.allow_private_addresses),
                calendars: deps.config.calendars,
                weights: deps.config.plan_weights.weights(),
            };
            for organization in inner.store.organizations().await? {
                inner.load_directory(organization.id).await?;
            }
            Ok(Self(Arc::new(inner)))
        })
    }

    /// The gRPC services behind the guard.
    pub fn routes(&self) -> Routes {
        let routes = Routes::new(DirectoryServer::new(grpc::directory::Service(self.0.clone())));
        let routes = routes.add_service(PlannerServer::new(grpc::planner::Service(self.0.clone())));
        rpc::guard(routes.add_service(SearchServer::new(grpc::search::Service(self.0.clone()))))
    }

    /// Runs the background jobs until draining begins.
    pub fn run(&self, shutdown: Shutdown) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let drain = async {
                shutdown.begun().await;
                self.0.draining.begin();
            };
            tokio::join!(
                jobs::feed::run(&self.0, &shutdown),
                jobs::displacement::run(&self.0, &shutdown),
                jobs::reload::run(&self.0, &shutdown),
                jobs::calendar_poll::run(&self.0, &shutdown),
                service::statistics::run(&self.0.store.database, &shutdown),
                drain
            );
        })
    }

    /// Closes the database, after the last request and the last job.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        self.0.store.database.close()
    }

    /// Migrates a database and does nothing else.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn migrate(database: &Target) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { Ok(Store::open(database).await?.migrate().await?) })
    }

    /// The default organisation of a database, made if there is none. Migrates the database.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn default_organization<'a>(
        database: &'a Target,
        clock: &'a Clock,
        ids: &'a Ids,
    ) -> BoxFuture<'a, Result<OrganizationId, Error>> {
        Box::pin(async move {
            let store = Store::open(database).await?;
            store.migrate().await?;
            let row = directory::organizations::ensure_default(&store, clock, ids).await?;
            Ok(OrganizationId::new(row.id))
        })
    }

    /// Whether a database has an organisation with this id. Migrates the database.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn has_organization(database: &Target, id: OrganizationId) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            let store = Store::open(database).await?;
            store.migrate().await?;
            Ok(store.organization(id.uuid()).await?.is_some())
        })
    }

    /// Seals the secrets of a database under the newest key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn reseal<'a>(
        database: &'a Target,
        keyring: &'a Keyring,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<Resealed, Error>> {
        Box::pin(async move {
            let store = Store::open(database).await?;
            store.migrate().await?;
            let mut resealed = secrets::reseal(&store.database, keyring).await?;
            resealed.add(directory::stored::reseal(&store, keyring, progress).await?);
            resealed.add(idempotency::reseal(&store.database, keyring, progress).await?);
            Ok(resealed)
        })
    }

    /// The number of migrations that a database lacks. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn pending_migrations(database: &Target) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async move { Ok(store::SCHEMA.pending(database).await?) })
    }
}

impl Inner {
    /// Loads an organisation's directory from the database; an unknown organisation stays unknown.
    pub(crate) async fn load_directory(&self, organization: Uuid) -> Result<(), Failure> {
        let Some((version, rows)) = self.store.directory(organization).await? else { return Ok(()) };
        let entries = rows.iter().filter_map(|row| {
            let organization_id = OrganizationId::new(organization);
            directory::stored::from_row(&self.keyring, organization, row)
                .map_err(|error| {
                    tracing::error!(%organization_id, kind = row.kind, id = %row.id, %error, "a stored entry cannot be read");
                })
                .ok()
        });
        self.organisations.publish(organization, Directory::new(version, entries), self.clock.now());
        Ok(())
    }

    /// Loads a directory again where another process has changed it since the known version; answers whether it has.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn load_newer_directory(&self, organization: Uuid, known: Option<i64>) -> Result<bool, Fault> {
        let stored = self.store.directory_version(organization).await.map_err(db_error::fault)?;
        let is_newer = stored > known;
        if is_newer {
            self.load_directory(organization).await.map_err(db_error::fault)?;
        }
        Ok(is_newer)
    }

    /// Waits until the occupancy is loaded, and the directory and the occupancy include the caller's revision.
    ///
    /// # Errors
    /// `projection_behind` after 2 s.
    pub(crate) async fn wait_for_revision(&self, ctx: &Context) -> Result<(), Fault> {
        let wanted = self.wait_for_directory(ctx).await?.bookings;
        let reached = |applied: &Option<Reach>| {
            applied.as_ref().is_some_and(|applied| wanted.iter().all(|wanted| applied.has(*wanted)))
        };
        if reached(&self.applied.borrow()) {
            return Ok(());
        }
        let mut applied = self.applied.subscribe();
        let within = REVISION_WAIT_MAX.min(ctx.remaining());
        match tokio::time::timeout(within, applied.wait_for(reached)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(projection_behind()),
        }
    }

    /// Waits a moment for an appointment that a request names: it may have been booked just now.
    pub(crate) async fn wait_for_appointment(&self, ctx: &Context, appointment: &str) {
        let Ok(id) = appointment.parse::<AppointmentId>() else { return };
        let Some(organisation) = self.organisations.get(ctx.organization.uuid()) else { return };
        let known = |_: &Option<Reach>| organisation.occupancy(self.clock.now()).appointment(id.uuid()).is_some();
        if known(&None) {
            return;
        }
        let mut applied = self.applied.subscribe();
        // After the time-out, the request itself reports the unknown appointment.
        let _ = tokio::time::timeout(APPOINTMENT_WAIT_MAX.min(ctx.remaining()), applied.wait_for(known)).await;
    }

    /// Loads the directory where it is older than the caller's revision; returns the revision.
    ///
    /// # Errors
    /// `projection_behind` where the database has no such version yet.
    pub(crate) async fn wait_for_directory(&self, ctx: &Context) -> Result<Revision, Fault> {
        let Some(text) = &ctx.revision else { return Ok(Revision::default()) };
        let revision: Revision = text.parse().map_err(|_| {
            let detail = "send back the Meridian-Revision of an answer, as it is";
            Fault::violation("Meridian-Revision", "invalid_revision", detail)
        })?;
        let organization = ctx.organization.uuid();
        let is_older =
            |version: i64| self.organisations.directory(organization).is_some_and(|known| known.version < version);
        if let Some(version) = revision.directory
            && (self.organisations.directory(organization).is_none() || is_older(version))
        {
            self.load_directory(organization).await.map_err(db_error::fault)?;
            if is_older(version) {
                return Err(projection_behind());
            }
        }
        Ok(revision)
    }

    /// The revision that an answer includes: the present state, and the caller's revision.
    pub(crate) fn revision(&self, ctx: &Context) -> String {
        let requested = ctx.revision.as_ref().and_then(|text| text.parse::<Revision>().ok()).unwrap_or_default();
        let directory = self.organisations.directory(ctx.organization.uuid()).map(|directory| directory.version);
        let applied = self.applied.borrow().as_ref().map(|applied| applied.position);
        Revision { directory: requested.directory.max(directory), ..requested.including(applied) }.to_string()
    }
}

fn projection_behind() -> Fault {
    Fault::new(Code::ProjectionBehind, "the search has not caught up with this revision; try again shortly")
        .retry_after(Duration::from_secs(1))
}
