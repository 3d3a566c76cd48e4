//! The loop of a worker that leases due rows: what a poll finds, and the wait until the next one.

use std::{future::pending, time::Duration};

use jiff::Timestamp;
use runtime::{Clock, Shutdown};
use service::feed_client::pause;
use tokio::sync::futures::Notified;

/// Longest wait in real time: the rows of other processes cause no notification here.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Wait in real time when rows are due that another process holds.
const PAUSE: Duration = Duration::from_millis(20);
/// Wait in real time after a failure of the database.
const PAUSE_FAILED: Duration = Duration::from_secs(1);

/// The result of a poll.
pub(crate) enum Poll<T> {
    /// Leased rows.
    Leased(Vec<T>),
    /// Nothing is due before this instant, if ever.
    Wait(Option<i64>),
}

/// Waits until rows are due, are added, a running task ends or a second has passed.
pub(crate) async fn wait(
    clock: &Clock,
    shutdown: &Shutdown,
    added: Notified<'_>,
    ended: impl Future<Output = ()>,
    until_us: Option<i64>,
) {
    let due = async {
        match until_us {
            // Due, and leased by another process.
            Some(until_us) if until_us <= clock.now_us() => pause(PAUSE).await,
            Some(until_us) => clock.sleep_until(Timestamp::from_microsecond(until_us).unwrap_or(Timestamp::MAX)).await,
            None => pending().await,
        }
    };
    let any = async {
        tokio::select! {
            () = due => {}
            () = added => {}
            () = ended => {}
        }
    };
    // Each of the outcomes leads to the next poll.
    let _ = tokio::time::timeout(WAIT_MAX, shutdown.until(any)).await;
}

/// Waits after a failure of the database.
pub(crate) async fn wait_after_failure(shutdown: &Shutdown) {
    let _ = shutdown.until(pause(PAUSE_FAILED)).await;
}
