//! What runs by the clock.

pub(crate) mod expire;
pub(crate) mod plan_risk;
pub(crate) mod zone_repair;
