//! Displaced appointments: those that a sick day, a closure or an expired certificate has made impossible get new times
//! together.

pub(crate) mod book;
pub(crate) mod propose;
mod request;
