//! Calendars as bits, and the search over them.
//!
//! Time is cut into ticks of five minutes. What a practitioner's roster allows is a bitset, what is taken is
//! another, and the starts at which a visit fits are found by word operations over both. Pure: no input or output,
//! no clock; wall-clock times become ticks in [`zone`] and [`roster`], by each zone's own rules.
//!
//! Start reading at [`search`], whose module doc explains the kernel.

#![warn(clippy::unwrap_used)]

pub mod bench;
pub mod bits;
pub mod occupancy;
pub mod roster;
pub mod search;
pub mod tick;
pub mod zone;

pub use bits::Bits;
pub use occupancy::Taken;
pub use tick::{Span, Tick};
pub use zone::Zone;
