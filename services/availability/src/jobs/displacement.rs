//! Sends displaced flags to booking as appointments are queued.

use std::{sync::Arc, time::Duration};

use runtime::Shutdown;
use service::feed_client::Backoff;

use crate::{Inner, displacement};

const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// Sends flags until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut backoff = Backoff::new(PAUSE_LONGEST);
    while shutdown.until(inner.rechecks.woken()).await.is_some() {
        match shutdown.until(displacement::sync_queued(inner)).await {
            None => return,
            Some(true) => backoff.reset(),
            Some(false) => {
                if backoff.wait(shutdown).await.is_none() {
                    return;
                }
            }
        }
    }
}
