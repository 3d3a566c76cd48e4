//! The types and rules of scheduling, without I/O.
//!
//! Ids, intervals, statuses and their transitions, the directory of a clinic chain, and the public words. Every function
//! is pure: the caller passes the time and new ids. A check notes every fault as a [`fault::Violation`] with a JSON
//! pointer, a code and a mend.
//!
//! Start reading at [`directory`] for the entries of a chain, at [`appointment`] for an appointment's statuses, and at
//! [`claim`] for the intervals that keep two appointments apart.

#![warn(clippy::unwrap_used)]

pub mod appointment;
pub mod claim;
pub mod custom;
pub mod directory;
pub mod event;
pub mod fault;
pub mod fold;
pub mod id;
pub mod message;
pub mod patient;
pub mod phone;
pub mod plan;
pub mod preference;
pub mod reason;
pub mod report;
pub mod slot;
pub mod time;
pub mod waitlist;
pub mod webhook;
mod words;
