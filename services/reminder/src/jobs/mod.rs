//! What runs by the clock or by the feed, not by a request.

pub(crate) mod feed;
pub(crate) mod history;
pub(crate) mod sweep;
