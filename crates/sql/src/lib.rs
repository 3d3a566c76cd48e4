//! Two databases, one way to use them.
//!
//! PostgreSQL for a chain that scales, SQLite for one clinic group that wants a single file. A service writes its
//! SQL once, in a `queries.rs` that its `sqlite.rs` and its `postgres.rs` both include with `type Db` set; only
//! what truly differs is in the driver's own file. This crate opens the databases the same way for every service,
//! runs migrations, and sorts errors by what the caller can do about them.
//!
//! It knows no table. Start reading at [`Target`] and [`Failure`].

pub mod cursor;
mod failure;
pub mod feed;
mod open;

pub use failure::{AsFailure, Failure, retry_serialization};
pub use open::{
    SqlitePools, Target, TargetError, connect_postgres, connect_sqlite, is_kept, migrate_postgres, migrate_sqlite,
    pending,
};
