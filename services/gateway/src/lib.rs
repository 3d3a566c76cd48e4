//! The gateway: REST on one side, the services' gRPC on the other.
//!
//! Owns API keys and the audit log. Holds no rule of scheduling: a handler reads, calls, and shows.
//!
//! Start reading at `operation.rs` (what an operation is), `v1/mod.rs` (the list of them) and `dispatch.rs` (a
//! request's way).

#![warn(clippy::unwrap_used)]

mod audit;
pub mod auth;
mod calendar_link;
mod call;
mod characters;
mod config;
mod dispatch;
mod event_hub;
mod ics;
mod idempotency;
pub mod keys;
mod openapi;
mod operation;
mod params;
mod rate_limit;
mod router;
mod schema;
mod store;
mod suggestion;
mod v1;

use std::sync::Arc;

use axum::Router;
pub use config::Config;
use domain::id::OrganizationId;
use rpc::{Code, Fault};
use runtime::{Clock, Ids, Readiness, Shutdown};
use sql::{Failure, Target};
use store::{AuditRow, Store};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Semaphore, mpsc, oneshot},
};
use wire::{
    availability::{directory_client::DirectoryClient, search_client::SearchClient},
    booking::{
        booking_client::BookingClient, displaced_client::DisplacedClient, feed_client::FeedClient,
        plans_client::PlansClient, reason_codes_client::ReasonCodesClient, waitlist_client::WaitlistClient,
    },
    reminder::{reminder_client::ReminderClient, webhooks_client::WebhooksClient},
};

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
    /// The way to booking.
    pub booking: rpc::Channel,
    /// The way to reminder.
    pub reminder: rpc::Channel,
    /// The installation's own key.
    pub admin_key: Option<String>,
    /// Where that key acts unless it says otherwise.
    pub default_organization: OrganizationId,
    /// What must hold before the gateway takes traffic.
    pub readiness: Readiness,
    /// Where patients and providers find the gateway, without a slash at the end.
    pub public_url: String,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be opened.
    #[error("the gateway's database cannot be used")]
    Database(#[from] sqlx::Error),
    /// The database failed.
    #[error("the gateway's database failed")]
    Failure(#[from] Failure),
    /// A migration failed.
    #[error("the gateway's database cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The schemas of the public interface contradict themselves.
    #[error("the public interface's schemas cannot be compiled: {0}")]
    Schema(String),
    /// The socket failed.
    #[error("the gateway's socket failed")]
    Socket(#[from] std::io::Error),
}

/// The largest page of the directory: 200 calendars of 10,000 busy times.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// The gateway.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
    lines: Arc<Mutex<mpsc::Receiver<AuditRow>>>,
}

/// What every handler shares.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) store: Store,
    pub(crate) directory: DirectoryClient<rpc::Channel>,
    pub(crate) search: SearchClient<rpc::Channel>,
    pub(crate) booking: BookingClient<rpc::Channel>,
    pub(crate) plans: PlansClient<rpc::Channel>,
    pub(crate) waitlist: WaitlistClient<rpc::Channel>,
    pub(crate) displaced: DisplacedClient<rpc::Channel>,
    pub(crate) reasons: ReasonCodesClient<rpc::Channel>,
    pub(crate) feed: FeedClient<rpc::Channel>,
    /// Where all streams of events hear of the feed.
    pub(crate) hub: event_hub::Hub,
    pub(crate) reminder: ReminderClient<rpc::Channel>,
    pub(crate) webhooks: WebhooksClient<rpc::Channel>,
    pub(crate) admin_hash: Option<Vec<u8>>,
    pub(crate) default_organization: OrganizationId,
    pub(crate) readiness: Readiness,
    pub(crate) public_url: String,
    pub(crate) cache: auth::Cache,
    pub(crate) running: idempotency::Running,
    pub(crate) limits: rate_limit::Limits,
    pub(crate) schemas: schema::Schemas,
    pub(crate) openapi: serde_json::Value,
    /// Signs calendar links.
    pub(crate) calendar_key: Vec<u8>,
    pub(crate) places: Arc<Semaphore>,
    /// Places for streams, which stay longer than a request.
    pub(crate) streams: Arc<Semaphore>,
    /// Set when streams must end, so that their clients come back elsewhere.
    pub(crate) draining: Shutdown,
    pub(crate) audit: mpsc::Sender<AuditRow>,
}

