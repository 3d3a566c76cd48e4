//! Care plans: a course of treatment as a list of sessions, and the best times for it. Pure.
//!
//! [`template`] turns a template's phases into the sessions of one patient's plan. [`plan`] is that plan and its changes,
//! [`chain`] its sessions in order with their problems, [`ledger`] the history of its sessions, [`adherence`] the reports.
//! [`series`] finds the cheapest starts for all sessions together, and repairs a partly booked plan; [`matching`] finds new
//! times for the appointments of many patients at once. Nothing here knows calendars, databases or patients' data: the
//! caller provides the open starts.
//!
//! Start reading at [`series::Problem`].

#![warn(clippy::unwrap_used)]

pub mod adherence;
pub mod bench;
pub mod chain;
pub mod ledger;
pub mod matching;
pub mod plan;
pub mod review;
pub mod series;
pub mod template;

pub use template::{OutOfRange, Session, range, sessions};
