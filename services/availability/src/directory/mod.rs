//! The directory: what there is, where, and when it works.

pub(crate) mod describe;
pub(crate) mod impact;
pub(crate) mod import;
pub(crate) mod organizations;
pub(crate) mod references;
mod rezone;
pub(crate) mod write;
