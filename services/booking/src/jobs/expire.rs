//! Ends expired holds, publishes plans that become at risk, deletes rows older than their retention, and detects that the
//! database was restored.

use std::{sync::Arc, time::Duration};

use domain::id::{HoldId, OrganizationId};
use jiff::SignedDuration;
use runtime::Shutdown;
use sql::Failure;

use super::plan_risk;
use crate::{Inner, config::HOLD_SECONDS_MAX, holds, rezone, store::retention::Cutoffs};

/// Real time between rounds. A hold expires at once without this job: the job only deletes it.
const INTERVAL: Duration = Duration::from_secs(2);
/// Holds that end, and rows of each table that are deleted, in one round. The next round follows at once where more are
/// left.
const HOLDS_MAX: i64 = 200;
const ROWS_MAX: i64 = 2000;
/// Plans at risk that are published in one round.
const PLANS_MAX: i64 = 200;
const KEYS_RETENTION: SignedDuration = SignedDuration::from_hours(24);
/// Limits count a practitioner's whole week, in any time zone.
const CLAIMS_RETENTION: SignedDuration = SignedDuration::from_hours(10 * 24);

pub(super) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.until(ticks.tick()).await.is_some() {
        let rounds = async {
            while run_round(inner).await? {}
            Ok::<_, Failure>(())
        };
        if let Some(Err(error)) = shutdown.until(rounds).await {
            tracing::warn!(%error, "a round of upkeep failed; trying again");
        }
    }
}

/// One round; answers whether more may be left.
async fn run_round(inner: &Arc<Inner>) -> Result<bool, Failure> {
    if inner.store.detect_failover().await? {
        tracing::warn!("the database was restored or failed over: every subscriber of the feed takes a new snapshot");
    }
    let now_us = inner.clock.now_us();
    let expired = inner.store.expired_holds(now_us, HOLDS_MAX).await?;
    let mut failed = false;
    for (organization, hold) in &expired {
        if let Err(fault) = holds::end(inner, *organization, *hold).await {
            let (code, organization) = (fault.code.as_str(), OrganizationId::new(*organization));
            tracing::warn!(code, %organization, hold = %HoldId::new(*hold), "an expired hold did not end; trying again");
            failed = true;
        }
    }
    let before = |age: SignedDuration| now_us.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
    let cutoffs = Cutoffs {
        keys_us: before(KEYS_RETENTION),
        claims_us: before(CLAIMS_RETENTION),
        changes_us: before(SignedDuration::from_hours(24 * i64::from(inner.config.feed_retention_days))),
        // A slot is refused to its visitor for at most as long as a hold lasts.
        held_slots_us: before(SignedDuration::from_secs(i64::from(HOLD_SECONDS_MAX))),
        now_us,
    };
    failed |= !rezone::finish::finish_pending(inner).await?;
    let at_risk = plan_risk::publish(inner, PLANS_MAX).await?;
    let more = inner.store.delete_expired(cutoffs, ROWS_MAX).await?;
    let is_full = |count: usize, limit: i64| i64::try_from(count).is_ok_and(|count| count >= limit);
    Ok(!failed && (more || is_full(at_risk, PLANS_MAX) || is_full(expired.len(), HOLDS_MAX)))
}
