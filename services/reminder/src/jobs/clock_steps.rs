//! Notices that the system's clock was set back, and lets waiting messages and deliveries go on.
//!
//! Durations of one process come from the monotonic clock. What processes share in the database is wall time, and a row
//! that was to wait for a second would wait for the whole step.

use std::{sync::Arc, time::Duration};

use runtime::{Clock, Shutdown};
use service::feed_client::pause;
use sql::Failure;

use crate::{Inner, sending, store::clock_steps::shorten_waits};

/// Interval of the readings, in real time.
const INTERVAL: Duration = Duration::from_millis(250);
/// A smaller step delays nothing by much; the clock's daemon makes such steps.
const STEP_MIN_US: i64 = 500_000;
/// The rounds after a step in which the rows are read again: a transaction may have read the clock before it was set and
/// commit after the first round. A second, three seconds and ten seconds later.
const REPEATED_AFTER: [u32; 3] = [4, 12, 40];

/// Watches until draining begins. The first round is unconditional: the clock may have been set while nothing ran.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut offset_us = i64::MAX;
    let mut rounds_since = u32::MAX;
    loop {
        let present_us = offset(&inner.clock);
        let is_set_back = offset_us.saturating_sub(present_us) >= STEP_MIN_US;
        rounds_since = if is_set_back { 0 } else { rounds_since.saturating_add(1) };
        if is_set_back || REPEATED_AFTER.contains(&rounds_since) {
            match resume(inner).await {
                Ok(rows) if rows > 0 => tracing::warn!(rows, "the clock was set back: what waited for it goes on"),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the waits after a clock set back cannot be shortened; trying again");
                    if shutdown.until(pause(INTERVAL)).await.is_none() {
                        return;
                    }
                    continue;
                }
            }
        }
        offset_us = present_us;
        if shutdown.until(pause(INTERVAL)).await.is_none() {
            return;
        }
    }
}

/// The wall time less the time that has passed: it changes when the clock is set.
fn offset(clock: &Clock) -> i64 {
    clock.now_us().saturating_sub(clock.elapsed_us())
}

async fn resume(inner: &Inner) -> Result<u64, Failure> {
    let (lease_us, unknown_us) = sending::waits_us(inner);
    let mut tx = inner.store.across().begin().await?;
    let rows = shorten_waits(&mut tx, inner.clock.now_us(), lease_us, unknown_us).await?;
    tx.commit().await?;
    if rows > 0 {
        inner.planned.notify_waiters();
        inner.deliveries_queued.notify_waiters();
    }
    Ok(rows)
}
