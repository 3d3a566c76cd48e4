//! Care plans from their proposal to their end, on a manual clock and on both engines: disturbances and repairs.

mod displaced;
mod disturbances;
mod fixture;
mod preferences;
mod repair;
mod revert_histories;
mod reverts;
mod simultaneous;
mod tenant_isolation;
mod visits;
