//! The follower of booking's feed: a snapshot first, then the changes; after a lost connection it goes on from the stored
//! position, and after a lost position it takes a new snapshot.
//!
//! Changes and the position after them are one transaction, which moves the position only from where this process read
//! on. Of several followers the losers of that race stand by, and take over when the position stands still.

use std::{convert::Infallible, sync::Arc, time::Duration};

use domain::id::{AppointmentId, OrganizationId};
use rpc::{Code, Fault};
use runtime::Shutdown;
use service::{
    db_error,
    feed_client::{Backoff, Changes as ChangeStream, pause},
};
use sql::{Failure, feed::Position};
use tokio::time::Instant;
use tracing::{Instrument, Span};
use wire::booking::{Change, ChangeBatch};

use super::{
    commit::{Committed, FeedBatch, Progress, commit},
    history,
};
use crate::{
    Inner,
    planning::{
        Event,
        apply::Changes,
        wire::{appointment_changes, offer_changes, plans_at_risk},
    },
    rate::RateLimiter,
    store::{absent, positions::PositionStep},
    webhooks::event::{WebhookEvent, from_changes},
};

/// Longest pause before the feed is followed again, and between attempts to read the history.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Interval at which a standing-by process reads the position, and the number of equal readings after which it takes over.
const STAND_BY_INTERVAL: Duration = Duration::from_secs(1);
const STAND_BY_READINGS: u32 = 5;
/// Least interval between commits under load, and the number of commits without a wait after a quiet time.
const COMMIT_INTERVAL: Duration = Duration::from_millis(50);
const COMMIT_BURST: u32 = 4;
/// Changes after which a batch is committed at once.
const BATCH_MAX: usize = 500;
/// Irrelevant changes after which the position is stored all the same.
const SKIPPED_MAX: usize = 1000;

/// Why following ended.
pub(super) enum FollowError {
    /// The feed or the database failed.
    Failed(Fault),
    /// Another process follows.
    FollowedElsewhere,
}

impl From<Fault> for FollowError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<tonic::Status> for FollowError {
    fn from(status: tonic::Status) -> Self {
        Self::Failed(status.into())
    }
}

impl From<Failure> for FollowError {
    fn from(error: Failure) -> Self {
        Self::Failed(db_error::fault(error))
    }
}

/// Follows until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut backoff = Backoff::new(PAUSE_MAX);
    let mut position_lost = false;
    loop {
        let Some(Err(error)) = shutdown.until(follow(inner, position_lost, &mut backoff)).await else { return };
        position_lost = false;
        match error {
            FollowError::FollowedElsewhere => {
                tracing::info!("another process follows booking's feed; this one stands by");
                if shutdown.until(stand_by(inner)).await.is_none() {
                    return;
                }
            }
            FollowError::Failed(fault) => {
                position_lost = fault.code == Code::FeedPositionLost;
                tracing::info!(code = fault.code.as_str(), "booking's feed was cut; it is followed again shortly");
                if backoff.wait(shutdown).await.is_none() {
                    return;
                }
            }
        }
    }
}

async fn follow(inner: &Arc<Inner>, position_lost: bool, backoff: &mut Backoff) -> Result<Infallible, FollowError> {
    let position = match inner.store.position().await? {
        Some(position) if !position_lost && position.parse::<Position>().is_ok() => position,
        stored => take_snapshot(inner, stored).await?,
    };
    inner.applied.send_replace(position.parse().ok());
    // The history is read beside the feed, which must not wait for it.
    tokio::try_join!(history::read_until_done(inner), tail(inner, position, backoff)).map(|(never, _)| never)
}

/// Applies the changes after a position as they come.
async fn tail(inner: &Arc<Inner>, mut position: String, backoff: &mut Backoff) -> Result<Infallible, FollowError> {
    let mut stream = inner.feed.subscribe(&position, false).await?;
    let (mut skipped, mut rate, mut deadline) = (0, RateLimiter::new(COMMIT_INTERVAL, COMMIT_BURST), Instant::now());
    loop {
        let batch = next_batch(&mut stream, deadline).await?;
        let mut appointments = appointment_changes(&batch.changes, None);
        let plans = plans_at_risk(&batch.changes, None);
        let (offers, events) = (offer_changes(&batch.changes), from_changes(&batch.changes));
        skipped += batch.changes.len();
        // Every offer is an event too.
        if !appointments.is_empty() || !plans.is_empty() || !events.is_empty() || skipped >= SKIPPED_MAX {
            appointments.extend(history::last_appointments(inner, &plans).await?);
            let changes = Changes { appointments: &appointments, plans_at_risk: &plans, offers: &offers };
            let step = PositionStep { from: Some(&position), to: &batch.position };
            let span = span_of(&batch.changes);
            apply(inner, changes, &events, Progress::Feed(step)).instrument(span).await?;
            position.clone_from(&batch.position);
            (skipped, deadline) = (0, rate.acquire(Instant::now()));
            let now_us = inner.clock.now_us();
            for change in &appointments {
                let lag_us = now_us.saturating_sub(change.changed_at_us).max(0).unsigned_abs();
                metrics::histogram!("reminder_feed_lag_seconds").record(Duration::from_micros(lag_us));
            }
        }
        inner.applied.send_replace(batch.position.parse().ok());
        // Only now: a batch that comes but cannot be applied, as on a full disk, is no progress.
        backoff.reset();
    }
}

