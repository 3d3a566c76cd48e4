//! Test fixtures: databases, a fake SMS provider, a fake mail server, an OpenID provider, recording HTTP endpoints, a
//! collector of spans, and the built product as a child process, with a wall clock that a test sets.
//!
//! No product code depends on this crate. Nothing here sleeps for a fixed time: waits use [`poll::until`] or a channel,
//! within a bound. Each database is new and has a random name, and each port is free.
//!
//! Start reading at [`database`] for tests of a store, at [`product`] for tests of the whole.

#![warn(clippy::unwrap_used)]

pub mod collector;
pub mod database;
pub mod endpoint;
pub mod http;
pub mod oidc;
pub mod poll;
pub mod pooler;
pub mod port;
pub mod postgres;
pub mod product;
pub mod python;
pub mod query_plans;
pub mod sms;
pub mod smtp;
pub mod tls;
pub mod wall_clock;
