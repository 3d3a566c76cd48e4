//! The gRPC services: each method reads its context, calls a use case and answers.

pub(crate) mod booking;
