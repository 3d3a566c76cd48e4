//! Booking's database, on either engine.
//!
//! Each file holds one aggregate: its rows and the statements that read them, written once for both engines. Every write
//! that must be whole is a [`batch::Batch`], which `commit/` applies: on PostgreSQL as one call of a function, on SQLite
//! step by step.

pub(crate) mod appointments;
pub(crate) mod batch;
pub(crate) mod changes;
pub(crate) mod claims;
mod commit;
pub(crate) mod derived;
pub(crate) mod feed_age;
pub(crate) mod groups;
pub(crate) mod holds;
pub(crate) mod links;
pub(crate) mod offers;
pub(crate) mod patient_search;
pub(crate) mod patients;
pub(crate) mod plans;
mod proposals;
pub(crate) mod reason_codes;
pub(crate) mod retention;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod visitors;
pub(crate) mod waitlist_entries;
pub(crate) mod zones;

use service::store::{Database, Schema};
use sql::Target;
use sqlx::{Encode, QueryBuilder, Type, migrate::MigrateError};

/// Booking's migrations and functions.
pub(crate) static SCHEMA: Schema = Schema {
    name: "booking",
    sqlite: sql::migrate!("migrations/sqlite"),
    postgres: sql::migrate!("migrations/postgres"),
    functions: sql::functions!["commit_batch", "commit_held_slots", "commit_plans", "feed_tail", "namesakes"],
};

/// Booking's database.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    /// Opens the database. Migrations do not run yet.
    pub(crate) async fn open(target: &Target) -> Result<Self, sqlx::Error> {
        Ok(Self { database: Database::open(target, &SCHEMA).await? })
    }

    pub(crate) async fn migrate(&self) -> Result<(), MigrateError> {
        self.database.migrate(&SCHEMA).await
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
}

/// Adds ` AND column IN (…)` to a query; nothing where there are no values.
fn push_in<DB, T>(query: &mut QueryBuilder<DB>, column: &str, values: &[T])
where
    DB: sqlx::Database,
    T: Clone + for<'v> Encode<'v, DB> + Type<DB>,
{
    if values.is_empty() {
        return;
    }
    query.push(format_args!(" AND {column} IN ("));
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value.clone());
    }
    query.push(")");
}
