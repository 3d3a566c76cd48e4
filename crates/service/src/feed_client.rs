//! A client of booking's change feed: snapshot, tail, silence and back-off.
//!
//! The feed spans organisations, so its calls name none.

use std::time::Duration;

use domain::id::OrganizationId;
use rpc::{Channel, Code, Context, Fault};
use runtime::Shutdown;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::Streaming;
use uuid::Uuid;
use wire::booking::{
    ChangeBatch, SnapshotPart, SnapshotRequest, SubscribeChangesRequest, feed_client::FeedClient as Wire,
};

/// Longest wait for the first answer of a call, and for each part of a snapshot.
const CALL_TIMEOUT: Duration = Duration::from_secs(55);
/// Longest silence of a feed; booking sends a batch at least every second.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A client of the feed. Clones share a connection.
#[derive(Clone)]
pub struct FeedClient {
    client: Wire<Channel>,
    caller: &'static str,
}

impl FeedClient {
    /// A client that names itself `caller`.
    pub fn new(channel: Channel, caller: &'static str) -> Self {
        Self { client: Wire::new(channel), caller }
    }

    /// The context of a call to booking on behalf of no organisation.
    pub fn context(&self) -> Context {
        Context::new(OrganizationId::new(Uuid::nil()), self.caller, CALL_TIMEOUT)
    }

    /// Subscribes after a position; an empty one stands for now. `early` admits changes before those of transactions that
    /// still run.
    ///
    /// # Errors
    /// `feed_position_lost` when the feed does not reach back to the position.
    pub async fn subscribe(&self, position: &str, early: bool) -> Result<Changes, Fault> {
        let request = SubscribeChangesRequest { position: position.to_owned(), early };
        let call = self.client.clone().subscribe_changes(self.context().request(request)).await?;
        Ok(Changes(call.into_inner()))
    }

    /// Takes a snapshot of all that is live and ends after an instant, in microseconds.
    ///
    /// # Errors
    /// When booking does not answer.
    pub async fn snapshot(&self, ends_after_us: i64) -> Result<Snapshot, Fault> {
        let request = SnapshotRequest { ends_after_us };
        Ok(Snapshot(self.client.clone().snapshot(self.context().request(request)).await?.into_inner()))
    }

    /// The generated client, for calls that are no streams.
    pub fn client(&self) -> Wire<Channel> {
        self.client.clone()
    }
}

/// Changes as they come.
pub struct Changes(Streaming<ChangeBatch>);

impl Changes {
    /// The next batch; it may be empty.
    ///
    /// # Errors
    /// `unavailable` when the feed ends or stays silent.
    pub async fn next(&mut self) -> Result<ChangeBatch, Fault> {
        match tokio::time::timeout(SILENCE_MAX, self.0.next()).await {
            Ok(Some(batch)) => Ok(batch?),
            Ok(None) | Err(_) => Err(silent()),
        }
    }

    /// The next batch when it comes before an instant.
    ///
    /// # Errors
    /// `unavailable` when the feed ends.
    pub async fn next_until(&mut self, deadline: Instant) -> Result<Option<ChangeBatch>, Fault> {
        match tokio::time::timeout_at(deadline, self.0.next()).await {
            Ok(Some(batch)) => Ok(Some(batch?)),
            Ok(None) => Err(silent()),
            Err(_) => Ok(None),
        }
    }
}

/// The parts of a snapshot; the last one carries the position.
pub struct Snapshot(Streaming<SnapshotPart>);

impl Snapshot {
    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// `unavailable` when no part comes in time.
    pub async fn next(&mut self) -> Result<Option<SnapshotPart>, Fault> {
        let part = tokio::time::timeout(CALL_TIMEOUT, self.0.next()).await.map_err(|_| silent())?;
        Ok(part.transpose()?)
    }
}

fn silent() -> Fault {
    Fault::new(Code::Unavailable, "the feed fell silent")
}

/// Pauses between attempts: each is twice as long as the one before, up to a limit.
#[derive(Debug)]
pub struct Backoff {
    pause: Duration,
    longest: Duration,
}

const PAUSE_FIRST: Duration = Duration::from_millis(50);

impl Backoff {
    /// Pauses from 50 ms up to `longest`.
    pub fn new(longest: Duration) -> Self {
        Self { pause: PAUSE_FIRST, longest }
    }

    /// Begins again with the shortest pause, after a success.
    pub fn reset(&mut self) {
        self.pause = PAUSE_FIRST;
    }

    /// Waits; `None` when draining begins first.
    pub async fn wait(&mut self, shutdown: &Shutdown) -> Option<()> {
        shutdown.until(pause(self.pause)).await?;
        self.pause = (self.pause * 2).min(self.longest);
        Some(())
    }
}

/// Waits in real time: a lost connection heals by it, whatever the clock shows.
#[expect(clippy::disallowed_methods, reason = "a lost connection heals in real time, whatever the clock shows")]
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
