//! The gateway: REST and gRPC for clients, gRPC to the services.
//!
//! It owns API keys, calendar links and the audit log. It holds no rule of scheduling: a handler decodes a request, calls
//! a service and encodes the answer.
//!
//! Start reading at `interface.rs` (a dialect), `operation.rs` (an operation), `v1/mod.rs` (the list of them),
//! `dispatch.rs` (the path of a request) and `grpc/mod.rs` (the same for clients of gRPC).

#![warn(clippy::unwrap_used)]

mod admission;
pub mod audit;
pub mod auth;
mod binding;
mod calendar_link;
mod call;
mod characters;
mod client_address;
mod config;
mod dispatch;
mod event_hub;
mod grpc;
mod ics;
mod idempotency;
mod interface;
pub mod keys;
mod merge_patch;
mod metrics_endpoint;
mod negotiation;
mod openapi;
mod operation;
mod page_frame;
mod pages;
mod params;
mod rate_limit;
mod reply;
mod router;
mod schema;
mod server;
mod store;
mod streams;
mod suggestion;
mod v1;
mod visitor;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use audit::AuditLog;
use axum::Router;
use client_address::Proxies;
pub use config::{Config, Oidc, Rule};
use domain::id::OrganizationId;
use futures::future::BoxFuture;
use interface::Interface;
use operation::Operation;
use runtime::{Clock, Ids, Readiness, Shutdown};
pub use server::CertificateError;
use service::{feed_client::FeedClient, idempotency::RunningKeys, reseal::Resealed, seal::Keyring, secrets};
use sql::{Failure, Target};
use store::{Store, audit::Entry};
use tokio::{
    net::TcpListener,
    sync::{Mutex, OnceCell, Semaphore, mpsc, oneshot},
};
use wire::{
    availability::{directory_client::DirectoryClient, search_client::SearchClient},
    booking::{
        booking_client::BookingClient, displaced_client::DisplacedClient, plans_client::PlansClient,
        reason_codes_client::ReasonCodesClient, waitlist_client::WaitlistClient,
    },
    reminder::{reminder_client::ReminderClient, webhooks_client::WebhooksClient},
};

/// Asks a database on SQLite whether it holds data that presuppose the databases of the other roles.
pub const IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM audit_lines WHERE patient_id IS NOT NULL)";

/// The dependencies of the gateway.
pub struct Deps {
    /// The clock.
    pub clock: Clock,
    /// The generator of ids and random bytes.
    pub ids: Ids,
    /// The gateway's database.
    pub database: Target,
    /// The channel to availability.
    pub availability: rpc::Channel,
    /// The channel to booking.
    pub booking: rpc::Channel,
    /// The channel to reminder.
    pub reminder: rpc::Channel,
    /// The installation's own key.
    pub admin_key: Option<String>,
    /// The OpenID provider whose tokens people send, if there is one.
    pub oidc: Oidc,
    /// The organisation in which that key acts unless a request names another; `None`: availability's default one.
    pub default_organization: Option<OrganizationId>,
    /// The conditions for taking traffic.
    pub readiness: Readiness,
    /// Seals the secrets in the database.
    pub keyring: Keyring,
    /// The URL at which patients and providers reach the gateway, without a slash at the end.
    pub public_url: String,
}

