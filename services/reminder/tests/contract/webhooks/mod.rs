//! Webhooks: endpoints, and what is delivered to them, on both engines.

mod delivering;
mod disabling;
mod endpoints;
mod receiver;
