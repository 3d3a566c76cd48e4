//! Reminder: messages to patients about their appointments.
//!
//! Owns rules, messages and their outcomes, patients' replies, and webhooks. It follows booking's feed to plan messages, and
//! asks booking for the present data just before each one leaves. It writes to no other service's tables, writes to a
//! patient about their own appointments alone, and sends no message again whose outcome is unknown, unless its rule says so.
//!
//! Start reading at `planning/mod.rs` (the messages of a change, no I/O), then `jobs/feed.rs` (how changes arrive) and
//! `sending/send.rs` (a message from its lease to its outcome).

#![warn(clippy::unwrap_used)]

mod appointment;
mod config;
mod countries;
mod grpc;
mod idempotency;
mod jobs;
mod messages;
mod planning;
mod polling;
mod providers;
mod rate;
mod replies;
mod reports;
mod rules;
mod sending;
mod store;
mod subject;
mod template_context;
mod templates;
mod unsubscribe;
mod verifications;
mod webhooks;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use config::{
    Config, Http, Organization, PUBLIC_URL_FORM, Providers, Smtp, Twilio, Verifications, Vonage, Webhooks,
    is_public_url,
};
use domain::id::{AppointmentId, OrganizationId};
use futures::future::BoxFuture;
use providers::registry::ProviderRoutes;
pub use providers::{twilio::twilio_signature, vonage::vonage_signature};
use rpc::{Code, Context, Fault};
use runtime::{Clock, Ids, Shutdown};
use sending::lookups::Lookups;
use service::{
    buckets::Buckets,
    feed_client::FeedClient,
    idempotency::RunningKeys,
    reseal::{Progress, Resealed},
    seal::Keyring,
    secrets,
};
use sha2::{Digest, Sha256};
use sql::{Target, feed::Position};
use store::Store;
use templates::Templates;
use tokio::sync::{Notify, watch};
use tonic::service::Routes;
use uuid::Uuid;
use webhooks::places::Places;
use wire::{
    availability::{directory_client::DirectoryClient, search_client::SearchClient},
    booking::{booking_client::BookingClient, plans_client::PlansClient, waitlist_client::WaitlistClient},
    reminder::{reminder_server::ReminderServer, webhooks_server::WebhooksServer},
};

/// The full names of its gRPC services.
pub const SERVICES: [&str; 2] = ["meridian.reminder.v1.Reminder", "meridian.reminder.v1.Webhooks"];

/// Longest wait of a read for its revision.
const REVISION_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a database on SQLite whether it holds data that presuppose the databases of the other roles.
pub const IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM feed_position)";

/// The dependencies of the service.
pub struct Deps {
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
    /// The database.
    pub database: Target,
    /// The connection to booking.
    pub booking: rpc::Channel,
    /// The connection to availability.
    pub availability: rpc::Channel,
    /// Seals the secrets in the database.
    pub keyring: Keyring,
}

