//! What is past its keeping is forgotten: idempotency keys after a day, providers' reports after 90, deliveries to
//! webhooks after 30, what patients wrote after 400.

use std::{sync::Arc, time::Duration};

use runtime::Shutdown;

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
    }
}
