//! The contract of the booking service, kept through its own gRPC interface, on both engines.
//!
//! `fake_availability.rs` plays availability and finds every slot free: only booking's own transaction keeps two
//! appointments apart.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

mod appointments;
mod concurrency;
mod consents;
mod database_failures;
mod details;
mod fake_availability;
mod fake_directory;
mod feed;
mod feed_age;
mod feed_subscribers;
mod groups;
mod harness;
mod holds;
mod idempotency;
mod patient_search;
mod patients;
mod practitioner_limits;
mod reverts;
mod rezone;
mod slot_lengths;
mod strangers;
mod tenant_isolation;
mod timing;
mod trace;
mod visitor_holds;
mod waitlist;
mod waitlist_entries;
