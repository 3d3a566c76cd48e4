//! The change feed: what a change says, the snapshot to begin from, and the stream to follow.

pub(crate) mod change;
pub(crate) mod snapshot;
pub(crate) mod stream;
