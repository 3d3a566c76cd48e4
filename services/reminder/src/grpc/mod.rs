//! The gRPC services: each method decodes its request, calls one use case and encodes the answer.

pub(crate) mod reminder;
pub(crate) mod webhooks;
