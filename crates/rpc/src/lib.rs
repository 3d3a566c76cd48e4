//! How services call each other: one error type, one context, one channel over two transports.
//!
//! Whether a call goes over TCP or straight into a server in the same process, it carries a deadline, a trace
//! context, the organisation and the caller, and the server keeps all four. Nothing here knows what is being
//! called.
//!
//! Start reading at [`code`] for the errors, at [`Context`] for what travels with a call, and at [`Channel`] for
//! how it travels.

#![warn(clippy::unwrap_used)]

mod call_metrics;
mod channel;
pub mod code;
mod context;
mod fault;
mod guard;
mod metadata;
mod retry;
mod server;
pub mod trace;

pub use channel::{Channel, TransportError};
pub use code::Code;
pub use context::{Context, Idempotency, is_replay, respond};
pub use fault::Fault;
pub use guard::{guard, guard_with};
pub use retry::Retry;
pub use server::{Server, listen};
