//! Retries of calls.
//!
//! A call is retried only if it is repeatable (a read, or a write with an idempotency key) and the service could not be
//! reached; at most three times in all, with jitter, within the caller's deadline and a budget. When most calls fail,
//! retrying each would triple the load on the failing service.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use runtime::{Clock, Ids};
use tonic::Status;

use crate::{Code, Context, Fault};

/// Most tries, the first included.
const TRIES_MAX: u32 = 3;
/// Longest pause before the second try; the third has twice as much.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// A full budget, in tenths of a retry.
const BUDGET_TENTHS: u32 = 100;
/// Cost of one retry, in tenths. A successful call pays one tenth back.
const RETRY_TENTHS: u32 = 10;

/// Retries calls to one service. Clones share the budget.
#[derive(Clone)]
pub struct Retry {
    clock: Clock,
    ids: Ids,
    budget: Arc<AtomicU32>,
}

impl Retry {
    /// Retries with a full budget.
    pub fn new(clock: Clock, ids: Ids) -> Self {
        Self { clock, ids, budget: Arc::new(AtomicU32::new(BUDGET_TENTHS)) }
    }

    /// Makes the call, and retries it while it is `unavailable`.
    ///
    /// Only for reads and for writes with an idempotency key: a call without an answer may still have had its effect.
    ///
    /// # Errors
    /// The fault of the last try.
    pub async fn call<T, F>(&self, ctx: &Context, mut attempt: impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut tried = 1;
        loop {
            let fault = match attempt().await {
                Ok(answer) => {
                    self.pay_back();
                    return Ok(answer);
                }
                Err(status) => Fault::from_status(&status),
            };
            let pause = self.pause(tried).max(fault.retry_after.unwrap_or_default());
            let again = fault.code == Code::Unavailable && tried < TRIES_MAX && pause < ctx.remaining();
            if !again || !self.take() {
                return Err(fault);
            }
            metrics::counter!("rpc_client_retries_total").increment(1);
            self.clock.sleep(pause).await;
            tried += 1;
        }
    }

    /// A random part of the longest pause after `tried` tries.
    fn pause(&self, tried: u32) -> Duration {
        (PAUSE_MAX * 2_u32.pow(tried - 1)).mul_f64(self.ids.fraction())
    }

    fn take(&self) -> bool {
        let less = |tenths: u32| tenths.checked_sub(RETRY_TENTHS);
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn pay_back(&self) {
        let more = |tenths: u32| (tenths < BUDGET_TENTHS).then(|| tenths + 1);
        // It fails only if the budget is full.
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn context(within: Duration) -> Context {
        Context::new("org_00000000000000000000000001".parse().unwrap(), "test", within)
    }

    /// Answers with this code until so many tries have failed; gives the outcome and the number of tries.
    async fn run(retry: &Retry, ctx: &Context, code: Code, failures: u32) -> (Result<(), Code>, u32) {
        let tries = Cell::new(0);
        let attempt = || {
            tries.set(tries.get() + 1);
            let failed = tries.get() <= failures;
            async move { if failed { Err(Fault::new(code, "").into()) } else { Ok(()) } }
        };
        let outcome = retry.call(ctx, attempt).await.map_err(|fault| fault.code);
        (outcome, tries.get())
    }

    fn retry() -> Retry {
        // A clock fast enough that a pause is over at once.
        Retry::new("2026-03-06T08:00:00Z@100000".parse().unwrap(), Ids::seeded(1))
    }

    #[tokio::test]
    async fn an_unavailable_call_is_tried_three_times() {
        let (retry, ctx) = (retry(), context(Duration::from_secs(5)));
        assert_eq!(run(&retry, &ctx, Code::Unavailable, 2).await, (Ok(()), 3));
        assert_eq!(run(&retry, &ctx, Code::Unavailable, 9).await, (Err(Code::Unavailable), 3));
    }

    #[tokio::test]
    async fn other_codes_are_not_retried() {
        let (retry, ctx) = (retry(), context(Duration::from_secs(5)));
        for code in Code::ALL.iter().filter(|code| **code != Code::Unavailable) {
            assert_eq!(run(&retry, &ctx, *code, 9).await, (Err(*code), 1));
        }
    }

    #[tokio::test]
    async fn no_retry_passes_the_deadline() {
        assert_eq!(run(&retry(), &context(Duration::ZERO), Code::Unavailable, 9).await, (Err(Code::Unavailable), 1));
    }

    #[tokio::test]
    async fn a_budget_ends_the_retries_and_successes_fill_it_again() {
        let (retry, ctx) = (retry(), context(Duration::from_secs(60)));
        for _ in 0..5 {
            assert_eq!(run(&retry, &ctx, Code::Unavailable, 9).await.1, 3);
        }
        assert_eq!(run(&retry, &ctx, Code::Unavailable, 9).await.1, 1);
        for _ in 0..RETRY_TENTHS {
            assert_eq!(run(&retry, &ctx, Code::Unavailable, 0).await.1, 1);
        }
        assert_eq!(run(&retry, &ctx, Code::Unavailable, 9).await.1, 2);
    }
}
