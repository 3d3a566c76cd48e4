//! The result of an attempt, and the time of the next one. Pure: the answer, the time and the jitter go in.

use std::time::Duration;

use domain::webhook::DeliveryStatus;
use outbound::{Error, PostResponse};

/// The delays after each failed attempt, in seconds; the last one repeats. The first six are those of the Standard Webhooks
/// specification.
const DELAYS_SECONDS: [u32; 7] = [5, 300, 1800, 7200, 18_000, 36_000, 36_000];
/// The longest delay that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(36_000);
/// How long a delivery is retried.
const RETRY_FOR_US: i64 = 3 * 24 * 3_600_000_000;

/// The result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttemptResult {
    /// `Pending`: it is retried.
    pub(crate) status: DeliveryStatus,
    pub(crate) error: &'static str,
    /// The HTTP status; 0 without an answer.
    pub(crate) http_status: u16,
    /// When to retry; `None` where the delivery has ended.
    pub(crate) next_try_at_us: Option<i64>,
    /// The receiver answered 410: it unsubscribes.
    pub(crate) gone: bool,
}

/// The attempts at a delivery so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts {
    /// At least 1.
    pub(crate) count: i32,
    /// When the first attempt was due.
    pub(crate) since_us: i64,
    pub(crate) now_us: i64,
    /// In `[0, 1)`, for the jitter.
    pub(crate) fraction: f64,
}

/// Evaluates an answer, or its absence.
pub(crate) fn evaluate(answer: Result<PostResponse, Error>, attempts: Attempts) -> AttemptResult {
    let (http_status, error, retry_after) = match answer {
        Ok(PostResponse { status: status @ 200..=299, .. }) => {
            return AttemptResult {
                status: DeliveryStatus::Delivered,
                error: "",
                http_status: status,
                next_try_at_us: None,
                gone: false,
            };
        }
        Ok(PostResponse { status: 410, .. }) => {
            return AttemptResult {
                status: DeliveryStatus::Dead,
                error: "gone",
                http_status: 410,
                next_try_at_us: None,
                gone: true,
            };
        }
        Ok(PostResponse { status: status @ 300..=399, retry_after }) => (status, "redirected", retry_after),
        Ok(PostResponse { status, retry_after }) => (status, "refused", retry_after),
        Err(error) => (0, error.code(), None),
    };
    let next_try_at_us = next_try_at_us(attempts, retry_after);
    let status = if next_try_at_us.is_some() { DeliveryStatus::Pending } else { DeliveryStatus::Dead };
    AttemptResult { status, error, http_status, next_try_at_us, gone: false }
}

/// `None` where [`RETRY_FOR_US`] is over. A receiver may ask for a longer delay, not for a shorter one.
fn next_try_at_us(attempts: Attempts, retry_after: Option<Duration>) -> Option<i64> {
    let index = usize::try_from(attempts.count - 1).unwrap_or(0).min(DELAYS_SECONDS.len() - 1);
    let scheduled = f64::from(DELAYS_SECONDS[index]) * (0.8 + 0.4 * attempts.fraction);
    let requested = retry_after.map_or(0.0, |delay| delay.min(RETRY_AFTER_MAX).as_secs_f64());
    let next_us = attempts.now_us.saturating_add((scheduled.max(requested) * 1_000_000.0) as i64);
    (next_us <= attempts.since_us.saturating_add(RETRY_FOR_US)).then_some(next_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn attempts(count: i32, now_us: i64, fraction: f64) -> Attempts {
        Attempts { count, since_us: 0, now_us, fraction }
    }

    fn answer(status: u16, after: Option<u64>) -> Result<PostResponse, Error> {
        Ok(PostResponse { status, retry_after: after.map(Duration::from_secs) })
    }

    #[test]
    fn each_answer_has_one_result() {
        let evaluated = |answer| evaluate(answer, attempts(1, 0, 0.5));
        for status in [200, 202, 204, 299] {
            assert_eq!(evaluated(answer(status, None)).status, DeliveryStatus::Delivered);
        }
        for (status, error) in [(199, "refused"), (301, "redirected"), (404, "refused"), (500, "refused")] {
            let result = evaluated(answer(status, None));
            assert_eq!((result.status, result.error, result.http_status), (DeliveryStatus::Pending, error, status));
            assert_eq!(result.next_try_at_us, Some(5 * SECOND));
        }
        let gone = evaluated(answer(410, Some(60)));
        assert_eq!((gone.status, gone.gone, gone.next_try_at_us), (DeliveryStatus::Dead, true, None));
        let silent = evaluated(Err(Error::Unreachable));
        assert_eq!((silent.status, silent.error, silent.http_status), (DeliveryStatus::Pending, "unreachable", 0));
    }

    #[test]
    fn delays_grow_and_end_after_three_days() {
        let mut now_us = 0;
        let mut delays = Vec::new();
        let end = (1..).find(|count| match next_try_at_us(attempts(*count, now_us, 0.5), None) {
            Some(next) => {
                delays.push((next - now_us) / SECOND);
                now_us = next;
                false
            }
            None => true,
        });
        assert_eq!(delays[..7], DELAYS_SECONDS.map(i64::from));
        assert!(delays[7..].iter().all(|delay| *delay == 36_000));
        assert_eq!(end, Some(12), "eleven delays fit into three days");
        assert_eq!(next_try_at_us(attempts(1, 0, 0.0), None), Some(4 * SECOND));
        assert!(
            next_try_at_us(attempts(1, 0, 0.999), None).is_some_and(|next| (5_990_000..6 * SECOND).contains(&next))
        );
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_delay_within_bounds() {
        let next = |seconds| next_try_at_us(attempts(1, 0, 0.5), Some(Duration::from_secs(seconds)));
        assert_eq!(next(60), Some(60 * SECOND));
        assert_eq!(next(1), Some(5 * SECOND), "no shorter one");
        assert_eq!(next(u64::MAX), Some(36_000 * SECOND));
    }
}
