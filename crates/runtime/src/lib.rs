//! The base of every process: time, ids, configuration, telemetry, readiness and graceful shutdown.
//!
//! Nothing here depends on scheduling. Start reading at [`clock`], the only source of time.

#![warn(clippy::unwrap_used)]

pub mod clock;
pub mod config;
pub mod ids;
mod readiness;
pub mod shutdown;
pub mod telemetry;

pub use clock::Clock;
pub use ids::Ids;
pub use readiness::Readiness;
pub use shutdown::Shutdown;
