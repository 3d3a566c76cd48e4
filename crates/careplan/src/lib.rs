//! Care plans: a course of treatment as a list of sessions, and the best times for it. Pure.
//!
//! [`template`] makes a template's phases the sessions of one patient's plan; [`series`] finds the cheapest starts for
//! all of them together, and repairs a plan of which some are booked. Nothing here knows of calendars, databases or
//! patients: whoever asks brings the starts that are open.
//!
//! Start reading at [`series::Problem`].

pub mod bench;
pub mod plan;
pub mod review;
pub mod series;
pub mod template;

pub use template::{OutOfRange, Session, range, sessions};
