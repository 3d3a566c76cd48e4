//! What goes on in the background: expired holds end, plans that come to be at risk are told of, what is past its keeping is forgotten, and a database that has
//! been restored is noticed.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use runtime::Shutdown;

use crate::{Inner, holds, jobs, rezone, store::Before};

/// How often, in real time: a hold's expiry works at once without this, sweeping only tidies up.
const EVERY: Duration = Duration::from_secs(2);
/// Holds that end, and rows of each table that go, in one round; the next round follows at once where more are left.
const HOLDS_MAX: i64 = 200;
const ROWS_MAX: i64 = 2000;
/// Plans at risk that are told of in one round.
const PLANS_MAX: i64 = 200;
const KEYS_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// A practitioner's week is counted whole, wherever its clock stands.
const CLAIMS_KEPT: SignedDuration = SignedDuration::from_hours(10 * 24);

pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.until(ticks.tick()).await.is_some() {
        let swept = async {
            while sweep(inner).await? {}
            Ok::<_, sql::Failure>(())
        };
        if let Some(Err(error)) = shutdown.until(swept).await {
            tracing::warn!(%error, "sweeping failed; it is tried again shortly");
        }
    }
}

/// One round; answers whether more may be left.
async fn sweep(inner: &Arc<Inner>) -> Result<bool, sql::Failure> {
    if inner.store.notice_new_life().await? {
        tracing::warn!("the database has begun a new life: every follower of the feed takes a new snapshot");
    }
    let now_us = inner.clock.now_us();
    let expired = inner.store.expired_holds(now_us, HOLDS_MAX).await?;
    let mut failed = false;
    for (organization, hold) in &expired {
        if let Err(fault) = holds::end(inner, *organization, *hold).await {
            tracing::warn!(code = fault.code.as_str(), "an expired hold could not be ended; it is tried again shortly");
            failed = true;
        }
    }
    let before = |kept: SignedDuration| now_us.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
    let before = Before {
        keys_us: before(KEYS_KEPT),
        claims_us: before(CLAIMS_KEPT),
        changes_us: before(SignedDuration::from_hours(24 * i64::from(inner.config.feed_retention_days))),
        now_us,
    };
    failed |= !rezone::settle(inner).await?;
    let at_risk = jobs::plan_risk::tell(inner, PLANS_MAX).await?;
    let more = inner.store.sweep(before, ROWS_MAX).await?;
    let full = i64::try_from(at_risk).is_ok_and(|count| count >= PLANS_MAX);
    Ok(!failed && (more || full || i64::try_from(expired.len()).is_ok_and(|count| count >= HOLDS_MAX)))
}