/// An appointment that booking has no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsentAppointment {
    /// Its organisation.
    pub organization: OrganizationId,
    /// Its id.
    pub appointment: AppointmentId,
    /// Its start, in microseconds since the Unix epoch.
    pub starts_at_us: i64,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be opened or read.
    #[error("reminder's database cannot be used")]
    Database(#[from] sqlx::Error),
    /// A migration failed.
    #[error("reminder's database cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A secret in the database cannot be opened.
    #[error("reminder's secrets cannot be opened")]
    Secrets(#[from] secrets::Error),
    /// The SMS provider's client cannot be made.
    #[error("the SMS provider's client cannot be made")]
    Provider(#[from] reqwest::Error),
    /// The mail server's settings cannot be used.
    #[error("reminder.smtp cannot be used: {0}")]
    Smtp(&'static str),
    /// A shipped template does not compile.
    #[error("the shipped templates cannot be used: {0}")]
    Templates(String),
}

/// The reminder service. Its futures are boxed: an async function is compiled where it is awaited, and that is to be here.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// The state that all use cases share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) store: Store,
    /// Idempotency keys whose first request still runs.
    pub(crate) running_keys: RunningKeys,
    /// Seals the secrets in the database.
    pub(crate) keyring: Keyring,
    /// Signs the links in e-mails that end such e-mails.
    pub(crate) unsubscribe_key: Vec<u8>,
    pub(crate) templates: Templates,
    /// The providers that carry messages.
    pub(crate) providers: ProviderRoutes,
    /// The signed calls of each provider for each organisation.
    pub(crate) callbacks: Buckets<(&'static str, OrganizationId)>,
    /// Batched lookups and transactions.
    pub(crate) lookups: Lookups,
    pub(crate) booking: BookingClient<rpc::Channel>,
    pub(crate) feed: FeedClient,
    pub(crate) plans: PlansClient<rpc::Channel>,
    pub(crate) waitlist: WaitlistClient<rpc::Channel>,
    pub(crate) availability: SearchClient<rpc::Channel>,
    pub(crate) directory: DirectoryClient<rpc::Channel>,
    /// The countries of organisations that were read lately.
    pub(crate) known_countries: countries::KnownCountries,
    /// The applied position of booking's feed; `None` before the first snapshot.
    pub(crate) applied: watch::Sender<Option<Position>>,
    /// Notified when messages are planned, so that the worker need not wait for its timer.
    pub(crate) planned: Notify,
    /// The messages that this process works on.
    pub(crate) busy: Mutex<HashSet<Uuid>>,
    /// The HTTP client for webhook endpoints.
    pub(crate) outbound: outbound::Client,
    /// Notified when webhook deliveries are queued.
    pub(crate) deliveries_queued: Notify,
    /// The deliveries that this process works on.
    pub(crate) delivering: Mutex<Places>,
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
            let booking = BookingClient::new(deps.booking.clone());
            let directory = DirectoryClient::new(deps.availability.clone());
            let availability = SearchClient::new(deps.availability);
            let (name, generated) = ("unsubscribe_key", deps.ids.bytes::<32>());
            let unsubscribe_key = secrets::load_or_insert(&store.database, &deps.keyring, name, &generated).await?;
            Ok(Self(Arc::new(Inner {
                unsubscribe_key,
                keyring: deps.keyring,
                providers: ProviderRoutes::build(&config, &deps.clock)?,
                callbacks: Buckets::new(config.callbacks_per_second),
                lookups: Lookups::new(&store, &booking, &availability, &deps.ids),
                outbound: outbound::Client::new(config.webhooks.private_addresses),
                config,
                clock: deps.clock,
                ids: deps.ids,
                store,
                running_keys: RunningKeys::default(),
                templates: Templates::new().map_err(|error| Error::Templates(error.to_string()))?,
                booking,
                plans: PlansClient::new(deps.booking.clone()),
                waitlist: WaitlistClient::new(deps.booking.clone()),
                feed: FeedClient::new(deps.booking, "reminder"),
                availability,
                directory,
                known_countries: countries::KnownCountries::default(),
                applied: watch::Sender::new(None),
                planned: Notify::new(),
                busy: Mutex::default(),
                deliveries_queued: Notify::new(),
                delivering: Mutex::default(),
            })))
        })
    }

    /// The gRPC services, with the guard in front.
    pub fn routes(&self) -> Routes {
        let reminder = Routes::new(ReminderServer::new(grpc::reminder::Service(self.0.clone())));
        rpc::guard(reminder.add_service(WebhooksServer::new(grpc::webhooks::Service(self.0.clone()))))
    }

    /// Follows booking's feed, sends messages and delivers webhooks until draining begins, then waits for running sends.
    pub fn run(&self, shutdown: Shutdown) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let follow = jobs::feed::run(&self.0, &shutdown);
            let dispatch = sending::worker::run(&self.0, &shutdown);
            let deliver = webhooks::worker::run(&self.0, &shutdown);
            let sweep = jobs::sweep::run(&self.0, &shutdown);
            let clock_steps = jobs::clock_steps::run(&self.0, &shutdown);
            let statistics = service::statistics::run(&self.0.store.database, &shutdown);
            tokio::join!(follow, dispatch, deliver, sweep, clock_steps, statistics);
        })
    }

    /// Closes the database, after the last request and the last job.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        self.0.store.database.close()
    }

    /// Migrates a database.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn migrate(database: &Target) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { Ok(Store::open(database).await?.migrate().await?) })
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
            let mut resealed = secrets::reseal(&store.database, keyring).await.map_err(secrets::Error::from)?;
            let endpoints = webhooks::sealed::reseal(&store, keyring, progress).await;
            resealed.add(endpoints.map_err(secrets::Error::from)?);
            let answers = service::idempotency::reseal(&store.database, keyring, progress).await;
            resealed.add(answers.map_err(secrets::Error::from)?);
            Ok(resealed)
        })
    }

    /// The upcoming appointments that booking has no more since a restore, the earliest first, at most `limit`. Their
    /// patients may have been told to come.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn absent_appointments(
        database: &Target,
        now_us: i64,
        limit: i64,
    ) -> BoxFuture<'_, Result<Vec<AbsentAppointment>, Error>> {
        Box::pin(async move {
            let rows = Store::open(database).await?.absent(now_us, limit).await.map_err(secrets::Error::from)?;
            let absent = |row: store::absent::AbsentRow| AbsentAppointment {
                organization: OrganizationId::new(row.organization_id),
                appointment: AppointmentId::new(row.id),
                starts_at_us: row.starts_at_us,
            };
            Ok(rows.into_iter().map(absent).collect())
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
    /// The revision of an answer: the applied position of booking's feed. Empty before the first snapshot.
    pub(crate) fn revision(&self) -> String {
        self.applied.borrow().map(|position| format!("b{position}")).unwrap_or_default()
    }

    /// Waits until the messages of the caller's revision are planned.
    pub(crate) async fn wait_for_revision(&self, ctx: &Context) -> Result<(), Fault> {
        let Some(revision) = &ctx.revision else { return Ok(()) };
        let within = REVISION_TIMEOUT.min(ctx.remaining());
        for part in revision.split(',') {
            // Other parts belong to other services.
            let Some(position) = part.strip_prefix('b').and_then(|text| text.parse::<Position>().ok()) else {
                continue;
            };
            let mut applied = self.applied.subscribe();
            let reached = applied.wait_for(|now| now.is_some_and(|now| now.reaches(position)));
            if !matches!(tokio::time::timeout(within, reached).await, Ok(Ok(_))) {
                let detail = "the messages of this revision are not planned yet; try again shortly";
                return Err(Fault::new(Code::ProjectionBehind, detail).retry_after(Duration::from_secs(1)));
            }
        }
        Ok(())
    }
}

/// SHA-256 of an address, the stored form of blocked ones.
pub(crate) fn address_hash(address: &str) -> Vec<u8> {
    Sha256::digest(domain::patient::address_key(address).as_bytes()).to_vec()
}

/// Counts a message that a limit keeps from leaving.
pub(crate) fn count_limited(limit: &'static str) {
    metrics::counter!("reminder_limited_total", "limit" => limit).increment(1);
}

/// Counts a message by outcome.
pub(crate) fn count(outcome: &'static str, trigger: &str, channel: &str) {
    let (trigger, channel) = (trigger.to_owned(), channel.to_owned());
    metrics::counter!("reminder_messages_total", "outcome" => outcome, "trigger" => trigger, "channel" => channel)
        .increment(1);
}
