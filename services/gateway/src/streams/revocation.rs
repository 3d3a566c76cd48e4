//! Ends the streams of keys that have expired or were revoked, by another gateway or the command line too.

use std::{sync::Arc, time::Duration};

use domain::id::KeyId;

use crate::Inner;

/// The interval of looking the keys of open streams up, in real time. A revoked key's streams end within a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// Looks the keys of open streams up until the gateway drains.
pub(crate) async fn end_those_of_revoked_keys(inner: &Arc<Inner>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while inner.draining.until(ticks.tick()).await.is_some() {
        let names = inner.streams.keys();
        // The installation's key is not in the database.
        let keys: Vec<KeyId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        if keys.is_empty() {
            continue;
        }
        match inner.store.ended_among(&keys, inner.clock.now_us()).await {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => {
                inner.auth_cache.clear();
                ended.iter().for_each(|key| inner.streams.revoke(&key.to_string()));
            }
            Err(error) => tracing::warn!(%error, "the keys of open streams could not be looked up; it is tried again"),
        }
    }
}
