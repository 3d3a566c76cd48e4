//! Slots: what availability says of them, the claims that they make on time, and how they are reserved.

pub(crate) mod check;
pub(crate) mod claims;
pub(crate) mod freed;
pub(crate) mod reserve;
pub(crate) mod zone_changes;
