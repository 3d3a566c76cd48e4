//! The contract of the availability service through its gRPC interface, on both engines.
//!
//! `fake_booking.rs` plays booking: a feed that a test writes, cuts and loses, and a receiver of displaced flags.

#![expect(clippy::unwrap_used, reason = "a failure here fails its test")]

mod access;
mod agreement;
mod busy;
mod directory;
mod displaced;
mod fake_booking;
mod following;
mod groups;
mod lengths;
mod moves;
mod refusals;
mod slots;
mod traces;
mod watch;
mod world;
