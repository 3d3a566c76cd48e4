//! The contract of the booking service, kept through its own gRPC interface, on both engines.
//!
//! Availability is played by `fake_availability.rs`, which finds every slot free: what keeps two visits apart here is
//! booking's own transaction alone.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

mod appointments;
mod concurrency;
mod consents;
mod fake_availability;
mod fake_directory;
mod feed;
mod feed_subscribers;
mod groups;
mod harness;
mod holds;
mod idempotency;
mod patients;
mod practitioner_limits;
mod rezone;
mod slot_lengths;
mod tenant_isolation;
mod timing;
mod waitlist;
mod waitlist_entries;
