//! The gRPC services: each method reads its context, calls a use case and answers.

pub(crate) mod booking;
pub(crate) mod displaced;
pub(crate) mod feed;
pub(crate) mod plans;
pub(crate) mod reason_codes;
pub(crate) mod waitlist;

use tonic::{Response, Status};

/// The answer of a method.
type Answer<T> = Result<Response<T>, Status>;
