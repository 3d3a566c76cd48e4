//! The dispatcher: leases what is due, has it sent, and sleeps until something is due again.
//!
//! It selects what is due without a lower bound, so that nothing is missed while nobody looked; what is past its use is
//! taken back by the check before the send. Each message runs in a task of its own: one that fails, or panics, ends
//! nothing but itself. Several dispatchers may run side by side.

use std::{
    future::pending,
    sync::{Arc, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use runtime::Shutdown;
use tokio::{sync::futures::Notified, task::JoinSet};
use uuid::Uuid;

use super::{
    queue::{Line, Look},
    send,
};
use crate::Inner;

/// How long it sleeps at most, in real time: what other processes plan does not ring here.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A pause in real time where something is due that nobody could lease, or the database failed.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_FAILED: Duration = Duration::from_secs(1);

/// Dispatches until draining begins, then waits for what is on its way.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut running = JoinSet::new();
    let places = usize::try_from(inner.config.concurrency).unwrap_or(1);
    let mut line = Line::new();
    while !shutdown.has_begun() {
        reap(&mut running);
        let free = places.saturating_sub(running.len());
        // Not for each that ends: a lease costs little more for many than for one.
        if free < (places / 4).max(1) {
            let done = async { running.join_next().await };
            let _ = shutdown.until(done).await;
            continue;
        }
        // Asked for before the look, so that a plan in between still rings.
        let planned = inner.planned.notified();
        match line.look(inner, free).await {
            Ok(Look::Leased(messages)) => {
                for message in messages {
                    let busy = Busy::new(inner, message.id);
                    let (inner, shutdown) = (inner.clone(), shutdown.clone());
                    running.spawn(async move {
                        let _busy = busy;
                        send::one(&inner, &message, &shutdown).await;
                    });
                }
            }
            // What ends leaves nothing due that does not ring.
            Ok(Look::Wait(until_us)) => rest(inner, shutdown, planned, pending(), until_us).await,
            Err(error) => {
                tracing::warn!(%error, "due messages could not be read; it is tried again shortly");
                let _ = shutdown.until(pause(PAUSE_FAILED)).await;
            }
        }
    }
    while running.join_next().await.is_some() {}
}

fn reap(running: &mut JoinSet<()>) {
    while let Some(ended) = running.try_join_next() {
        if let Err(error) = ended {
            tracing::error!(%error, "sending a message broke off; it is settled when its lease is over");
        }
    }
}

/// How long this process may be busy with one message.
pub(super) fn lease_us(inner: &Inner) -> i64 {
    i64::from(inner.config.lease_seconds) * 1_000_000
}

/// Rests until something is due, rings or ends, or it is time to look again.
pub(crate) async fn rest(
    inner: &Inner,
    shutdown: &Shutdown,
    planned: Notified<'_>,
    ended: impl Future<Output = ()>,
    until_us: Option<i64>,
) {
    let due = async {
        match until_us {
            // It is due, and somebody else is at it.
            Some(until_us) if until_us <= inner.clock.now_us() => pause(PAUSE).await,
            Some(until_us) => {
                inner.clock.sleep_until(Timestamp::from_microsecond(until_us).unwrap_or(Timestamp::MAX)).await;
            }
            None => pending().await,
        }
    };
    let any = async {
        tokio::select! {
            () = due => {}
            () = planned => {}
            () = ended => {}
        }
    };
    // Either way it is time to look again.
    let _ = tokio::time::timeout(LOOK_EVERY, shutdown.until(any)).await;
}

#[expect(clippy::disallowed_methods, reason = "another process works in real time, whatever the clock shows")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Marks a message as one that this process is at, until its task ends, however it ends.
struct Busy {
    inner: Arc<Inner>,
    id: Uuid,
}

impl Busy {
    fn new(inner: &Arc<Inner>, id: Uuid) -> Self {
        inner.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Self { inner: inner.clone(), id }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.inner.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
