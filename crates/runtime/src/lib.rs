//! What every process needs around its work: time, ids, configuration, telemetry and an orderly end.
//!
//! Nothing here knows of scheduling. Start reading at [`clock`]: it is the one place where time comes from.

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
