//! What goes on in the background: expired holds end, and what is past its keeping is forgotten.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use runtime::Shutdown;

use crate::{Inner, holds};

/// How often, in real time: a hold's expiry works at once without this, sweeping only tidies up.
const EVERY: Duration = Duration::from_secs(2);
const HOLDS_MAX: i64 = 200;
const KEYS_KEPT: SignedDuration = SignedDuration::from_hours(24);
const CLAIMS_KEPT: SignedDuration = SignedDuration::from_hours(48);

pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.until(ticks.tick()).await.is_some() {
        if let Err(error) = sweep(inner).await {
            tracing::warn!(%error, "sweeping failed; it is tried again shortly");
        }
    }
}

async fn sweep(inner: &Arc<Inner>) -> Result<(), sql::Failure> {
    let now = inner.clock.now();
    for (organization, hold) in inner.store.expired_holds(now.as_microsecond(), HOLDS_MAX).await? {
        if let Err(fault) = holds::end(inner, organization, hold).await {
            tracing::warn!(code = fault.code.as_str(), "an expired hold could not be ended; it is tried again shortly");
        }
    }
    let before = |kept: SignedDuration| now.as_microsecond().saturating_sub(micros(kept));
    inner.store.sweep(before(KEYS_KEPT), before(CLAIMS_KEPT)).await?;
    let feed = SignedDuration::from_hours(24 * i64::from(inner.config.feed_retention_days));
    inner.store.sweep_changes(before(feed)).await
}

fn micros(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
