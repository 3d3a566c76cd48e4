//! Sending: a message from its lease to its outcome, many at a time.
//!
//! `worker.rs` leases due messages from `queue.rs` and runs each in a task of its own through `send.rs`; `prepare.rs`
//! verifies and renders it. Lookups and transactions of many tasks share batches (`lookups.rs`, `batcher.rs`).

mod batcher;
pub(crate) mod lookups;
mod prepare;
mod queue;
mod select_provider;
mod send;
pub(crate) mod transactions;
mod verify;
pub(crate) mod worker;

use crate::Inner;

/// The longest lease, and the longest wait of a message with an unknown outcome, in microseconds.
pub(crate) fn waits_us(inner: &Inner) -> (i64, i64) {
    (worker::lease_us(inner), queue::UNKNOWN_US)
}
