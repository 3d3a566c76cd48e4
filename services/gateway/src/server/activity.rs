//! The state of one connection: its requests, and since when it waits for its client.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::config::Connections;

/// The most bytes of a request's head that are remembered. A longer head is refused by its parser.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The times that a connection may wait for its client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    header: Duration,
    idle: Duration,
    stall: Duration,
}

impl From<&Connections> for Limits {
    fn from(config: &Connections) -> Self {
        Self {
            header: Duration::from_millis(config.header_timeout_ms),
            idle: Duration::from_millis(config.idle_timeout_ms),
            stall: Duration::from_millis(config.stall_timeout_ms),
        }
    }
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// The headers of a request did not come.
    Header,
    /// It has carried no request for long, or another connection needs its place.
    Idle,
    /// The client does not take an answer.
    Stalled,
}

impl Expired {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
        }
    }
}

/// What one connection does.
pub(super) struct Activity {
    state: Mutex<State>,
    /// Cancelled when another connection needs the place of this one.
    evicted: CancellationToken,
}

struct State {
    /// The requests that are not answered in full.
    open: usize,
    /// Since when there are none.
    idle_since: Instant,
    /// Whether a request has come.
    served: bool,
    /// HTTP/2 has frames that belong to no request.
    http2: bool,
    /// When the first byte of the next request's head came, and the bytes of that head.
    head_since: Option<Instant>,
    head: Vec<u8>,
    /// The answers that the client has to take, and since when.
    untaken: HashMap<u64, Instant>,
    number: u64,
}

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        let state = State {
            open: 0,
            idle_since: now,
            served: false,
            http2: false,
            head_since: None,
            head: vec![],
            untaken: HashMap::new(),
            number: 0,
        };
        Self { state: Mutex::new(state), evicted: CancellationToken::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come from the client.
    pub(super) fn received(&self, bytes: &[u8], now: Instant) {
        let mut state = self.lock();
        if state.open > 0 || state.http2 {
            return;
        }
        state.head_since.get_or_insert(now);
        let room = HEAD_BYTES_MAX - state.head.len();
        state.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// A request has come. Returns its number and the bytes of its head, as far as they are known.
    pub(super) fn begin(&self, http2: bool) -> (u64, Vec<u8>) {
        let mut state = self.lock();
        state.open += 1;
        state.number += 1;
        (state.served, state.http2, state.head_since) = (true, http2, None);
        (state.number, std::mem::take(&mut state.head))
    }

    /// A part of an answer waits for the client.
    pub(super) fn offered(&self, number: u64, now: Instant) {
        self.lock().untaken.insert(number, now);
    }

    /// The client has taken all parts so far.
    pub(super) fn taken(&self, number: u64) {
        self.lock().untaken.remove(&number);
    }

    /// A request is answered in full, or broken off.
    pub(super) fn end(&self, number: u64, now: Instant) {
        let mut state = self.lock();
        state.untaken.remove(&number);
        state.open -= 1;
        state.idle_since = now;
    }

    /// Since when it has carried no request; `None` while it carries one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.open == 0).then_some(state.idle_since)
    }

    /// Closes the connection, because another one needs its place.
    pub(super) fn evict(&self) {
        self.evicted.cancel();
    }

    /// Waits until the connection has to be closed.
    pub(super) async fn expired(&self, limits: Limits) -> Expired {
        let expired = async {
            loop {
                match self.check(limits, Instant::now()) {
                    Ok(look_at) => sleep_until(look_at).await,
                    Err(expired) => return expired,
                }
            }
        };
        self.evicted.run_until_cancelled(expired).await.unwrap_or(Expired::Idle)
    }

    /// The instant at which to look again.
    fn check(&self, limits: Limits, now: Instant) -> Result<Instant, Expired> {
        let state = self.lock();
        let oldest = state.untaken.values().min().map(|since| *since + limits.stall);
        if oldest.is_some_and(|end| end <= now) {
            return Err(Expired::Stalled);
        }
        if state.open > 0 {
            return Ok(oldest.unwrap_or(now + limits.stall));
        }
        let (end, expired) = match (state.head_since, state.served) {
            (Some(since), true) => (since + limits.header, Expired::Header),
            // The head of the first request may come as slowly as it likes within the limit.
            (_, false) => (state.idle_since + limits.header, Expired::Header),
            (None, true) => (state.idle_since + limits.idle, Expired::Idle),
        };
        // A head that begins after this look has a shorter limit than an idle connection.
        if end <= now { Err(expired) } else { Ok(end.min(now + limits.header)) }
    }
}

#[expect(clippy::disallowed_methods, reason = "clients live in real time, whatever the simulated clock shows")]
async fn sleep_until(instant: Instant) {
    tokio::time::sleep(instant.saturating_duration_since(Instant::now())).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits { header: SECOND, idle: Duration::from_secs(10), stall: Duration::from_secs(3) };

    #[test]
    fn a_connection_without_a_request_has_the_time_of_a_head() {
        let began = Instant::now();
        let activity = Activity::new(began);
        activity.received(b"GET / HTTP/1.1\r\n", began + SECOND / 2);
        assert_eq!(activity.check(LIMITS, began + SECOND / 2), Ok(began + SECOND));
        assert_eq!(activity.check(LIMITS, began + SECOND), Err(Expired::Header));
    }

    #[test]
    fn a_connection_may_be_idle_longer_than_a_head_may_take() {
        let began = Instant::now();
        let activity = Activity::new(began);
        let (number, _) = activity.begin(false);
        activity.end(number, began);
        assert!(activity.check(LIMITS, began + SECOND * 9).is_ok());
        assert_eq!(activity.check(LIMITS, began + SECOND * 10), Err(Expired::Idle));
        activity.received(b"G", began + SECOND * 2);
        activity.received(b"E", began + SECOND * 3);
        assert_eq!(activity.check(LIMITS, began + SECOND * 3), Err(Expired::Header));
    }

    #[test]
    fn frames_of_http2_that_belong_to_no_request_begin_none() {
        let began = Instant::now();
        let activity = Activity::new(began);
        let (number, _) = activity.begin(true);
        activity.end(number, began);
        activity.received(b"PING", began);
        assert!(activity.check(LIMITS, began + SECOND * 9).is_ok());
        assert_eq!(activity.check(LIMITS, began + SECOND * 10), Err(Expired::Idle));
    }

    #[test]
    fn an_answer_that_waits_for_its_client_has_a_limit_and_one_that_waits_for_us_has_none() {
        let began = Instant::now();
        let activity = Activity::new(began);
        let (stream, _) = activity.begin(true);
        let (answer, _) = activity.begin(true);
        assert!(activity.check(LIMITS, began + SECOND * 100).is_ok());
        activity.offered(answer, began);
        activity.offered(stream, began);
        activity.taken(stream);
        assert_eq!(activity.check(LIMITS, began + SECOND), Ok(began + SECOND * 3));
        assert_eq!(activity.check(LIMITS, began + SECOND * 3), Err(Expired::Stalled));
        activity.end(answer, began + SECOND * 3);
        assert!(activity.check(LIMITS, began + SECOND * 100).is_ok(), "the stream is still open");
    }

    #[test]
    fn a_head_is_remembered_up_to_a_limit() {
        let began = Instant::now();
        let activity = Activity::new(began);
        for _ in 0..3 {
            activity.received(&[b'x'; HEAD_BYTES_MAX / 2 + 1], began);
        }
        assert_eq!(activity.begin(false).1.len(), HEAD_BYTES_MAX);
        assert_eq!(activity.begin(false).1.len(), 0);
    }
}
