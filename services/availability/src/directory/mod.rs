//! The directory: what there is, where, and when it works.

pub(crate) mod service;
pub(crate) mod snapshot;
pub(crate) mod write;
