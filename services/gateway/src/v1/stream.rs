//! What streams of events have in common: their answer, and the event `problem`, which is the last one.

use axum::body::Bytes;
use futures::Stream;
use rpc::{Code, Fault};

use super::problem::Problem;
use crate::{
    call::Call,
    reply::Reply,
    streams::{Place, sse},
};

/// The answer with these events.
pub(super) fn reply(call: &Call, place: Place, events: impl Stream<Item = Bytes> + Send + 'static) -> Reply {
    let revoked = problem(Fault::new(Code::Unauthenticated, "the key is no longer in use"));
    Reply::events(sse::body(&call.inner, place, events, revoked))
}

/// The event of a fault.
pub(super) fn problem(fault: Fault) -> Bytes {
    sse::event("", "problem", &Problem::from(fault))
}

/// The event of a reader that has fallen behind. The client's last id stays the position to resume from.
pub(super) fn lagged() -> Fault {
    Fault::new(Code::Overloaded, "events came faster than they were read; come back with the last event's id")
}
