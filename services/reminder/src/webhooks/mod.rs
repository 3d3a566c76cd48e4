//! Webhooks: an organisation's own systems are told what happens, signed to the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>).
//!
//! A change of booking's feed becomes one delivery for each endpoint that wants it, in the transaction that moves the
//! position. Deliveries about one appointment or plan go one after another; those about different ones, side by side.
//! Start reading at `worker.rs`; what an answer means is in `retry.rs`, the lines are kept in `store/deliveries.rs`.

pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod event;
mod retry;
pub(crate) mod wire;
pub(crate) mod worker;

/// How many endpoints an organisation may have.
pub(crate) const ENDPOINTS_MAX: i64 = 20;
/// How long a secret signs on after it was replaced.
pub(crate) const OVERLAP_US: i64 = 24 * 3_600_000_000;
/// An endpoint at which nothing has succeeded for so long is disabled.
pub(crate) const FAILING_MAX_US: i64 = 5 * 24 * 3_600_000_000;
/// The event that tests an endpoint.
pub(crate) const PING: &str = "ping";
/// What becomes of a delivery.
pub(crate) const STATUSES: [&str; 3] = ["pending", "delivered", "dead"];
