//! Sending: one message from its lease to its outcome, many at a time.

mod batcher;
pub(crate) mod lookups;
mod prepare;
mod queue;
mod select_provider;
mod send;
mod verify;
pub(crate) mod worker;

pub(crate) use self::{
    queue::Look,
    worker::{pause, rest},
};
