//! The directory: locations, practitioners, services and everything below them, and how it changes.

mod commit;
pub(crate) mod day;
pub(crate) mod describe;
mod impact;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod organizations;
pub(crate) mod references;
mod rezone;
pub(crate) mod stored;
pub(crate) mod wire_ids;
pub(crate) mod write;
