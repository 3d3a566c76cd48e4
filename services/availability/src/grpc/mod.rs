//! The gRPC services. Each method waits for the caller's revision, calls one use case and encodes its answer.

pub(crate) mod directory;
pub(crate) mod planner;
pub(crate) mod search;