/// An error that keeps the gateway from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be opened.
    #[error("the gateway's database cannot be used")]
    Database(#[from] sqlx::Error),
    /// A statement failed.
    #[error("the gateway's database failed")]
    Failure(#[from] Failure),
    /// A migration failed.
    #[error("the gateway's database cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A schema of a dialect cannot be compiled.
    #[error("the public interface's schemas cannot be compiled: {0}")]
    Schema(String),
    /// A trusted proxy is no address, or the proxies' header is unknown.
    #[error("the gateway's proxies cannot be used: {0}")]
    Proxy(String),
    /// A secret in the database cannot be opened.
    #[error("the gateway's secrets cannot be opened")]
    Secrets(#[from] secrets::Error),
    /// The socket failed.
    #[error("the gateway's socket failed")]
    Socket(#[from] std::io::Error),
    /// The certificate cannot be used.
    #[error("the gateway's certificate cannot be used")]
    Certificate(#[from] CertificateError),
}

/// The OpenAPI 3.1 document of `/v1`, which `/openapi.json` serves.
pub fn openapi() -> serde_json::Value {
    v1::document()
}

/// The largest answer of the directory in bytes: a page of 200 calendars with 10,000 busy times each.
const DIRECTORY_ANSWER_BYTES_MAX: usize = 64 << 20;

/// The gateway. Its futures are boxed: an async function is compiled where it is awaited, and that is to be here.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
    audit_entries: Arc<Mutex<mpsc::Receiver<Entry>>>,
}

/// The state that all handlers share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) store: Store,
    /// The channels, for calls that are forwarded as bytes.
    channels: Channels,
    pub(crate) directory: DirectoryClient<rpc::Channel>,
    pub(crate) search: SearchClient<rpc::Channel>,
    pub(crate) booking: BookingClient<rpc::Channel>,
    pub(crate) plans: PlansClient<rpc::Channel>,
    pub(crate) waitlist: WaitlistClient<rpc::Channel>,
    pub(crate) displaced: DisplacedClient<rpc::Channel>,
    pub(crate) reasons: ReasonCodesClient<rpc::Channel>,
    pub(crate) feed: FeedClient,
    /// The subscription to the feed that all event streams share.
    pub(crate) event_hub: event_hub::EventHub,
    pub(crate) reminder: ReminderClient<rpc::Channel>,
    pub(crate) webhooks: WebhooksClient<rpc::Channel>,
    pub(crate) admin_key_hash: Option<Vec<u8>>,
    /// The OpenID provider whose tokens people send.
    pub(crate) oidc: Option<auth::oidc::Provider>,
    /// Seals the stored answers of people, whose tokens change from request to request.
    pub(crate) person_key: Vec<u8>,
    default_organization: OnceCell<OrganizationId>,
    pub(crate) readiness: Readiness,
    pub(crate) public_url: String,
    pub(crate) auth_cache: auth::Cache,
    /// The idempotency keys of running requests that the gateway replays.
    pub(crate) running_keys: RunningKeys,
    pub(crate) rate_limits: rate_limit::RateLimits,
    pub(crate) proxies: Proxies,
    /// The dialects; the first one answers requests outside all of them.
    pub(crate) interfaces: Vec<Arc<Interface>>,
    /// Signs the ids of visitors.
    pub(crate) visitor_key: Vec<u8>,
    /// Signs calendar links.
    pub(crate) calendar_key: Vec<u8>,
    /// The certificate that clients see, where they speak TLS.
    pub(crate) certificate: Option<Arc<server::Certificate>>,
    /// The bodies that are still being sent.
    pub(crate) bodies: Arc<server::Bodies>,
    /// The places of running requests with a key.
    pub(crate) request_permits: Arc<Semaphore>,
    /// Apart, so that a flood without keys leaves room for those with keys.
    pub(crate) keyless_permits: Arc<Semaphore>,
    /// The places of streams, apart from those of requests because streams stay open.
    pub(crate) streams: Arc<streams::Places>,
    /// The searches that streams watch.
    pub(crate) questions: v1::slots::watch::Questions,
    /// Ends event streams, so that their clients reconnect to another gateway.
    pub(crate) draining: Shutdown,
    pub(crate) audit: AuditLog,
    /// Whether only this machine can reach the gateway.
    pub(crate) is_on_loopback: AtomicBool,
}

/// The channels to the services.
struct Channels {
    availability: rpc::Channel,
    booking: rpc::Channel,
    reminder: rpc::Channel,
}

impl Inner {
    /// The operation of a dialect with this id.
    pub(crate) fn operation(&self, id: &str) -> Option<Arc<Operation>> {
        let mut operations = self.interfaces.iter().flat_map(|interface| &interface.operations);
        operations.find(|operation| operation.id == id).cloned()
    }

    /// The channel to the service of a method, which is written `meridian.SERVICE.v1.NAME/METHOD`.
    pub(crate) fn channel(&self, method: &str) -> rpc::Channel {
        let channels = &self.channels;
        let channel = match method.split('.').nth(1) {
            Some("availability") => &channels.availability,
            Some("reminder") => &channels.reminder,
            _ => &channels.booking,
        };
        channel.clone()
    }

    /// The path of the public address, before the paths of pages; often empty.
    pub(crate) fn public_path(&self) -> &str {
        page_frame::path_of(&self.public_url)
    }

    /// The dialect that answers requests outside all dialects.
    pub(crate) fn default_interface(&self) -> &Interface {
        &self.interfaces[0]
    }
}

impl App {
    /// Opens and migrates the database and builds the gateway.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn build(config: Config, deps: Deps) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(async move {
            let interfaces = [v1::interface(), pages::interface(&deps.public_url)];
            let interfaces = interfaces.into_iter().collect::<Result<_, _>>().map_err(Error::Schema)?;
            Self::build_with(config, deps, interfaces).await
        })
    }

    /// The same with these dialects.
    pub(crate) async fn build_with(config: Config, deps: Deps, interfaces: Vec<Interface>) -> Result<Self, Error> {
        let store = Store::open(&deps.database).await?;
        store.migrate().await?;
        let (audit, audit_entries) = AuditLog::new();
        let generate = || deps.ids.bytes::<32>();
        let (calendar_key, person_key, visitor_key) = (generate(), generate(), generate());
        let inner = Inner {
            calendar_key: secrets::load_or_insert(store.database(), &deps.keyring, "calendar_key", &calendar_key)
                .await?,
            person_key: secrets::load_or_insert(store.database(), &deps.keyring, "person_key", &person_key).await?,
            visitor_key: secrets::load_or_insert(store.database(), &deps.keyring, "visitor_key", &visitor_key).await?,
            interfaces: interfaces.into_iter().map(Arc::new).collect(),
            channels: Channels {
                availability: deps.availability.clone(),
                booking: deps.booking.clone(),
                reminder: deps.reminder.clone(),
            },
            directory: DirectoryClient::new(deps.availability.clone())
                .max_decoding_message_size(DIRECTORY_ANSWER_BYTES_MAX),
            search: SearchClient::new(deps.availability),
            plans: PlansClient::new(deps.booking.clone()),
            waitlist: WaitlistClient::new(deps.booking.clone()),
            displaced: DisplacedClient::new(deps.booking.clone()),
            reasons: ReasonCodesClient::new(deps.booking.clone()),
            feed: FeedClient::new(deps.booking.clone(), "gateway"),
            event_hub: event_hub::EventHub::default(),
            booking: BookingClient::new(deps.booking),
            webhooks: WebhooksClient::new(deps.reminder.clone()),
            reminder: ReminderClient::new(deps.reminder),
            admin_key_hash: deps.admin_key.as_deref().map(auth::hash),
            oidc: auth::oidc::Provider::new(deps.oidc, deps.clock.clone()),
            default_organization: OnceCell::new_with(deps.default_organization),
            readiness: deps.readiness,
            public_url: deps.public_url,
            auth_cache: auth::Cache::default(),
            running_keys: RunningKeys::default(),
            rate_limits: rate_limit::RateLimits::new(&config),
            proxies: config.proxies().map_err(Error::Proxy)?,
            certificate: server::Certificate::load(&config.tls)?,
            bodies: Arc::default(),
            request_permits: Arc::new(Semaphore::new(config.concurrency_max)),
            keyless_permits: Arc::new(Semaphore::new(config.keyless_concurrency_max)),
            streams: Arc::new(streams::Places::new(config.streams_max, config.streams_per_caller_max)),
            questions: v1::slots::watch::Questions::default(),
            draining: Shutdown::new(),
            audit,
            is_on_loopback: AtomicBool::new(false),
            clock: deps.clock,
            ids: deps.ids,
            store,
            config,
        };
        Ok(Self { inner: Arc::new(inner), audit_entries: Arc::new(Mutex::new(audit_entries)) })
    }

    /// All routes of the gateway.
    pub fn router(&self) -> Router {
        router::router(&self.inner)
    }

    /// Serves until `shutdown` begins, all running requests are answered and the audit log is written.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn serve(&self, listener: TcpListener, shutdown: Shutdown) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.inner.is_on_loopback.store(listener.local_addr()?.ip().is_loopback(), Ordering::Relaxed);
            let mut audit_entries = self.audit_entries.lock().await;
            let (last_request, answered) = oneshot::channel();
            let serving = async {
                let begun = async {
                    shutdown.begun().await;
                    self.inner.draining.begin();
                };
                let serve = server::serve(&self.inner, listener, self.router());
                let statistics = service::statistics::run(self.inner.store.database(), &shutdown);
                tokio::join!(serve, begun, statistics, streams::end_those_of_revoked_keys(&self.inner));
                drop(last_request);
            };
            let audit = audit::write(&self.inner, &mut audit_entries, answered);
            tokio::join!(serving, audit, self.inner.learn_default_organization());
            Ok(())
        })
    }

    /// Closes the database, after the last request and the last job.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.store.database().close()
    }

    /// Migrates a database.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn migrate(database: &Target) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { Ok(Store::open(database).await?.migrate().await?) })
    }

    /// The number of keys that the configured issuer of tokens publishes; `None` without an issuer.
    ///
    /// # Errors
    /// Why they cannot be fetched.
    pub fn count_issuer_keys(config: &Oidc) -> BoxFuture<'_, Result<Option<usize>, String>> {
        Box::pin(auth::oidc::count_keys(config))
    }

    /// Seals the secrets of a database under the newest key. Stored answers are sealed under their callers' keys.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn reseal<'a>(database: &'a Target, keyring: &'a Keyring) -> BoxFuture<'a, Result<Resealed, Error>> {
        Box::pin(async move {
            let store = Store::open(database).await?;
            store.migrate().await?;
            Ok(secrets::reseal(store.database(), keyring).await?)
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
