//! The directory: what there is, where, and when it works.

mod import;
mod organizations;
pub(crate) mod poll;
mod rezone;
pub(crate) mod service;
pub(crate) mod snapshot;
pub(crate) mod write;
