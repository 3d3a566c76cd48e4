//! The gRPC services: each method decodes its request, calls one use case and encodes the answer.

pub(crate) mod directory;
pub(crate) mod planner;
pub(crate) mod search;
