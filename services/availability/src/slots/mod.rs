//! Open slots: the search and its variants, and the checks of one start.
//!
//! `request` and `filters` read a query from the wire, `query` holds it, `search` runs it on the kernel and `sessions`
//! adds the group sessions that a patient can join. `checks` evaluates every rule for one start.

pub(crate) mod check;
pub(crate) mod checks;
mod days;
pub(crate) mod explain;
pub(crate) mod filters;
pub(crate) mod limits;
mod list;
mod location_day;
pub(crate) mod nearest;
mod next_available;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod search;
pub(crate) mod sessions;
mod travel;
pub(crate) mod watch;

pub(crate) use self::{days::search_days, list::search_slots, next_available::next_slots};
