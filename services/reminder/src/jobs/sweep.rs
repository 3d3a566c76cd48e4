//! The sweep: deletes rows past their retention and counts unread replies for operators.
//!
//! Retention: idempotency keys and verifications a day, providers' reports 90 days, webhook deliveries 30 days, inbound messages 400 days.

use std::{sync::Arc, time::Duration};

use runtime::Shutdown;
use sql::Failure;

use crate::Inner;

/// Interval in real time.
const INTERVAL: Duration = Duration::from_secs(60);
const DAY_US: i64 = 24 * 3_600_000_000;

pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.until(ticks.tick()).await.is_some() {
        let now_us = inner.clock.now_us();
        let swept = async {
            inner.store.sweep(now_us - DAY_US, now_us - 90 * DAY_US, now_us - 400 * DAY_US).await?;
            inner.store.sweep_deliveries(now_us - 30 * DAY_US, now_us).await
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "rows past their retention cannot be deleted; the next attempt is in a minute");
        }
        if let Err(error) = count_unread(inner, now_us).await {
            tracing::warn!(%error, "unread replies cannot be counted; the next attempt is in a minute");
        }
    }
}

/// Publishes the number of unread replies in all organisations and the age of the oldest: 0 without any.
async fn count_unread(inner: &Inner, now_us: i64) -> Result<(), Failure> {
    let (unread, since_us) = inner.store.unread_anywhere().await?;
    metrics::gauge!("reminder_inbox_unread").set(unread as f64);
    let waited_us = since_us.map_or(0, |since_us| now_us.saturating_sub(since_us).max(0));
    let waited = Duration::from_micros(waited_us.unsigned_abs());
    metrics::gauge!("reminder_inbox_oldest_seconds").set(waited.as_secs_f64());
    Ok(())
}
