//! What runs by the clock or follows a stream.

pub(crate) mod calendar_poll;
pub(crate) mod feed;
