//! Waiting for what another process does: the one place where a test waits in real time, always bounded.

use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// For what comes within milliseconds and is waited for many thousand times.
const SHORT_PAUSE_MAX: Duration = Duration::from_millis(4);

/// Asks until there is an answer, with growing pauses, or panics when the time is up.
///
/// # Panics
/// When there is no answer within `within`.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, within: Duration, ask: impl FnMut() -> F) -> T {
    match attempt(within, ask).await {
        Some(answer) => answer,
        None => panic!("waited {within:?} in vain for {what}"),
    }
}

/// As [`until`], but `None` when the time is up.
pub async fn attempt<T, F: Future<Output = Option<T>>>(within: Duration, ask: impl FnMut() -> F) -> Option<T> {
    with_pauses(within, PAUSE_MAX, ask).await
}

/// As [`attempt`], with pauses that stay short: asking must cost little.
pub async fn attempt_often<T, F: Future<Output = Option<T>>>(within: Duration, ask: impl FnMut() -> F) -> Option<T> {
    with_pauses(within, SHORT_PAUSE_MAX, ask).await
}

async fn with_pauses<T, F: Future<Output = Option<T>>>(
    within: Duration,
    longest: Duration,
    mut ask: impl FnMut() -> F,
) -> Option<T> {
    let end = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = end.checked_duration_since(Instant::now())?;
        // One question that hangs must not outlast the bound.
        if let Some(answer) = tokio::time::timeout(left, ask()).await.ok()? {
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
    async fn it_asks_until_there_is_an_answer() {
        let mut asked = 0;
        let ask = || {
            asked += 1;
            ready((asked == 3).then_some(asked))
        };
        assert_eq!(until("the third question", Duration::from_secs(30), ask).await, 3);
    }

    #[tokio::test]
    async fn it_gives_up_at_the_bound() {
        let began = Instant::now();
        let bound = Duration::from_millis(30);
        assert_eq!(attempt(bound, || ready(None::<()>)).await, None);
        assert!(began.elapsed() >= bound);
        assert_eq!(attempt(bound, pending::<Option<()>>).await, None);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
