//! Booking: who has which time.
//!
//! Owns patients, holds, appointments and the claims that they lay on time, idempotency records and the change
//! feed. It never decides whether a practitioner works at an hour (availability does, and is asked), and never
//! talks to patients (reminder does, from the feed).
//!
//! Start reading at `slots/claims.rs` (which claims a slot lays), then `appointments/book.rs` (a booking from request to
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
mod waitlist;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

pub use config::Config;
pub use jobs::zone_repair::{Repair, WrongClock};
use runtime::{Clock, Ids, Shutdown};
use sql::Target;
use store::{Committed, Store};
use tokio::sync::{Notify, broadcast};
use tonic::service::Routes;
use uuid::Uuid;
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

/// The statement that commits a booking on PostgreSQL, whole, in one round trip. Its parameter is JSON.
pub const COMMIT_STATEMENT: &str = store::postgres::COMMIT;

/// What the service needs from outside.
pub struct Deps {
    /// Where time comes from.
    pub clock: Clock,
    /// Where ids come from.
    pub ids: Ids,
    /// Where the data is kept.
    pub database: Target,
    /// The way to availability.
    pub availability: rpc::Channel,
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
}

/// The booking service.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What every handler shares.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) store: Store,
    pub(crate) availability: SearchClient<rpc::Channel>,
    pub(crate) directory: DirectoryClient<rpc::Channel>,
    pub(crate) planner: PlannerClient<rpc::Channel>,
    /// The key that signs manage links.
    pub(crate) link_key: Vec<u8>,
    /// The idempotency keys whose first request still runs in this process.
    pub(crate) running: Mutex<HashSet<(Uuid, String, String, String)>>,
    /// Tells followers of each commit of this process, so that they need not wait for their next read.
    pub(crate) told: broadcast::Sender<Arc<Committed>>,
    /// Rings when time came free, so that the waitlist is looked through.
    pub(crate) freed: Notify,
    /// Begun when followers of the feed must go on elsewhere, from where they are.
    pub(crate) draining: Shutdown,
}

impl App {
    /// Opens and migrates the database and makes the service ready to serve.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn build(config: Config, deps: Deps) -> Result<Self, Error> {
        let store = Store::open(&deps.database).await?;
        store.migrate().await?;
        store.notice_new_life().await.map_err(failed)?;
        let link_key = match &config.link_key {
            Some(key) => key.as_bytes().to_vec(),
            None => store.secret("link_key", &deps.ids.bytes::<32>()).await.map_err(failed)?,
        };
        Ok(Self(Arc::new(Inner {
            config,
            clock: deps.clock,
            ids: deps.ids,
            store,
            directory: DirectoryClient::new(deps.availability.clone()),
            planner: PlannerClient::new(deps.availability.clone()),
            availability: SearchClient::new(deps.availability),
            link_key,
            running: Mutex::default(),
            told: broadcast::Sender::new(feed::stream::HEARD_MAX),
            freed: Notify::new(),
            draining: Shutdown::new(),
        })))
    }

    /// The gRPC services, with the guard in front.
    pub fn routes(&self) -> Routes {
        let routes = Routes::new(BookingServer::new(grpc::booking::Service(self.0.clone())));
        let routes = routes.add_service(PlansServer::new(plans::Service(self.0.clone())));
        let routes = routes.add_service(ReasonCodesServer::new(reasons::Service(self.0.clone())));
        let routes = routes.add_service(WaitlistServer::new(waitlist::Service(self.0.clone())));
        let routes = routes.add_service(DisplacedServer::new(displaced::Service(self.0.clone())));
        rpc::guard(routes.add_service(FeedServer::new(feed::change::Service(self.0.clone()))))
    }

    /// Runs what goes on in the background until draining begins.
    pub async fn run(&self, shutdown: Shutdown) {
        tokio::join!(jobs::expire::run(&self.0, &shutdown), waitlist::run(&self.0, &shutdown));
        shutdown.begun().await;
        self.0.draining.begin();
    }

    /// Migrates a database and does nothing else.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn migrate(database: &Target) -> Result<(), Error> {
        Ok(Store::open(database).await?.migrate().await?)
    }

    /// The number of migrations and functions that a database lacks. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_migrations(database: &Target) -> Result<usize, Error> {
        Ok(store::SCHEMA.pending(database).await?)
    }
}

fn failed(failure: sql::Failure) -> sqlx::Error {
    match failure {
        sql::Failure::Duplicate(error)
        | sql::Failure::Serialization(error)
        | sql::Failure::Busy(error)
        | sql::Failure::Unstorable(error)
        | sql::Failure::Other(error) => error,
    }
}
