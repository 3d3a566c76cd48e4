//! The callers of recent keys, and the organisations that are known to exist.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::id::OrganizationId;

use super::Caller;

/// The time for which a key's row is cached.
const KEY_CACHE_TTL: Duration = Duration::from_secs(5);
/// The most entries of each kind.
pub(super) const CACHE_MAX: usize = 10_000;

/// The callers of recent keys, and the ids of existing organisations.
#[derive(Default)]
pub(crate) struct Cache {
    callers: Mutex<HashMap<Vec<u8>, Known>>,
    /// Organisations are never deleted.
    organizations: Mutex<HashSet<OrganizationId>>,
}

/// The caller of a key that was looked up.
struct Known {
    at: Instant,
    /// When the key ends by itself, in microseconds since the Unix epoch.
    expires_at_us: Option<i64>,
    caller: Caller,
}

impl Cache {
    /// Drops every cached key, so that a revocation applies at once.
    pub(crate) fn clear(&self) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn get(&self, hash: &[u8], now_us: i64) -> Option<Caller> {
        let cache = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache.get(hash).filter(|known| known.at.elapsed() < KEY_CACHE_TTL)?;
        known.expires_at_us.is_none_or(|at| now_us < at).then(|| known.caller.clone())
    }

    /// Whether a key was right when it was last looked up.
    pub(super) fn was_right(&self, hash: &[u8]) -> bool {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).contains_key(hash)
    }

    pub(super) fn remove(&self, hash: &[u8]) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }

    pub(super) fn put(&self, hash: Vec<u8>, expires_at_us: Option<i64>, caller: Caller) {
        let mut cache = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(hash, Known { at: Instant::now(), expires_at_us, caller });
    }

    pub(super) fn organizations(&self) -> MutexGuard<'_, HashSet<OrganizationId>> {
        self.organizations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
