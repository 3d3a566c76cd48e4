//! The contract of the booking service, kept through its own gRPC interface, on both engines.
//!
//! Availability is played by `fake_availability.rs`, which finds every slot free: what keeps two visits apart here is
//! booking's own transaction alone.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

mod appointments;
mod consents;
mod fake_availability;
mod fake_directory;
mod feed;
mod fences;
mod followers;
mod groups;
mod holds;
mod idempotency;
mod lengths;
mod limits;
mod patients;
mod races;
mod rezone;
mod visits;
mod waitlist;
mod wishes;
mod world;
