//! Waiting for what another process does: the one place where a test waits in real time, always bounded.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(20);

/// Asks until there is an answer, or panics when the time is up.
///
/// # Panics
/// When there is no answer within `within`.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, within: Duration, mut ask: impl FnMut() -> F) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited {within:?} in vain for {what}");
        pause().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "another process lives in real time")]
async fn pause() {
    tokio::time::sleep(EVERY).await;
}