/// The next batch, and what else comes before the deadline: many changes cost little more than one.
async fn next_batch(stream: &mut ChangeStream, deadline: Instant) -> Result<ChangeBatch, Fault> {
    let mut batch = stream.next().await?;
    while batch.changes.len() < BATCH_MAX {
        let Some(next) = stream.next_until(deadline).await? else { break };
        batch.changes.extend(next.changes);
        batch.position = next.position;
    }
    Ok(batch)
}

/// Applies a snapshot. Each part is its own transaction and stores a temporary position, so that only one process applies
/// the snapshot; one that breaks off is taken again from its beginning.
async fn take_snapshot(inner: &Arc<Inner>, mut stored: Option<String>) -> Result<String, FollowError> {
    let began_us = inner.clock.now_us();
    let id = inner.ids.uuid(inner.clock.now());
    // Appointments that ended while the position was lost are in no snapshot.
    inner.store.delete_history().await?;
    let mut parts = inner.feed.snapshot(0).await?;
    let mut count = 0;
    while let Some(part) = parts.next().await? {
        let mut appointments = appointment_changes(&part.changes, Some(Event::Snapshot));
        let plans = plans_at_risk(&part.changes, Some(inner.clock.now_us()));
        appointments.extend(history::last_appointments(inner, &plans).await?);
        count += part.changes.len();
        let is_last = !part.position.is_empty();
        let position = if is_last { part.position } else { format!("snapshot {id} {count}") };
        let changes = Changes { appointments: &appointments, plans_at_risk: &plans, offers: &[] };
        let step = PositionStep { from: stored.as_deref(), to: &position };
        apply(inner, changes, &[], Progress::Feed(step)).await?;
        if is_last {
            tracing::info!(changes = count, "booking's snapshot is applied");
            settle_absent(inner, began_us).await?;
            return Ok(position);
        }
        stored = Some(position);
    }
    Err(Fault::new(Code::Unavailable, "the snapshot broke off").into())
}

/// Takes note of the appointments that were known and are in the snapshot no more: booking was restored to a state from
/// before they were booked.
async fn settle_absent(inner: &Arc<Inner>, began_us: i64) -> Result<(), FollowError> {
    let mut tx = inner.store.across().begin().await?;
    let absent = absent::settle_absent(&mut tx, began_us, inner.clock.now_us()).await?;
    tx.commit().await?;
    for (organization, appointment) in &absent {
        let (organization, appointment) = (OrganizationId::new(*organization), AppointmentId::new(*appointment));
        tracing::warn!(
            %organization, %appointment,
            "booking has this appointment no more; its patient may come all the same: meridian doctor lists such appointments"
        );
    }
    inner.planned.notify_waiters();
    Ok(())
}

/// The span of one transaction, linked to the traces of the writes that made its changes.
fn span_of(changes: &[Change]) -> Span {
    let span = tracing::info_span!("apply_changes", otel.kind = "consumer", changes = changes.len());
    for change in changes.iter().filter(|change| !change.trace_parent.is_empty()) {
        rpc::trace::link(&span, &change.trace_parent);
    }
    span
}

/// Commits changes, and wakes the loops that send and deliver.
pub(super) async fn apply(
    inner: &Arc<Inner>,
    changes: Changes<'_>,
    events: &[WebhookEvent],
    progress: Progress<'_>,
) -> Result<(), FollowError> {
    let settle_us = i64::from(inner.config.settle_seconds) * 1_000_000;
    let batch = FeedBatch { changes, events, progress, now_us: inner.clock.now_us(), settle_us };
    let run = || commit(&inner.store, &inner.ids, &batch);
    match sql::retry_serialization(|| inner.ids.fraction(), run).await? {
        Committed::Here { planned } => {
            if planned > 0 {
                inner.planned.notify_waiters();
            }
            if !events.is_empty() {
                inner.deliveries_queued.notify_waiters();
            }
            Ok(())
        }
        Committed::Elsewhere => Err(FollowError::FollowedElsewhere),
    }
}

/// Waits until the position has stood still for a while: its follower may be gone.
async fn stand_by(inner: &Arc<Inner>) {
    let (mut last, mut readings) = (None, 0);
    while readings < STAND_BY_READINGS {
        pause(STAND_BY_INTERVAL).await;
        let Ok(position) = inner.store.position().await else { continue };
        readings = if position == last { readings + 1 } else { 0 };
        inner.applied.send_replace(position.as_deref().and_then(|text| text.parse().ok()));
        // The other process cannot wake this one's loops.
        inner.planned.notify_waiters();
        inner.deliveries_queued.notify_waiters();
        last = position;
    }
}
