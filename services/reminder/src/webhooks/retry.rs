//! What an attempt came to, and when the next one is. Pure: the answer, the clock's word and the jitter go in.

use std::time::Duration;

use outbound::{Error, Posted};

/// The pauses after each failed attempt, in seconds; the last one repeats.
const PAUSES: [u32; 7] = [5, 300, 1800, 7200, 18_000, 36_000, 36_000];
/// A receiver may ask for no longer pause.
const AFTER_MAX: Duration = Duration::from_secs(36_000);
/// How long a delivery is tried.
const PATIENCE_US: i64 = 3 * 24 * 3_600_000_000;

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `delivered`, `pending`, `dead`.
    pub(crate) status: &'static str,
    pub(crate) error: &'static str,
    /// 0: there was no answer.
    pub(crate) http: u16,
    pub(crate) wake_at_us: Option<i64>,
    /// The receiver wants nothing any more.
    pub(crate) gone: bool,
}

/// How often a delivery was tried, since when, and now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    /// At least 1.
    pub(crate) tries: i32,
    pub(crate) since_us: i64,
    pub(crate) now_us: i64,
    /// In `[0, 1)`, for the jitter.
    pub(crate) fraction: f64,
}

/// What follows from an answer, or from none.
pub(crate) fn judge(heard: Result<Posted, Error>, tried: Tried) -> Verdict {
    let (http, error, after) = match heard {
        Ok(Posted { status: status @ 200..=299, .. }) => {
            return Verdict { status: "delivered", error: "", http: status, wake_at_us: None, gone: false };
        }
        Ok(Posted { status: 410, .. }) => {
            return Verdict { status: "dead", error: "gone", http: 410, wake_at_us: None, gone: true };
        }
        Ok(Posted { status: status @ 300..=399, retry_after }) => (status, "redirected", retry_after),
        Ok(Posted { status, retry_after }) => (status, "refused", retry_after),
        Err(error) => (0, error.code(), None),
    };
    let wake_at_us = next_us(tried, after);
    let status = if wake_at_us.is_some() { "pending" } else { "dead" };
    Verdict { status, error, http, wake_at_us, gone: false }
}

/// When it is tried again; `None` where patience has ended. A receiver may ask for a longer pause, never for a shorter.
fn next_us(tried: Tried, after: Option<Duration>) -> Option<i64> {
    let at = usize::try_from(tried.tries - 1).unwrap_or(0).min(PAUSES.len() - 1);
    let own = f64::from(PAUSES[at]) * (0.8 + 0.4 * tried.fraction);
    let asked = after.map_or(0.0, |after| after.min(AFTER_MAX).as_secs_f64());
    let next = tried.now_us.saturating_add((own.max(asked) * 1_000_000.0) as i64);
    (next <= tried.since_us.saturating_add(PATIENCE_US)).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn tried(tries: i32, now_us: i64, fraction: f64) -> Tried {
        Tried { tries, since_us: 0, now_us, fraction }
    }

    fn answer(status: u16, after: Option<u64>) -> Result<Posted, Error> {
        Ok(Posted { status, retry_after: after.map(Duration::from_secs) })
    }

    #[test]
    fn each_answer_has_one_meaning() {
        let judged = |heard| judge(heard, tried(1, 0, 0.5));
        for status in [200, 202, 204, 299] {
            assert_eq!(judged(answer(status, None)).status, "delivered");
        }
        for (status, error) in [(199, "refused"), (301, "redirected"), (404, "refused"), (500, "refused")] {
            let verdict = judged(answer(status, None));
            assert_eq!((verdict.status, verdict.error, verdict.http), ("pending", error, status));
            assert_eq!(verdict.wake_at_us, Some(5 * SECOND));
        }
        let gone = judged(answer(410, Some(60)));
        assert_eq!((gone.status, gone.gone, gone.wake_at_us), ("dead", true, None));
        let silent = judged(Err(Error::Unreachable));
        assert_eq!((silent.status, silent.error, silent.http), ("pending", "unreachable", 0));
    }

    #[test]
    fn pauses_grow_spread_and_end_after_three_days() {
        let mut now_us = 0;
        let mut pauses = Vec::new();
        let end = (1..).find(|tries| match next_us(tried(*tries, now_us, 0.5), None) {
            Some(next) => {
                pauses.push((next - now_us) / SECOND);
                now_us = next;
                false
            }
            None => true,
        });
        assert_eq!(pauses[..7], PAUSES.map(i64::from));
        assert!(pauses[7..].iter().all(|pause| *pause == 36_000));
        assert_eq!(end, Some(12), "eleven pauses fit into three days");
        assert_eq!(next_us(tried(1, 0, 0.0), None), Some(4 * SECOND));
        assert!(next_us(tried(1, 0, 0.999), None).is_some_and(|next| (5_990_000..6 * SECOND).contains(&next)));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_within_bounds() {
        let next = |after| next_us(tried(1, 0, 0.5), Some(Duration::from_secs(after)));
        assert_eq!(next(60), Some(60 * SECOND));
        assert_eq!(next(1), Some(5 * SECOND), "no shorter one");
        assert_eq!(next(u64::MAX), Some(36_000 * SECOND));
    }
}
