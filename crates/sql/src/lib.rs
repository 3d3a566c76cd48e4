//! PostgreSQL and SQLite behind one interface.
//!
//! PostgreSQL serves a chain that scales, SQLite a clinic group that wants a single file. This crate opens both with the
//! same settings for each service, runs migrations, classifies errors, and defines cursors and feed positions. The crate
//! `service` builds statements and transactions for both engines on it.
//!
//! It knows no table of a service. Start reading at [`Target`], [`Schema`] and [`Failure`].

#![warn(clippy::unwrap_used)]

/// Reads a row into a struct: the trait, and the macro that derives it.
pub use sqlx::FromRow;
pub use sqlx_macros::{FromRow, migrate};

pub mod builds;
mod copy;
pub mod cursor;
mod failure;
pub mod feed;
mod open;
mod pooler;
pub mod private;
mod role;
mod schema;
pub mod statistics;
pub mod writable;

pub use copy::copy_sqlite;
pub use failure::{AsFailure, Failure, retry_serialization};
pub use open::{
    CLOSE_TIMEOUT, SqlitePools, Target, TargetError, answers_yes, connect_postgres, connect_sqlite, is_kept, settle,
};
pub use role::{UnboundRole, unbound_role};
pub use schema::{Function, Schema, is_of_another_build};
