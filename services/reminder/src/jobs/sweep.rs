//! What is past its keeping is forgotten: idempotency keys after a day, providers' reports after 90, deliveries to
//! webhooks after 30, what patients wrote after 400. And what still waits for a person is counted, for whoever watches the
//! service.

use std::{sync::Arc, time::Duration};

use runtime::Shutdown;
use sql::Failure;

use crate::Inner;

/// How often, in real time.
const EVERY: Duration = Duration::from_secs(60);
const DAY_US: i64 = 24 * 3_600_000_000;

pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.until(ticks.tick()).await.is_some() {
        let now_us = inner.clock.now_us();
        let swept = async {
            inner.store.sweep(now_us - DAY_US, now_us - 90 * DAY_US, now_us - 400 * DAY_US).await?;
            inner.store.sweep_deliveries(now_us - 30 * DAY_US, now_us).await
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "sweeping failed; it is tried again shortly");
        }
        if let Err(error) = count_unread(inner, now_us).await {
            tracing::warn!(%error, "what waits for a person could not be counted; it is tried again shortly");
        }
    }
}

/// How many replies wait for a person in all organisations, and for how long the oldest has: 0 while none does.
async fn count_unread(inner: &Inner, now_us: i64) -> Result<(), Failure> {
    let (unread, since_us) = inner.store.unread_anywhere().await?;
    metrics::gauge!("reminder_inbox_unread").set(unread as f64);
    let waited_us = since_us.map_or(0, |since_us| now_us.saturating_sub(since_us).max(0));
    let waited = Duration::from_micros(waited_us.unsigned_abs());
    metrics::gauge!("reminder_inbox_oldest_seconds").set(waited.as_secs_f64());
    Ok(())
}
