//! The waitlist: patients who wait for a time, and the offers of times that come free.
//!
//! An entry says which slots would do (`criteria.rs`). `matcher.rs` searches open slots that fit and offers each to the
//! patient whom it helps most (`assign.rs`, pure). An offer is a hold for one patient, so that no one else gets the slot
//! while it lasts; the database allows one open offer a slot and one a patient. Every step is published in the feed.

mod assign;
mod changes;
pub(crate) mod criteria;
pub(crate) mod entries;
pub(crate) mod matcher;
pub(crate) mod offers;
pub(crate) mod view;
