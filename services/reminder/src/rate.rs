//! Limits on how often work repeats: a rate limiter, and jitter.

use std::time::Duration;

use tokio::time::Instant;

/// Allows one operation a period in the long run, and a burst after an idle time: the generic cell rate algorithm of
/// ITU-T I.371.
///
/// It counts in real time, whatever the service's clock shows, because it protects the machine.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    period: Duration,
    /// Operations in a row after an idle time, at least 1.
    burst: u32,
    /// The theoretical arrival time of the next operation.
    due: Instant,
}

impl RateLimiter {
    /// A limiter that starts with its full burst.
    pub(crate) fn new(period: Duration, burst: u32) -> Self {
        Self { period, burst, due: Instant::now() }
    }

    /// Takes a place for one operation; the answer is when it may begin, `now` or later.
    pub(crate) fn acquire(&mut self, now: Instant) -> Instant {
        let tolerance = self.period * self.burst.saturating_sub(1);
        let at = self.due.checked_sub(tolerance).map_or(now, |earliest| earliest.max(now));
        self.due = self.due.max(at) + self.period;
        at
    }
}

/// `seconds` within a fifth, in microseconds; `fraction` in `[0, 1)`. Keeps retries from coming back together.
pub(crate) fn jittered_us(seconds: f64, fraction: f64) -> i64 {
    (seconds * (0.8 + 0.4 * fraction) * 1_000_000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(20);
    const BURST: u32 = 4;

    /// When each of `count` operations begins, each requested as soon as the last one began.
    fn begins(limiter: &mut RateLimiter, from: Instant, count: u32) -> Vec<Duration> {
        let mut now = from;
        let mut begin_next = || {
            now = limiter.acquire(now);
            now - from
        };
        (0..count).map(|_| begin_next()).collect()
    }

    #[test]
    fn a_burst_begins_at_once_and_the_long_run_keeps_the_period() {
        let (began, mut limiter) = (Instant::now(), RateLimiter::new(PERIOD, BURST));
        let began = began.max(limiter.due);
        let at = begins(&mut limiter, began, BURST + 100);
        assert!(at[..BURST as usize].iter().all(Duration::is_zero), "a burst after an idle time: {at:?}");
        assert_eq!(at.last(), Some(&(PERIOD * 100)), "one a period");

        let later = began + PERIOD * 1000;
        let at = begins(&mut limiter, later, BURST + 1);
        assert_eq!(at.last(), Some(&PERIOD), "a long idle time earns one burst: {at:?}");
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        assert_eq!([0.0, 0.5].map(|fraction| jittered_us(10.0, fraction)), [8_000_000, 10_000_000]);
        assert!((11_990_000..12_000_000).contains(&jittered_us(10.0, 0.999)));
    }
}
