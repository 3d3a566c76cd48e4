//! Following booking's feed: a snapshot, then the changes; after a loss, again from where it stood; after a lost
//! position, a new snapshot.

use std::{convert::Infallible, sync::Arc, time::Duration};

use calendar::tick;
use domain::id::OrganizationId;
use rpc::{Code, Context, Fault};
use runtime::Shutdown;
use sql::feed::{Position, Reach};
use tokio_stream::StreamExt;
use uuid::Uuid;
use wire::booking::{ChangeBatch, SnapshotRequest, SubscribeChangesRequest, change::Owner};

use crate::{Inner, index::span_at, organisations::Projections};

/// Within which a snapshot begins, and each of its parts follows the one before.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(55);
/// A feed that says nothing for so long is taken as cut; it beats every second.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// After so many batches (of 500 changes) without reaching the end, a replica does not keep up.
const BEHIND_BATCHES: u32 = 20;
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(2);

/// Follows until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut pause = PAUSE_FIRST;
    let mut standing = None;
    loop {
        let Some(outcome) = shutdown.until(follow(inner, &mut standing, &mut pause)).await else { return };
        let Err(fault) = outcome;
        if fault.code == Code::FeedPositionLost {
            // What is known stays in use until the new snapshot takes its place.
            standing = None;
        }
        metrics::gauge!("availability_feed_connected").set(0.0);
        tracing::info!(code = fault.code.as_str(), "the feed of bookings was cut; it is taken up again");
        if shutdown.until(wait(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(PAUSE_LAST);
    }
}

#[expect(clippy::disallowed_methods, reason = "a lost connection heals in real time, whatever the clock shows")]
pub(crate) async fn wait(pause: Duration) {
    tokio::time::sleep(pause).await;
}

async fn follow(
    inner: &Arc<Inner>,
    standing: &mut Option<Position>,
    pause: &mut Duration,
) -> Result<Infallible, Fault> {
    // The feed spans organisations; its calls name none in particular.
    let ctx = || Context::new(OrganizationId::new(Uuid::nil()), "availability", SNAPSHOT_WITHIN);
    let position = match *standing {
        Some(position) => position,
        None => *standing.insert(snapshot(inner, &ctx()).await?),
    };
    let request = SubscribeChangesRequest { position: position.to_string(), early: true };
    let mut batches = inner.feed.clone().subscribe_changes(ctx().request(request)).await?.into_inner();
    metrics::gauge!("availability_feed_connected").set(1.0);
    let mut unfinished = 0;
    loop {
        let batch = match tokio::time::timeout(SILENCE_MAX, batches.next()).await {
            Ok(Some(batch)) => batch?,
            Ok(None) | Err(_) => return Err(Fault::new(Code::Unavailable, "the feed fell silent")),
        };
        *pause = PAUSE_FIRST;
        *standing = Some(apply(inner, &batch)?);
        unfinished = if batch.more { unfinished + 1 } else { 0 };
        keeps_up(inner, unfinished < BEHIND_BATCHES);
    }
}

/// Says whether this replica keeps up: one that does not should not be asked.
fn keeps_up(inner: &Inner, keeps_up: bool) {
    metrics::gauge!("availability_feed_behind").set(if keeps_up { 0.0 } else { 1.0 });
    if keeps_up {
        inner.readiness.ready("feed");
    } else {
        inner.readiness.unready("feed", "this replica does not keep up with the changes of bookings");
    }
}

async fn snapshot(inner: &Arc<Inner>, ctx: &Context) -> Result<Position, Fault> {
    // Visits of today that are over still count for the day's cap.
    let from = tick::instant(span_at(inner.clock.now()).start);
    let request = SnapshotRequest { ends_after_us: from.as_microsecond() };
    let mut parts = inner.feed.clone().snapshot(ctx.request(request)).await?.into_inner();
    let (mut fresh, mut changes, mut position) = (Projections::new(inner.clock.now()), 0, None);
    let silent = |_| Fault::new(Code::Unavailable, "the feed fell silent");
    // The first part comes when booking has read all claims.
    while let Some(part) = tokio::time::timeout(SNAPSHOT_WITHIN, parts.next()).await.map_err(silent)? {
        let part = part?;
        changes += part.changes.len();
        part.changes.iter().for_each(|change| fresh.apply(change));
        position = part.position.parse::<Position>().ok().or(position);
    }
    let position = position.ok_or_else(|| Fault::new(Code::Unavailable, "the snapshot broke off"))?;
    inner.orgs.replace(fresh, inner.clock.now());
    inner.applied.send_replace(Some(Reach::at(position)));
    inner.readiness.ready("projection");
    tracing::info!(changes, "the snapshot of bookings is applied");
    inner.orgs.ids().into_iter().for_each(|organization| inner.doubts.all(organization));
    Ok(position)
}

fn apply(inner: &Inner, batch: &ChangeBatch) -> Result<Position, Fault> {
    let position = batch.position.parse().map_err(|_| Fault::internal("the feed sent no position"))?;
    let now = inner.clock.now();
    let mut touched = Vec::new();
    for change in &batch.changes {
        let news = inner.orgs.apply(change, now);
        touched.extend(news.filter(|_| matches!(change.owner, Some(Owner::Appointment(_)))));
        // Of what another process committed it is only known when the write began.
        let known_us = if change.committed_at_us > 0 { change.committed_at_us } else { change.changed_at_us };
        let lag_us = inner.clock.now_us().saturating_sub(known_us).max(0);
        metrics::histogram!("availability_feed_lag_seconds").record(Duration::from_micros(lag_us.unsigned_abs()));
    }
    let writes = batch.writes.iter().filter_map(|write| write.parse().ok()).collect();
    inner.applied.send_replace(Some(Reach { position, seen: batch.seen.parse().ok(), writes }));
    for (organization, appointment) in touched {
        inner.doubts.one(organization, appointment);
    }
    Ok(position)
}
