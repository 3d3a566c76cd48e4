//! What runs by the clock.

mod expire;
mod feed_age;
mod offer_slots;
mod plan_risk;
pub(crate) mod zone_repair;

use std::sync::Arc;

use runtime::Shutdown;

use crate::Inner;

/// Runs all jobs until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    tokio::join!(
        expire::run(inner, shutdown),
        feed_age::run(inner, shutdown),
        offer_slots::run(inner, shutdown),
        service::statistics::run(inner.store.database(), shutdown),
    );
}
