//! Booking: appointments, and the claims that they make on time.
//!
//! Owns patients, holds, appointments and their claims, care plans, the waitlist, idempotency records and the change feed.
//! Availability decides whether a practitioner works at an hour, and booking asks it; the reminder service talks to
//! patients, from the feed.
//!
//! Start reading at `slots/claims.rs` (the claims of a slot), then `appointments/book.rs` (a booking from request to
//! commit) and `store/batch.rs` (the one transaction).

#![warn(clippy::unwrap_used)]

mod appointments;
mod commit;
mod config;
mod displaced;
mod feed;
mod grpc;
mod holds;
mod jobs;
mod manage_links;
mod patients;
mod plans;
mod reasons;
mod rezone;
mod slots;
mod store;
mod verifications;
mod waitlist;

use std::sync::Arc;

pub use config::{Config, Holds, Messages, Organization, Verify};
use feed::{followers::Followers, stream::LOCAL_COMMITS_MAX};
use futures::future::BoxFuture;
pub use jobs::zone_repair::{Repair, ZoneDrift};
use manage_links::LinkSigner;
use runtime::{Clock, Ids, Readiness, Shutdown};
use service::{
    idempotency::{self, RunningKeys},
    reseal::{Progress, Resealed},
    seal::Keyring,
    secrets,
};
use sql::{Failure, Target};
use store::{Store, changes::Committed};
use tokio::sync::{Notify, broadcast};
use tonic::service::Routes;
use wire::{
    availability::{directory_client::DirectoryClient, planner_client::PlannerClient, search_client::SearchClient},
    booking::{
        booking_server::BookingServer, displaced_server::DisplacedServer, feed_server::FeedServer,
        plans_server::PlansServer, reason_codes_server::ReasonCodesServer, waitlist_server::WaitlistServer,
    },
};

/// The full names of the services that it serves.
pub const SERVICES: [&str; 6] = [
    "meridian.booking.v1.Booking",
    "meridian.booking.v1.Displaced",
    "meridian.booking.v1.Feed",
    "meridian.booking.v1.Plans",
    "meridian.booking.v1.ReasonCodes",
    "meridian.booking.v1.Waitlist",
];

/// Asks a database on SQLite whether it holds data that presuppose the databases of the other roles.
pub const IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM patients)";

/// What the service needs from outside.
pub struct Deps {
    /// The clock.
    pub clock: Clock,
    /// The notes for operators about this process.
    pub readiness: Readiness,
    /// The source of ids.
    pub ids: Ids,
    /// The database.
    pub database: Target,
    /// The channel to availability.
    pub availability: rpc::Channel,
    /// Seals the secrets in the database.
    pub keyring: Keyring,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be opened or read.
    #[error("booking's database cannot be used")]
    Database(#[from] sqlx::Error),
    /// A migration failed.
    #[error("booking's database cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A secret in the database cannot be opened.
    #[error("booking's secrets cannot be opened")]
    Secrets(#[from] secrets::Error),
}

/// The booking service. Its futures are boxed: an async function is compiled where it is awaited, and that is to be here.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// The state that all use cases share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) store: Store,
    pub(crate) availability: SearchClient<rpc::Channel>,
    pub(crate) directory: DirectoryClient<rpc::Channel>,
    pub(crate) planner: PlannerClient<rpc::Channel>,
    /// Makes the tokens of manage links and offers.
    pub(crate) links: LinkSigner,
    /// Seals the secrets in the database.
    pub(crate) keyring: Keyring,
    /// The idempotency keys whose first request still runs in this process.
    pub(crate) running_keys: RunningKeys,
    /// Each commit of this process, so that subscribers of the feed need not wait for their next read.
    pub(crate) local_commits: broadcast::Sender<Arc<Committed>>,
    /// The followers of the feed that are connected to this process.
    pub(crate) followers: Followers,
    /// Where the age of the feed is noted.
    pub(crate) readiness: Readiness,
    /// Notified when a commit frees time, so that the waitlist is matched.
    pub(crate) time_freed: Notify,
    /// Begun when subscribers of the feed must go on elsewhere, from their position.
    pub(crate) draining: Shutdown,
}

impl App {
    /// Opens and migrates the database and makes the service ready to serve.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn build(config: Config, deps: Deps) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(async move {
            let store = Store::open(&deps.database).await?;
            store.migrate().await?;
            store.detect_failover().await.map_err(Failure::into_source)?;
            let link_key = match &config.link_key {
                Some(key) => key.as_bytes().to_vec(),
                None => {
                    let generated = deps.ids.bytes::<32>();
                    secrets::load_or_insert(store.database(), &deps.keyring, "link_key", &generated).await?
                }
            };
            let links = LinkSigner::new(link_key, config.link_days);
            Ok(Self(Arc::new(Inner {
                config,
                clock: deps.clock,
                ids: deps.ids,
                store,
                directory: DirectoryClient::new(deps.availability.clone()),
                planner: PlannerClient::new(deps.availability.clone()),
                availability: SearchClient::new(deps.availability),
                links,
                keyring: deps.keyring,
                running_keys: RunningKeys::default(),
                local_commits: broadcast::Sender::new(LOCAL_COMMITS_MAX),
                followers: Followers::default(),
                readiness: deps.readiness,
                time_freed: Notify::new(),
                draining: Shutdown::new(),
            })))
        })
    }

    /// The gRPC services, behind the guard.
    pub fn routes(&self) -> Routes {
        let routes = Routes::new(BookingServer::new(grpc::booking::Service(self.0.clone())))
            .add_service(DisplacedServer::new(grpc::displaced::Service(self.0.clone())))
            .add_service(FeedServer::new(grpc::feed::Service(self.0.clone())))
            .add_service(PlansServer::new(grpc::plans::Service(self.0.clone())))
            .add_service(ReasonCodesServer::new(grpc::reason_codes::Service(self.0.clone())))
            .add_service(WaitlistServer::new(grpc::waitlist::Service(self.0.clone())));
        rpc::guard(routes)
    }

    /// Runs the background jobs until draining begins.
    pub fn run(&self, shutdown: Shutdown) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            jobs::run(&self.0, &shutdown).await;
            shutdown.begun().await;
            self.0.draining.begin();
        })
    }

    /// Closes the database, after the last request and the last job.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        self.0.store.database().close()
    }

    /// Migrates a database and does nothing else.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn migrate(database: &Target) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { Ok(Store::open(database).await?.migrate().await?) })
    }

    /// Begins a new epoch of the feed, for a database that was put back: subscribers that have read further take a new snapshot.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn begin_epoch(database: &Target) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let store = Store::open(database).await?;
            store.begin_epoch().await.map_err(Failure::into_source)?;
            store.database().close().await;
            Ok(())
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
            let mut resealed = secrets::reseal(store.database(), keyring).await.map_err(Failure::into_source)?;
            resealed.add(idempotency::reseal(store.database(), keyring, progress).await.map_err(Failure::into_source)?);
            Ok(resealed)
        })
    }

    /// The number of migrations and functions that a database lacks. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn pending_migrations(database: &Target) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async move { Ok(store::SCHEMA.pending(database).await?) })
    }
}
