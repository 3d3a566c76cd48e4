//! How often one caller may ask: a token bucket a caller, refilled each second.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter, clock::DefaultClock, middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use rpc::{Code, Fault};

type Buckets = RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// A bucket for each caller.
pub(crate) struct Limits(Buckets);

impl Limits {
    /// Buckets of so many requests a second.
    pub(crate) fn new(per_second: u32) -> Self {
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN));
        Self(RateLimiter::keyed(quota).with_middleware())
    }

    /// Takes one request from a caller's bucket; answers what is left and the most that there can be.
    pub(crate) fn take(&self, caller: &str, most: u32) -> Result<(u32, u32), Fault> {
        match self.0.check_key(&caller.to_owned()) {
            Ok(state) => Ok((state.remaining_burst_capacity(), most)),
            Err(_) => Err(Fault::new(Code::RateLimited, "wait a second before the next request")
                .retry_after(Duration::from_secs(1))),
        }
    }
}
