//! The line of what is due, in the order in which it goes: the earliest visit first.
//!
//! To find that order everything that is due is read, which in a crowd is much; so it is read for many messages at once,
//! and these are leased a few at a time. What has changed meanwhile the lease finds out.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use sql::Failure;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use super::worker::{lease_us, pause};
use crate::{Inner, count, rate::RateLimiter, store::rows::MessageRow};

/// Messages that are read at once.
const READ_MAX: i64 = 8192;
/// In a busy time it is read this often: what rings meanwhile is read, asked about, leased and sent together.
const PERIOD: Duration = Duration::from_millis(50);
/// So many times without a wait after a quiet time. One message takes two: one that finds it, and one that finds no more.
const BURST: u32 = 8;
/// After so long it is read anew, in real time: something earlier may have come.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Where reading is long, after so many times as long: reading must not be what a crowd waits for. Nor may what came since
/// wait for much longer.
const FRESH_TIMES: u32 = 50;
const FRESH_MAX: Duration = Duration::from_secs(10);
/// So many leases in a row of which others have taken all, and the line is read anew.
const IN_VAIN_MAX: u32 = 3;

/// What a look at the database found.
pub(crate) enum Look<T> {
    Leased(Vec<T>),
    /// Nothing is due before this instant, if ever.
    Wait(Option<i64>),
}

/// What one dispatcher knows of the line.
pub(crate) struct Line {
    /// Organisation and id.
    due: VecDeque<(Uuid, Uuid)>,
    rate: RateLimiter,
    fresh_until: Option<Instant>,
    in_vain: u32,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { due: VecDeque::new(), rate: RateLimiter::new(PERIOD, BURST), fresh_until: None, in_vain: 0 }
    }

    /// Leases up to `free` messages of those that are due.
    pub(super) async fn look(&mut self, inner: &Inner, free: usize) -> Result<Look<Arc<MessageRow>>, Failure> {
        if self.due.is_empty() || self.fresh_until.is_none_or(|until| Instant::now() > until) {
            let next = self.read(inner).await?;
            if self.due.is_empty() {
                return Ok(Look::Wait(next));
            }
        }
        let now_us = inner.clock.now_us();
        let wanted: Vec<_> = self.due.drain(..free.min(self.due.len())).collect();
        let mut leased = inner.store.lease(now_us, now_us + lease_us(inner), &wanted).await?;
        self.in_vain = if leased.is_empty() { self.in_vain + 1 } else { 0 };
        if self.in_vain >= IN_VAIN_MAX || (leased.is_empty() && self.due.is_empty()) {
            // The line is not what it was.
            (self.in_vain, self.fresh_until) = (0, None);
            return Ok(Look::Wait(Some(now_us)));
        }
        leased.sort_by_key(|one| (one.starts_at_us, one.id));
        if leased.len() * 2 < wanted.len() && !self.due.is_empty() {
            // Another process goes along the same line: this one goes on elsewhere in it.
            let place = (inner.ids.fraction() * self.due.len() as f64) as usize;
            self.due.rotate_left(place % self.due.len());
        }
        Ok(Look::Leased(leased.into_iter().map(Arc::new).collect()))
    }

    /// Reads the line anew; answers when something is due next where nothing is now.
    async fn read(&mut self, inner: &Inner) -> Result<Option<i64>, Failure> {
        self.due.clear();
        let now = Instant::now();
        pause(self.rate.acquire(now).saturating_duration_since(now)).await;
        let (next, next_stale) = inner.store.next_wake().await?;
        let now_us = inner.clock.now_us();
        // How long the longest waiting message has been due: 0 while nothing waits.
        let overdue_us = next.map_or(0, |next| now_us.saturating_sub(next).max(0));
        metrics::gauge!("reminder_overdue_seconds").set(Duration::from_micros(overdue_us.unsigned_abs()).as_secs_f64());
        if next.is_none_or(|next| next > now_us) {
            return Ok(next);
        }
        let busy: Vec<Uuid> = inner.busy.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        if next_stale.is_some_and(|stale| stale <= now_us) {
            for (trigger, channel) in inner.store.settle_stale(now_us, &busy).await? {
                warn!(trigger, channel, "nobody knows whether a message was sent");
                count("unknown", &trigger, &channel);
            }
        }
        let began = Instant::now();
        self.due = inner.store.due(now_us, READ_MAX, &busy).await?.into();
        self.fresh_until = Some(Instant::now() + (began.elapsed() * FRESH_TIMES).clamp(FRESH_FOR, FRESH_MAX));
        Ok(next)
    }
}
