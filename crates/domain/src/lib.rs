//! The words and rules of scheduling, with no input or output of any kind.
//!
//! Ids, intervals, statuses and their transitions, the directory of a clinic chain and the policies that a
//! booking must meet. Every function here is a pure function of its arguments: the time and fresh ids are passed
//! in. What is refused is refused with every fault named, as [`fault::Violation`]s with a JSON pointer, a code
//! and the mend.
//!
//! Start reading at [`directory`] for what a chain consists of, at [`appointment`] for what happens to a visit,
//! and at [`claim`] for what keeps two visits apart.

pub mod appointment;
pub mod claim;
pub mod directory;
pub mod event;
pub mod fault;
pub mod fold;
pub mod id;
pub mod patient;
pub mod phone;
pub mod preference;
pub mod slot;
pub mod time;
