//! Webhooks: events for an organisation's own systems, signed to the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>).
//!
//! Each change of booking's feed becomes one delivery for each endpoint that subscribes to its event, in the transaction that
//! advances the feed's position. Deliveries about one subject (an appointment, a plan) go one after another, those about
//! different subjects side by side. Start reading at `worker.rs`; `retry.rs` evaluates an answer, and
//! `store/webhook_deliveries.rs` keeps the queues.

pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod event;
pub(crate) mod places;
pub(crate) mod queue;
mod retry;
pub(crate) mod sealed;
#[cfg(test)]
mod tests;
pub(crate) mod wire;
pub(crate) mod worker;

/// Endpoints of one organisation.
pub(crate) const ENDPOINTS_MAX: i64 = 20;
/// How long a replaced secret still signs.
pub(crate) const SECRET_OVERLAP_US: i64 = 24 * 3_600_000_000;
/// An endpoint without a success for this long is disabled.
pub(crate) const FAILING_MAX_US: i64 = 5 * 24 * 3_600_000_000;
/// The event of a test delivery.
pub(crate) const PING: &str = "ping";
