//! Questions that take whole calendars: series of open slots for a care plan, and new times for many appointments at
//! once. What is open is found as for any search; what is best is for `careplan` to say.

mod cells;
pub(crate) mod moves;
pub(crate) mod series;
mod starts;
