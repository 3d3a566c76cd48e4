//! The change feed: what a change says, the snapshot to begin from, the stream to subscribe to, and the history.

pub(crate) mod change;
pub(crate) mod followers;
pub(crate) mod history;
pub(crate) mod snapshot;
pub(crate) mod stream;
