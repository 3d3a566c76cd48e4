//! What tests share: databases of their own, a fake SMS provider, and the built product as a child process.
//!
//! Tests own what they use: each database is new and has a random name, each port is whatever is free.

pub mod database;
pub mod poll;
pub mod product;
pub mod sms;
