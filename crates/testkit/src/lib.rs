//! What tests stand on: databases of their own, a fake SMS provider, a fake mail server, endpoints that record what is
//! posted to them, a collector of spans, the built product as a child process.
//!
//! It never holds a rule of the business, and no product code depends on it. Nothing here sleeps for a fixed time:
//! what must be waited for is waited for by [`poll::until`] or a channel, within a bound. Tests own what they use: each
//! database is new and has a random name, each port is whatever is free.
//!
//! Start reading at [`database`] for tests of a store, at [`product`] for tests of the whole.

pub mod collector;
pub mod database;
pub mod endpoint;
pub mod http;
pub mod poll;
pub mod port;
pub mod postgres;
pub mod product;
pub mod python;
pub mod sms;
pub mod smtp;
pub mod tls;
