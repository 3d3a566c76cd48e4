//! The contract of the reminder service, kept through its own gRPC interface, on both engines.
//!
//! Booking and availability are scripted (`common/booking.rs`, `common/directory.rs`), providers are fakes of `testkit`, and
//! the clock is moved by hand.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod aftercare;
mod bulk;
mod channels;
mod common;
mod http;
mod languages;
mod mail;
mod offers;
mod pace;
mod provider_fallback;
mod repeats;
mod replies;
mod report;
mod restored;
mod reverts;
mod rules;
mod sending;
mod series;
mod simulation;
mod verifications;
mod visits;
mod vonage;
mod webhooks;
