//! What runs by the clock or by the feed, not by a request.

pub(crate) mod clock_steps;
pub(crate) mod commit;
pub(crate) mod feed;
mod history;
pub(crate) mod sweep;
