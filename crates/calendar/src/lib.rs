//! Calendars as bits, and the search over them.
//!
//! Time is cut into ticks of five minutes. A practitioner's working time is one bitset and their occupied time another;
//! word operations over both find the starts at which a visit fits. Pure: no input or output, no clock. [`zone`] and
//! [`roster`] turn wall-clock times into ticks by each zone's own rules.
//!
//! Start reading at [`search`], whose documentation explains the kernel.

#![warn(clippy::unwrap_used)]

pub mod bench;
pub mod bits;
pub mod occupancy;
pub mod roster;
pub mod search;
pub mod tick;
pub mod zone;

pub use bits::Bits;
pub use occupancy::Occupancy;
pub use tick::{Span, Tick};
pub use zone::Zone;
