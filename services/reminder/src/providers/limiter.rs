//! The limiter before a provider: a rate limit, and a circuit breaker that suspends a provider without answers. Pure: the
//! clock's reading goes in, a wait comes out. Readings are `Clock::elapsed_us`, which does not step: after a clock that is
//! set back by an hour the next message leaves at once, not in an hour.

use std::sync::{Mutex, PoisonError};

use super::SendOutcome;

/// The first suspension; it doubles with each failed probe up to the last.
const SUSPENSION_MIN_US: i64 = 15_000_000;
const SUSPENSION_MAX_US: i64 = 300_000_000;
/// The time after which a probe without an outcome counts as lost.
const PROBE_TIMEOUT_US: i64 = 120_000_000;
/// Our error codes for a missing answer.
const NO_ANSWER_CODES: [&str; 2] = ["not_connected", "no_answer"];

/// The answer to a request for permission to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Send at once.
    Now,
    /// Send after so many microseconds.
    After(i64),
    /// The provider is suspended for so many microseconds: no permit.
    SuspendedFor(i64),
}

/// The rate limit and the circuit breaker of one provider, for the messages of this process.
pub(crate) struct Limiter {
    /// Between two messages, or two segments of a text; 0: no limit.
    interval_us: i64,
    /// Consecutive failures that suspend the provider; 0: never suspends.
    failures_max: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the next message may leave.
    next_at_us: i64,
    failures: u32,
    suspended_until_us: i64,
    /// The length of the last suspension; 0 after an answer.
    suspension_us: i64,
    /// Until then one message probes whether the provider answers again.
    probe_until_us: i64,
}

impl Limiter {
    pub(crate) fn new(per_second: u32, failures_max: u32) -> Self {
        let interval_us = if per_second == 0 { 0 } else { 1_000_000 / i64::from(per_second) };
        Self { interval_us, failures_max, state: Mutex::default() }
    }

    /// Takes a permit for one message of one segment.
    pub(crate) fn acquire(&self, elapsed_us: i64) -> Permit {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.suspended_until_us > elapsed_us {
            return Permit::SuspendedFor(state.suspended_until_us - elapsed_us);
        }
        if state.suspension_us > 0 {
            if state.probe_until_us > elapsed_us {
                return Permit::SuspendedFor(SUSPENSION_MIN_US);
            }
            state.probe_until_us = elapsed_us + PROBE_TIMEOUT_US;
        }
        let at_us = state.next_at_us.max(elapsed_us);
        state.next_at_us = at_us + self.interval_us;
        if at_us > elapsed_us { Permit::After(at_us - elapsed_us) } else { Permit::Now }
    }

    /// Whether [`acquire`](Self::acquire) would grant a permit now; takes none.
    pub(crate) fn is_available(&self, elapsed_us: i64) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.suspended_until_us <= elapsed_us && (state.suspension_us == 0 || state.probe_until_us <= elapsed_us)
    }

    /// Returns an unused permit to the next message.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.next_at_us -= self.interval_us;
        state.probe_until_us = 0;
    }

    /// Records the outcome of a message of `segments` segments.
    pub(crate) fn record(&self, outcome: &SendOutcome, segments: i32, elapsed_us: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The permit covered the first segment.
        state.next_at_us += self.interval_us * i64::from(segments.saturating_sub(1).max(0));
        let failed = match outcome {
            SendOutcome::Unknown { .. } => true,
            // A provider that names a delay does answer.
            SendOutcome::Busy { retry_after, code, .. } => {
                retry_after.is_none() && NO_ANSWER_CODES.contains(&code.as_str())
            }
            _ => false,
        };
        if !failed {
            (state.failures, state.suspension_us, state.probe_until_us) = (0, 0, 0);
            return;
        }
        state.failures = state.failures.saturating_add(1);
        let was_probe = state.probe_until_us > 0;
        if self.failures_max > 0 && (was_probe || state.failures >= self.failures_max) {
            state.suspension_us = (state.suspension_us * 2).clamp(SUSPENSION_MIN_US, SUSPENSION_MAX_US);
            state.suspended_until_us = elapsed_us + state.suspension_us;
            (state.failures, state.probe_until_us) = (0, 0);
            tracing::warn!(seconds = state.suspension_us / 1_000_000, "a provider does not answer and is suspended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn no_answer() -> SendOutcome {
        SendOutcome::Unknown { detail: "" }
    }

    #[test]
    fn each_segment_takes_its_interval() {
        let limiter = Limiter::new(2, 0);
        let permits = [(); 3].map(|()| limiter.acquire(0));
        assert_eq!(permits, [Permit::Now, Permit::After(SECOND / 2), Permit::After(SECOND)]);
        limiter.record(&SendOutcome::sent("a"), 3, 0);
        assert_eq!(limiter.acquire(0), Permit::After(5 * SECOND / 2), "two more segments were sent");
        limiter.release();
        assert_eq!(limiter.acquire(0), Permit::After(5 * SECOND / 2));
        // An idle time earns no burst.
        let permits = [(); 2].map(|()| limiter.acquire(100 * SECOND));
        assert_eq!(permits, [Permit::Now, Permit::After(SECOND / 2)]);
        let unlimited = Limiter::new(0, 0);
        assert_eq!([unlimited.acquire(0), unlimited.acquire(0)], [Permit::Now; 2]);
    }

    #[test]
    fn a_provider_without_answers_is_suspended_and_probed_by_one_message() {
        let limiter = Limiter::new(0, 3);
        for _ in 0..2 {
            limiter.record(&no_answer(), 1, 0);
        }
        limiter.record(&SendOutcome::refused("21211"), 1, 0);
        for _ in 0..2 {
            limiter.record(&no_answer(), 1, 0);
            assert_eq!(limiter.acquire(0), Permit::Now, "a refusal is an answer: the count begins anew");
        }
        limiter.record(&no_answer(), 1, 0);
        assert_eq!(limiter.acquire(0), Permit::SuspendedFor(15 * SECOND));
        assert_eq!([0, 15].map(|at| limiter.is_available(at * SECOND)), [false, true], "takes no permit");
        assert_eq!(limiter.acquire(15 * SECOND), Permit::Now, "the probe");
        assert!(!limiter.is_available(15 * SECOND));
        assert_eq!(limiter.acquire(15 * SECOND), Permit::SuspendedFor(15 * SECOND), "one probe at a time");
        limiter.record(&SendOutcome::busy("not_connected"), 1, 16 * SECOND);
        assert_eq!(limiter.acquire(20 * SECOND), Permit::SuspendedFor(26 * SECOND), "twice as long");
        assert_eq!(limiter.acquire(46 * SECOND), Permit::Now);
        limiter.record(&SendOutcome::may_hold("no_answer"), 1, 46 * SECOND);
        assert_eq!(limiter.acquire(46 * SECOND), Permit::SuspendedFor(60 * SECOND), "a timeout of a retryable send");
        assert_eq!(limiter.acquire(106 * SECOND), Permit::Now);
        limiter.record(&SendOutcome::busy("20429"), 1, 106 * SECOND);
        assert_eq!(
            [limiter.acquire(106 * SECOND), limiter.acquire(106 * SECOND)],
            [Permit::Now; 2],
            "busy is an answer"
        );
    }
}
