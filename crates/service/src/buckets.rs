//! Token buckets: one for each key, in bounded memory and real time.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
    sync::Mutex,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter, clock::DefaultClock, middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use rpc::{Code, Fault};

type Limiter<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// The most keys with a bucket of their own.
const BUCKETS_MAX: usize = 65_536;
/// The buckets that all keys share while there are more of them.
const SHARED_BUCKETS: u64 = 256;
/// The least time between two searches for full buckets, which need not be kept.
const CLEAN_EVERY: Duration = Duration::from_secs(1);

/// A token bucket for each key, refilled each second.
pub struct Buckets<K: Hash + Eq + Clone> {
    own: Limiter<K>,
    shared: Limiter<u64>,
    /// Seeded at random, so that no caller can choose another one's shared bucket.
    hasher: RandomState,
    cleaned_at: Mutex<Option<Instant>>,
    buckets_max: usize,
    per_second: u32,
}

/// The tokens that are left in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// The tokens.
    pub tokens: u32,
    /// The size of the bucket, which is also the number of tokens that it gets in a second.
    pub per_second: u32,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Buckets of this many tokens a second, at least 1.
    pub fn new(per_second: u32) -> Self {
        Self::with_max(per_second, BUCKETS_MAX)
    }

    fn with_max(per_second: u32, buckets_max: usize) -> Self {
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN));
        Self {
            own: RateLimiter::keyed(quota).with_middleware(),
            shared: RateLimiter::keyed(quota).with_middleware(),
            hasher: RandomState::new(),
            cleaned_at: Mutex::default(),
            buckets_max,
            per_second,
        }
    }

    /// Takes a token from the key's bucket.
    ///
    /// # Errors
    /// `rate_limited` when the bucket is empty.
    pub fn take(&self, key: &K) -> Result<Remaining, Fault> {
        let taken = match self.has_room() {
            true => self.own.check_key(key),
            false => self.shared.check_key(&(self.hasher.hash_one(key) % SHARED_BUCKETS)),
        };
        match taken {
            Ok(state) => Ok(Remaining { tokens: state.remaining_burst_capacity(), per_second: self.per_second }),
            Err(_) => Err(Fault::new(Code::RateLimited, "too many requests came; wait a second before the next one")
                .retry_after(Duration::from_secs(1))),
        }
    }

    /// Whether another key may have a bucket of its own. Buckets that are full again are forgotten first.
    fn has_room(&self) -> bool {
        if self.own.len() < self.buckets_max {
            return true;
        }
        // Another thread that holds the lock is cleaning.
        if let Ok(mut cleaned_at) = self.cleaned_at.try_lock()
            && cleaned_at.is_none_or(|at| at.elapsed() >= CLEAN_EVERY)
        {
            self.own.retain_recent();
            self.own.shrink_to_fit();
            *cleaned_at = Some(Instant::now());
        }
        self.own.len() < self.buckets_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_its_keys_own() {
        let buckets = Buckets::new(2);
        let tokens = |key: &str| buckets.take(&key.to_owned()).map(|left| left.tokens);
        assert_eq!((tokens("a").unwrap(), tokens("a").unwrap()), (1, 0));
        let refused = tokens("a").unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::RateLimited, Some(Duration::from_secs(1))));
        assert_eq!(tokens("b").unwrap(), 1);
    }

    #[test]
    fn memory_is_bounded_and_keys_beyond_the_bound_are_limited_too() {
        let buckets = Buckets::with_max(1, 100);
        let taken = (0..100_000).filter(|key: &u32| buckets.take(key).is_ok()).count();
        assert!(buckets.own.len() <= 101, "{}", buckets.own.len());
        // Each bucket may have been refilled while the test ran.
        assert!(taken < 50_000, "the shared buckets limit the others: {taken}");
    }
}