impl App {
    /// Opens and migrates the database and makes the gateway ready to serve.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn build(config: Config, deps: Deps) -> Result<Self, Error> {
        let store = Store::open(&deps.database).await?;
        store.migrate().await?;
        let operations = v1::operations();
        let openapi = openapi::document(&operations);
        // A form, a merge patch and a calendar file have no schema of their own.
        let named = |name: &&str| !matches!(*name, "Form" | "MergePatch" | "Calendar");
        let bodies = operations.iter().filter_map(|operation| operation.body).filter(named);
        let bodies =
            bodies.chain(v1::directory::BODIES).chain(["CalendarAddress", "AppointmentNotes", "ReasonMeaning"]);
        let (audit, lines) = mpsc::channel(audit::WAITING_MAX);
        let inner = Inner {
            calendar_key: store.secret("calendar_key", &deps.ids.bytes::<32>()).await?,
            schemas: schema::Schemas::compile(&openapi, bodies).map_err(Error::Schema)?,
            openapi,
            directory: DirectoryClient::new(deps.availability.clone()).max_decoding_message_size(PAGE_BYTES_MAX),
            search: SearchClient::new(deps.availability),
            plans: PlansClient::new(deps.booking.clone()),
            waitlist: WaitlistClient::new(deps.booking.clone()),
            displaced: DisplacedClient::new(deps.booking.clone()),
            reasons: ReasonCodesClient::new(deps.booking.clone()),
            feed: FeedClient::new(deps.booking.clone()),
            hub: event_hub::Hub::default(),
            booking: BookingClient::new(deps.booking),
            webhooks: WebhooksClient::new(deps.reminder.clone()),
            reminder: ReminderClient::new(deps.reminder),
            admin_hash: deps.admin_key.as_deref().map(auth::hash),
            default_organization: deps.default_organization,
            readiness: deps.readiness,
            public_url: deps.public_url,
            cache: auth::Cache::default(),
            running: idempotency::Running::default(),
            limits: rate_limit::Limits::new(config.requests_per_second),
            places: Arc::new(Semaphore::new(config.concurrency_max)),
            streams: Arc::new(Semaphore::new(config.streams_max)),
            draining: Shutdown::new(),
            audit,
            clock: deps.clock,
            ids: deps.ids,
            store,
            config,
        };
        Ok(Self { inner: Arc::new(inner), lines: Arc::new(Mutex::new(lines)) })
    }

    /// Everything that the gateway serves.
    pub fn router(&self) -> Router {
        router::router(&self.inner)
    }

    /// Serves until draining has begun, every running request is answered, and the audit log is written.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(&self, listener: TcpListener, shutdown: Shutdown) -> Result<(), Error> {
        // Made once: a router itself would be put together anew for each connection.
        let router = self.router().into_make_service();
        let mut lines = self.lines.lock().await;
        let (last, answered) = oneshot::channel();
        let serving = async {
            let draining = self.inner.draining.clone();
            let begun = async move {
                shutdown.begun().await;
                draining.begin();
            };
            let served = axum::serve(listener, router).with_graceful_shutdown(begun).await;
            drop(last);
            served
        };
        let (served, ()) = tokio::join!(serving, audit::write(&self.inner, &mut lines, answered));
        Ok(served?)
    }

    /// Migrates a database and does nothing else.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn migrate(database: &Target) -> Result<(), Error> {
        Ok(Store::open(database).await?.migrate().await?)
    }

    /// How many migrations a database still lacks. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_migrations(database: &Target) -> Result<usize, Error> {
        let (sqlite, postgres) = (&store::sqlite::MIGRATIONS, &store::postgres::MIGRATIONS);
        Ok(sql::pending(database, "gateway", sqlite, postgres).await?)
    }
}

/// A failure of the database in public words.
pub(crate) fn failure(failure: Failure) -> Fault {
    match failure {
        Failure::Busy(_) | Failure::Serialization(_) => {
            Fault::new(Code::Overloaded, "the database is busy; try again shortly")
                .retry_after(std::time::Duration::from_secs(1))
        }
        Failure::Unstorable(_) => {
            Fault::new(Code::ValidationFailed, "a text holds the character U+0000, which cannot be stored")
        }
        other => Fault::internal(other),
    }
}
