//! All services in this process, behind real HTTP, on a clock that the test moves.

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::id::OrganizationId;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use rpc::{Channel, Context};
use runtime::{Clock, Ids, Readiness, Shutdown};
use serde_json::Value;
use service::seal::Keyring;
use sql::Target;
use testkit::database::Database;
use tokio::net::TcpListener;
use uuid::Uuid;
use wire::{
    availability::{CreateOrganizationRequest, directory_client::DirectoryClient},
    booking::{Change, SnapshotRequest, feed_client::FeedClient},
};

use crate::{ADMIN, Answer, Product};

/// The organisation of every entry.
pub const ORGANIZATION: OrganizationId =
    OrganizationId::new(Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0001));

/// All services on one manual clock; messages go to the sandbox.
pub struct ManualClockProduct {
    /// Its REST interface; it has no processes of its own.
    pub rest: Product,
    /// Its clock.
    pub clock: Clock,
    /// Channel to booking.
    pub booking: Channel,
    /// Channel to availability.
    pub availability: Channel,
    /// The gateway, for calls without a socket.
    pub gateway: gateway::App,
    reminder: reminder::App,
    revision: std::sync::Mutex<String>,
    shutdown: Shutdown,
}

impl ManualClockProduct {
    /// Starts it over a database at an instant.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn at(now: &str, database: Database, config: booking::Config) -> Result<Self> {
        let product = Self::without_reminders(now, database, config).await?;
        product.begin_reminders();
        Ok(product)
    }

    /// Starts the reminder service's background work.
    pub fn begin_reminders(&self) {
        let (reminder, shutdown) = (self.reminder.clone(), self.shutdown.clone());
        tokio::spawn(async move { reminder.run(shutdown).await });
    }

    /// Starts it over a database at an instant, without the reminder service's background work.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn without_reminders(now: &str, database: Database, config: booking::Config) -> Result<Self> {
        let clock = Clock::manual(now.parse()?);
        let [to_availability, to_booking, to_reminder] = [(); 3].map(|()| Channel::pending());
        let (readiness, keyring) = (Readiness::new(), Keyring::from_key(&[7; 32]));
        let target = |service: &str| Target::from_url(&database.for_service(service)).context("a database's URL");
        let availability = availability::App::build(availability::Deps {
            config: availability::Config::default(),
            clock: clock.clone(),
            ids: Ids::seeded(1),
            database: target("availability")?,
            booking: to_booking.clone(),
            readiness: readiness.clone(),
            keyring: keyring.clone(),
        })
        .await?;
        to_availability.bind(availability.routes());
        create_organization(&to_availability).await?;
        let deps = booking::Deps {
            readiness: Readiness::new(),
            clock: clock.clone(),
            ids: Ids::seeded(2),
            database: target("booking")?,
            availability: to_availability.clone(),
            keyring: keyring.clone(),
        };
        let booking = booking::App::build(config, deps).await?;
        to_booking.bind(booking.routes());
        let deps = reminder::Deps {
            clock: clock.clone(),
            ids: Ids::seeded(4),
            database: target("reminder")?,
            booking: to_booking.clone(),
            availability: to_availability.clone(),
            keyring: keyring.clone(),
        };
        let reminder = reminder::App::build(reminder::Config::default(), deps).await?;
        to_reminder.bind(reminder.routes());
        let channels = (to_booking.clone(), to_availability.clone());
        let gateway = gateway::App::build(
            gateway::Config { requests_per_second: 100_000, ..gateway::Config::default() },
            gateway::Deps {
                clock: clock.clone(),
                ids: Ids::seeded(3),
                database: target("gateway")?,
                availability: to_availability,
                booking: to_booking,
                reminder: to_reminder,
                admin_key: Some(ADMIN.to_owned()),
                oidc: gateway::Oidc::default(),
                default_organization: Some(ORGANIZATION),
                readiness,
                keyring,
                public_url: "https://scenarios.example".into(),
            },
        );
        let (gateway, revision) = (gateway.await?, std::sync::Mutex::default());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shutdown = Shutdown::new();
        let [first, second, third] = [(); 3].map(|()| shutdown.clone());
        tokio::spawn(async move { booking.run(first).await });
        tokio::spawn(async move { availability.run(second).await });
        let serving = gateway.clone();
        tokio::spawn(async move { serving.serve(listener, third).await });
        let rest = Product::ready(url, vec![], tempfile::tempdir()?, Some(database)).await?;
        Ok(Self { rest, clock, booking: channels.0, availability: channels.1, gateway, reminder, revision, shutdown })
    }

    /// Moves the clock by days.
    pub fn advance(&self, days: i64) {
        self.clock.advance(SignedDuration::from_hours(24 * days));
    }

    /// Moves the clock to an instant ahead.
    ///
    /// # Errors
    /// When it is not an instant.
    pub fn advance_to(&self, instant: &str) -> Result<()> {
        let to: Timestamp = instant.parse()?;
        self.clock.advance(to.duration_since(self.clock.now()));
        Ok(())
    }

    /// POST with the installation's key, at least as fresh as the earlier writes through this value.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// GET with the installation's key, at least as fresh as the earlier writes through this value.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], None).await
    }

    /// A request with further headers.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn send(&self, method: Method, path: &str, more: &[(&str, &str)], body: Option<Value>) -> Result<Answer> {
        let revision = self.revision.lock().map(|revision| revision.clone()).unwrap_or_default();
        let mut headers = more.to_vec();
        if !revision.is_empty() {
            headers.push(("meridian-revision", &revision));
        }
        let answer = self.rest.send(method, path, ADMIN, &headers, body).await?;
        if let Ok(mut revision) = self.revision.lock() {
            *revision = latest(&revision, &answer.revision());
        }
        Ok(answer)
    }

    /// The live entries of booking's feed.
    ///
    /// # Errors
    /// When booking does not answer.
    pub async fn snapshot(&self) -> Result<Vec<Change>> {
        let request = context(ORGANIZATION).request(SnapshotRequest::default());
        let mut parts = FeedClient::new(self.booking.clone()).snapshot(request).await?.into_inner();
        let mut changes = Vec::new();
        while let Some(part) = parts.message().await? {
            changes.extend(part.changes);
        }
        Ok(changes)
    }
}

async fn create_organization(availability: &Channel) -> Result<()> {
    let request = CreateOrganizationRequest {
        id: ORGANIZATION.to_string(),
        name: "Prairie Physio".into(),
        default_language: "en".into(),
        country: "CA".into(),
    };
    let request = context(ORGANIZATION).request(request);
    DirectoryClient::new(availability.clone()).create_organization(request).await?;
    Ok(())
}

/// A call context of an organisation.
pub fn context(organization: OrganizationId) -> Context {
    Context::new(organization, "scenarios", Duration::from_secs(20))
}

/// The newer revision of the directory (`d…`) and of the bookings (`b…`).
fn latest(before: &str, after: &str) -> String {
    let newest = |sort: char| after.split(',').chain(before.split(',')).find(|part| part.starts_with(sort));
    [newest('d'), newest('b')].into_iter().flatten().collect::<Vec<_>>().join(",")
}

impl Drop for ManualClockProduct {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}
