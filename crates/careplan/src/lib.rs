//! Care plans: a course of treatment as a list of sessions, and the best times for it. Pure.
//!
//! [`template`] makes a template's phases the sessions of one patient's plan; [`plan`] is that plan and what becomes of
//! it, [`chain`] what is left of it and what is wrong with it, [`ledger`] every change of a session, [`adherence`] how
//! plans go. [`series`] finds the cheapest starts for all sessions together, and repairs a plan of which some are booked;
//! [`matching`] finds new times for the appointments of many patients at once. Nothing here knows of calendars,
//! databases or patients: whoever asks brings the starts that are open.
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
