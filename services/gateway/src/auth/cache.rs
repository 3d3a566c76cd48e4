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
    callers: Mutex<HashMap<Vec<u8>, (Instant, Caller)>>,
    /// Organisations are never deleted.
    organizations: Mutex<HashSet<OrganizationId>>,
}

impl Cache {
    /// Drops every cached key, so that a revocation applies at once.
    pub(crate) fn clear(&self) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn get(&self, hash: &[u8]) -> Option<Caller> {
        let cache = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(hash).filter(|(cached_at, _)| cached_at.elapsed() < KEY_CACHE_TTL).map(|(_, caller)| caller.clone())
    }

    /// Whether a key was right when it was last looked up.
    pub(super) fn was_right(&self, hash: &[u8]) -> bool {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).contains_key(hash)
    }

    pub(super) fn remove(&self, hash: &[u8]) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }

    pub(super) fn put(&self, hash: Vec<u8>, caller: Caller) {
        let mut cache = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(hash, (Instant::now(), caller));
    }

    pub(super) fn organizations(&self) -> MutexGuard<'_, HashSet<OrganizationId>> {
        self.organizations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
