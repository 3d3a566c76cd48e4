//! Open slots: the search, the check before a booking, and what else asks about one start.

pub(crate) mod check;
pub(crate) mod checks;
pub(crate) mod explain;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod near;
pub(crate) mod nearest;
mod next_available;
pub(crate) mod query;
pub(crate) mod search;
pub(crate) mod sessions;
mod travel;
pub(crate) mod watch;
