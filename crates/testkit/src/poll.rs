//! Bounded waits for another process: the only place where tests wait in real time.

use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// For conditions that hold within milliseconds and are awaited thousands of times.
const SHORT_PAUSE_MAX: Duration = Duration::from_millis(4);

/// Calls `call` until it returns a value, with growing pauses; panics after `within`.
///
/// # Panics
/// When there is no value within `within`.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, within: Duration, call: impl FnMut() -> F) -> T {
    match attempt(within, call).await {
        Some(answer) => answer,
        None => panic!("waited {within:?} for {what}"),
    }
}

/// As [`until`], but returns `None` after `within`.
pub async fn attempt<T, F: Future<Output = Option<T>>>(within: Duration, call: impl FnMut() -> F) -> Option<T> {
    with_pauses(within, PAUSE_MAX, call).await
}

/// As [`attempt`], with short pauses, for cheap calls.
pub async fn attempt_often<T, F: Future<Output = Option<T>>>(within: Duration, call: impl FnMut() -> F) -> Option<T> {
    with_pauses(within, SHORT_PAUSE_MAX, call).await
}

async fn with_pauses<T, F: Future<Output = Option<T>>>(
    within: Duration,
    longest: Duration,
    mut call: impl FnMut() -> F,
) -> Option<T> {
    let end = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = end.checked_duration_since(Instant::now())?;
        // A call that hangs must not exceed the bound.
        if let Some(answer) = tokio::time::timeout(left, call()).await.ok()? {
            return Some(answer);
        }
        real_pause(pause.min(left)).await;
        pause = (pause * 2).min(longest);
    }
}

#[expect(clippy::disallowed_methods, reason = "another process lives in real time")]
async fn real_pause(pause: Duration) {
    tokio::time::sleep(pause).await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn it_calls_until_there_is_a_value() {
        let mut calls = 0;
        let call = || {
            calls += 1;
            ready((calls == 3).then_some(calls))
        };
        assert_eq!(until("the third call", Duration::from_secs(30), call).await, 3);
    }

    #[tokio::test]
    async fn it_stops_at_the_bound() {
        let began = Instant::now();
        let bound = Duration::from_millis(30);
        assert_eq!(attempt(bound, || ready(None::<()>)).await, None);
        assert!(began.elapsed() >= bound);
        assert_eq!(attempt(bound, pending::<Option<()>>).await, None);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
