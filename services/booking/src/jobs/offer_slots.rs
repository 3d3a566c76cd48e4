//! Offers open slots to the waitlist, when time comes free and every few seconds.

use std::{sync::Arc, time::Duration};

use runtime::Shutdown;

use crate::{Inner, waitlist::matcher};

/// Real time between rounds where no commit frees time.
const INTERVAL: Duration = Duration::from_secs(5);
/// Pause after a round, so that one round serves many commits.
const GATHER: Duration = Duration::from_millis(200);

pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    loop {
        let time_freed = inner.time_freed.notified();
        let round = async {
            if let Err(fault) = matcher::end_expired(inner).await {
                tracing::warn!(code = fault.code.as_str(), "expired offers were not passed on; trying again");
            }
            if let Err(fault) = matcher::match_all(inner).await {
                tracing::warn!(code = fault.code.as_str(), "the waitlist was not matched; trying again");
            }
        };
        if shutdown.until(round).await.is_none() {
            return;
        }
        let wait = async {
            let _ = tokio::time::timeout(INTERVAL, time_freed).await;
            pause(GATHER).await;
        };
        if shutdown.until(wait).await.is_none() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "other processes and their databases work in real time")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
