//! The worker: leases due messages, has them sent, and waits until more are due.
//!
//! Due messages have no lower bound, so none is missed after a downtime; the check before the send takes back those that
//! are of no use any more. Each message runs in a task of its own: one that fails or panics ends no other. Several workers
//! may run side by side.

use std::{
    future::pending,
    sync::{Arc, PoisonError},
};

use runtime::Shutdown;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{queue::DueQueue, send};
use crate::{
    Inner,
    polling::{Poll, wait, wait_after_failure},
};

/// Sends until draining begins, then waits for the sends that run.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut running = JoinSet::new();
    let capacity = usize::try_from(inner.config.concurrency).unwrap_or(1);
    let mut queue = DueQueue::new();
    while !shutdown.has_begun() {
        reap(&mut running);
        let free = capacity.saturating_sub(running.len());
        // One lease of many messages costs little more than one of a single message.
        if free < (capacity / 4).max(1) {
            let ended = async { running.join_next().await };
            let _ = shutdown.until(ended).await;
            continue;
        }
        // Created before the poll, so that messages planned during it are noticed.
        let planned = inner.planned.notified();
        match queue.poll(inner, free).await {
            Ok(Poll::Leased(messages)) => {
                for message in messages {
                    let busy = Busy::new(inner, message.id);
                    let (inner, shutdown) = (inner.clone(), shutdown.clone());
                    running.spawn(async move {
                        let _busy = busy;
                        send::send(&inner, &message, &shutdown).await;
                    });
                }
            }
            // A finished send that makes other work due notifies `planned`, so completions need not wake this loop.
            Ok(Poll::Wait(until_us)) => wait(&inner.clock, shutdown, planned, pending(), until_us).await,
            Err(error) => {
                tracing::warn!(%error, "due messages cannot be read; the next attempt is in a second");
                wait_after_failure(shutdown).await;
            }
        }
    }
    while running.join_next().await.is_some() {}
}

fn reap(running: &mut JoinSet<()>) {
    while let Some(ended) = running.try_join_next() {
        if let Err(error) = ended {
            tracing::error!(%error, "a send broke off; its message is settled when its lease ends");
        }
    }
}

/// Duration of a lease, in microseconds.
pub(super) fn lease_us(inner: &Inner) -> i64 {
    i64::from(inner.config.lease_seconds) * 1_000_000
}

/// Marks a message as one that this process works on, until its task ends in any way.
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
