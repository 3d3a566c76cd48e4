//! Proposals over whole calendars: series of open slots for a care plan, and new times for many appointments at once.
//!
//! `starts` searches as any query does and turns open slots into the candidates of `careplan`, which decides.

mod cells;
mod moves;
mod series;
mod starts;

pub(crate) use self::{moves::propose_moves, series::propose_series};
