//! Whole courses of treatment on a clock that is moved by hand, on both engines: what goes wrong with a plan, and how it
//! is mended.

mod displaced;
mod disturbances;
mod fixture;
mod preferences;
mod repair;
mod tenant_isolation;
mod visits;
