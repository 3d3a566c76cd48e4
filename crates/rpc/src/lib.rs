//! Calls between services: one error type, one context, one channel over two transports.
//!
//! A call goes over TCP or into a server of the same process. Either way it carries a deadline, a trace context, the
//! organisation and the caller, and the server enforces the deadline. Over TCP both ends may know each other by certificates
//! ([`tls`]). This crate knows no contract.
//!
//! Start reading at [`code`] for the errors, at [`Context`] for a call's metadata, and at [`Channel`] for the
//! transports.

#![warn(clippy::unwrap_used)]

mod accept;
mod call_metrics;
mod channel;
pub mod code;
mod context;
mod fault;
mod guard;
mod metadata;
mod retry;
mod server;
pub mod tls;
pub mod trace;
mod visitor;

pub use accept::Acceptor;
pub use channel::{Channel, TransportError};
pub use code::Code;
pub use context::{Context, Idempotency, is_replay, respond};
pub use fault::Fault;
pub use guard::{guard, guard_with, timeout};
pub use retry::Retry;
pub use server::{Server, listen};
pub use tls::{Tls, caller::Access};
pub use visitor::Visitor;
