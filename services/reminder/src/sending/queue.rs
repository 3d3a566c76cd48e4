//! The queue of due messages, the earliest appointment first.
//!
//! That order needs all due messages to be read, which is much under load; so a read takes many keys at once and leases
//! take a few of them at a time. A lease finds out what has changed since the read.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use service::feed_client::pause;
use sql::Failure;
use tokio::time::Instant;
use uuid::Uuid;

use super::worker::lease_us;
use crate::{
    Inner, count,
    polling::Poll,
    rate::RateLimiter,
    store::{batch::Key, messages::MessageRow},
};

/// How long the outcome of a send stays unknown before the rule decides whether it is repeated, in microseconds: most late
/// reports have come by then.
pub(super) const UNKNOWN_US: i64 = 600_000_000;
/// Keys of one read.
const READ_MAX: i64 = 8192;
/// Least interval between reads under load: messages planned meanwhile are read, looked up, leased and sent together.
const READ_INTERVAL: Duration = Duration::from_millis(50);
/// Reads without a wait after a quiet time. One message takes two: one that finds it and one that finds no more.
const READ_BURST: u32 = 8;
/// Age of a read, in real time, after which the queue is read again: an earlier message may have become due.
const AGE_MIN: Duration = Duration::from_secs(1);
/// A slow read stays longer, in multiples of its own duration and up to a limit, so that reads take little of the time.
const AGE_PER_READ: u32 = 50;
const AGE_MAX: Duration = Duration::from_secs(10);
/// Empty leases in a row after which the queue is read again: other processes have leased its keys.
const EMPTY_LEASES_MAX: u32 = 3;

/// The due messages that one worker has read.
pub(super) struct DueQueue {
    keys: VecDeque<Key>,
    rate: RateLimiter,
    fresh_until: Option<Instant>,
    empty_leases: u32,
}

impl DueQueue {
    pub(super) fn new() -> Self {
        Self {
            keys: VecDeque::new(),
            rate: RateLimiter::new(READ_INTERVAL, READ_BURST),
            fresh_until: None,
            empty_leases: 0,
        }
    }

    /// Leases up to `free` due messages.
    pub(super) async fn poll(&mut self, inner: &Inner, free: usize) -> Result<Poll<Arc<MessageRow>>, Failure> {
        if self.keys.is_empty() || self.fresh_until.is_none_or(|until| Instant::now() > until) {
            let next = self.read(inner).await?;
            if self.keys.is_empty() {
                return Ok(Poll::Wait(next));
            }
        }
        let now_us = inner.clock.now_us();
        let keys: Vec<_> = self.keys.drain(..free.min(self.keys.len())).collect();
        let mut leased = inner.store.lease(now_us, now_us + lease_us(inner), &keys).await?;
        self.empty_leases = if leased.is_empty() { self.empty_leases + 1 } else { 0 };
        if self.empty_leases >= EMPTY_LEASES_MAX || (leased.is_empty() && self.keys.is_empty()) {
            (self.empty_leases, self.fresh_until) = (0, None);
            return Ok(Poll::Wait(Some(now_us)));
        }
        leased.sort_by_key(|message| (message.starts_at_us, message.id));
        if leased.len() * 2 < keys.len() && !self.keys.is_empty() {
            // Another process leases the same keys: this one goes on elsewhere in the queue.
            let offset = (inner.ids.fraction() * self.keys.len() as f64) as usize;
            self.keys.rotate_left(offset % self.keys.len());
        }
        Ok(Poll::Leased(leased.into_iter().map(Arc::new).collect()))
    }

    /// Reads the queue again; answers the next due instant.
    async fn read(&mut self, inner: &Inner) -> Result<Option<i64>, Failure> {
        self.keys.clear();
        let now = Instant::now();
        pause(self.rate.acquire(now).saturating_duration_since(now)).await;
        let (next, next_expiry) = inner.store.next_wake().await?;
        let now_us = inner.clock.now_us();
        // How long the longest waiting message has been due: 0 while none waits.
        let overdue_us = next.map_or(0, |next| now_us.saturating_sub(next).max(0));
        metrics::gauge!("reminder_overdue_seconds").set(Duration::from_micros(overdue_us.unsigned_abs()).as_secs_f64());
        if next.is_none_or(|next| next > now_us) {
            return Ok(next);
        }
        let busy: Vec<Uuid> = inner.busy.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        if next_expiry.is_some_and(|expiry| expiry <= now_us) {
            for (trigger, channel) in inner.store.expire_sends(now_us, now_us + UNKNOWN_US, &busy).await? {
                tracing::warn!(trigger, channel, "the outcome of a send is unknown: its process is gone");
                count("unknown", &trigger, &channel);
            }
        }
        let began = Instant::now();
        self.keys = inner.store.due(now_us, READ_MAX, &busy).await?.into();
        self.fresh_until = Some(Instant::now() + (began.elapsed() * AGE_PER_READ).clamp(AGE_MIN, AGE_MAX));
        Ok(next)
    }
}
