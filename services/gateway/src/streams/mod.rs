//! Streams of server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! Streams that ask the same share one computation and one buffer: a `topic.rs` writes each event once, and a further stream
//! costs its connection alone. `places.rs` counts streams by key and visitor and ends those of a revoked key; `sse.rs` is the
//! text of events and the body of an answer.

mod call;
mod places;
mod revocation;
pub(crate) mod sse;
mod topic;

pub(crate) use call::{LAST_EVENT_ID, place};
pub(crate) use places::{Place, Places, VisitorLimit};
pub(crate) use revocation::end_those_of_revoked_keys;
pub(crate) use topic::{Kept, Lagged, Reader, Topic};
