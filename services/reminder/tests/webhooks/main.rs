//! Webhooks: endpoints, and what is delivered to them, on both engines.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../common/mod.rs"]
mod common;
mod delivering;
mod disabling;
mod endpoints;
mod receiver;
