//! The rate limit: a token bucket for each caller, refilled each second.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    RateLimiter, clock::DefaultClock, middleware::StateInformationMiddleware, state::keyed::DefaultKeyedStateStore,
};
use rpc::{Code, Fault};

type Buckets = RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// A token bucket for each caller.
pub(crate) struct RateLimit {
    buckets: Buckets,
    per_second: u32,
}

/// The state of a caller's bucket, for the `RateLimit` headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) remaining: u32,
    pub(crate) per_second: u32,
}

impl RateLimit {
    /// Buckets of this many requests a second.
    pub(crate) fn new(per_second: u32) -> Self {
        let quota = governor::Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN));
        Self { buckets: RateLimiter::keyed(quota).with_middleware(), per_second }
    }

    /// Takes one request from the caller's bucket.
    ///
    /// # Errors
    /// `rate_limited` when the bucket is empty.
    pub(crate) fn take(&self, caller: &str) -> Result<Quota, Fault> {
        match self.buckets.check_key(&caller.to_owned()) {
            Ok(state) => Ok(Quota { remaining: state.remaining_burst_capacity(), per_second: self.per_second }),
            Err(_) => Err(Fault::new(Code::RateLimited, "wait a second before the next request")
                .retry_after(Duration::from_secs(1))),
        }
    }
}
