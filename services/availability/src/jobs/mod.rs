//! Background jobs: the feed of bookings, displaced flags, other replicas' changes, and calendars on other servers.

pub(crate) mod calendar_poll;
pub(crate) mod displacement;
pub(crate) mod feed;
pub(crate) mod reload;
