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
