//! Care plans: created, read, proposed, booked, reviewed and repaired as a whole.
//!
//! `careplan::plan` says what a plan is and how it changes; here it is loaded, changed in the transaction of the booking,
//! and answered.

pub(crate) mod book;
pub(crate) mod check_in;
pub(crate) mod create;
pub(crate) mod ledger;
pub(crate) mod list;
pub(crate) mod on_visit;
pub(crate) mod propose;
pub(crate) mod report;
pub(crate) mod review;
mod risk;
pub(crate) mod stored;
pub(crate) mod view;
