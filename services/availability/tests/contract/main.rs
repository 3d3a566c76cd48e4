//! The contract of the availability service, kept through its own gRPC interface, on both engines.
//!
//! Booking is played by `fake_booking.rs`: a feed that a test writes, cuts and loses, and an ear for what is told of
//! displaced appointments.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

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
mod watch;
mod world;
