//! The parts that every Meridian service shares.
//!
//! - [`store`]: one database on either engine, transactions, and the macros that compile one statement for both.
//! - [`db_error`]: a database failure as a public fault.
//! - [`idempotency`]: the frame of a write with an idempotency key.
//! - [`buckets`]: token buckets by key, in bounded memory.
//! - [`feed_client`]: a client of booking's change feed.
//! - [`page`]: limits and cursors of lists.
//! - [`seal`]: secrets sealed under keys that no database holds; [`secrets`], the signing keys of an installation, and
//!   [`reseal`], sealing again under the newest key.
//! - [`statistics`]: the planner's statistics of a young PostgreSQL database.
//! - [`ops`]: `healthz`, `readyz` and `metrics`.
//!
//! A service owns its tables, its rules and its gRPC faces; this crate knows none of them.

#![warn(clippy::unwrap_used)]

pub mod buckets;
pub mod countries;
pub mod db_error;
pub mod feed_client;
pub mod idempotency;
pub mod ops;
pub mod page;
pub mod reseal;
pub mod seal;
pub mod secrets;
pub mod statistics;
pub mod store;

#[doc(hidden)]
pub fn instrument<F>(future: F, span: tracing::Span) -> tracing::instrument::Instrumented<F> {
    tracing::Instrument::instrument(future, span)
}
