//! Applies booking's feed: a snapshot, then its changes. After a lost connection it resumes; after a lost position it takes
//! a new snapshot.

use std::{convert::Infallible, sync::Arc, time::Duration};

use calendar::tick;
use domain::id::OrganizationId;
use rpc::{Code, Fault};
use runtime::Shutdown;
use service::feed_client::Backoff;
use sql::feed::{Position, Reach};
use tracing::field::Empty;
use wire::booking::{Change, ChangeBatch, change::Owner};

use crate::{Inner, index::span_at, organisations::Snapshot};

/// The number of batches (of 500 changes) without an end after which a replica counts as behind.
const BEHIND_BATCHES: u32 = 20;
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// Applies the feed until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut backoff = Backoff::new(PAUSE_LONGEST);
    let mut position = None;
    loop {
        let Some(outcome) = shutdown.until(follow(inner, &mut position, &mut backoff)).await else { return };
        let Err(fault) = outcome;
        if fault.code == Code::FeedPositionLost {
            // The present occupancy stays in use until the new snapshot replaces it.
            position = None;
        }
        metrics::gauge!("availability_feed_connected").set(0.0);
        tracing::info!(code = fault.code.as_str(), "the feed of bookings ended; reconnecting");
        if backoff.wait(shutdown).await.is_none() {
            return;
        }
    }
}

async fn follow(
    inner: &Arc<Inner>,
    position: &mut Option<Position>,
    backoff: &mut Backoff,
) -> Result<Infallible, Fault> {
    let from = match *position {
        Some(position) => position,
        None => *position.insert(apply_snapshot(inner).await?),
    };
    let mut changes = inner.feed.subscribe(&from.to_string(), true).await?;
    metrics::gauge!("availability_feed_connected").set(1.0);
    let mut unfinished = 0;
    loop {
        let batch = changes.next().await?;
        backoff.reset();
        *position = Some(apply_batch(inner, &batch)?);
        unfinished = if batch.more { unfinished + 1 } else { 0 };
        report_progress(inner, unfinished < BEHIND_BATCHES);
    }
}

/// Reports whether this replica keeps up; a replica that does not should get no requests.
fn report_progress(inner: &Inner, keeps_up: bool) {
    metrics::gauge!("availability_feed_behind").set(if keeps_up { 0.0 } else { 1.0 });
    if keeps_up {
        inner.readiness.ready("feed");
    } else {
        inner.readiness.unready("feed", "this replica does not keep up with the changes of bookings");
    }
}

async fn apply_snapshot(inner: &Arc<Inner>) -> Result<Position, Fault> {
    // Appointments of today that are over still count for the day's cap.
    let from = tick::instant(span_at(inner.clock.now()).start);
    let mut parts = inner.feed.snapshot(from.as_microsecond()).await?;
    let (mut snapshot, mut changes, mut position) = (Snapshot::new(inner.clock.now()), 0, None);
    while let Some(part) = parts.next().await? {
        changes += part.changes.len();
        part.changes.iter().for_each(|change| snapshot.apply(change));
        position = part.position.parse::<Position>().ok().or(position);
    }
    let position = position.ok_or_else(|| Fault::new(Code::Unavailable, "the snapshot broke off"))?;
    inner.organisations.replace(snapshot, inner.clock.now());
    inner.applied.send_replace(Some(Reach::at(position)));
    inner.readiness.ready("projection");
    tracing::info!(changes, %position, "the snapshot of bookings is applied");
    inner.organisations.ids().into_iter().for_each(|organization| inner.rechecks.push_all(organization));
    Ok(position)
}

fn apply_batch(inner: &Inner, batch: &ChangeBatch) -> Result<Position, Fault> {
    let position = batch.position.parse().map_err(|_| Fault::internal("the feed sent no position"))?;
    let touched: Vec<_> = batch.changes.iter().filter_map(|change| apply_change(inner, change)).collect();
    let writes = batch.writes.iter().filter_map(|write| write.parse().ok()).collect();
    inner.applied.send_replace(Some(Reach { position, seen: batch.seen.parse().ok(), writes }));
    for (organization, appointment) in touched {
        inner.rechecks.push(organization, appointment);
    }
    Ok(position)
}

/// Applies a change, in a span that is linked to the trace of its write; returns the organisation and the appointment
/// that is to be rechecked.
fn apply_change(inner: &Inner, change: &Change) -> Option<(uuid::Uuid, uuid::Uuid)> {
    let span = if change.trace_parent.is_empty() {
        tracing::Span::none()
    } else {
        let span = tracing::info_span!("apply_change", otel.kind = "consumer", organization_id = Empty);
        rpc::trace::link(&span, &change.trace_parent);
        span
    };
    let _entered = span.enter();
    let applied = inner.organisations.apply(change, inner.clock.now());
    // Another process's commit time is unknown; the write's begin stands for it.
    let committed_us = if change.committed_at_us > 0 { change.committed_at_us } else { change.changed_at_us };
    let lag_us = inner.clock.now_us().saturating_sub(committed_us).max(0);
    metrics::histogram!("availability_feed_lag_seconds").record(Duration::from_micros(lag_us.unsigned_abs()));
    if let Some((organization, _)) = applied {
        span.record("organization_id", OrganizationId::new(organization).to_string());
    }
    applied.filter(|_| matches!(change.owner, Some(Owner::Appointment(_))))
}
