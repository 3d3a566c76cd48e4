//! Reminder's database, on either engine.
//!
//! One file an aggregate: its rows and its statements. A read is a method of [`Store`]; a statement of a transaction is
//! a function on a [`Tx`](service::store::Tx), and the use cases above decide what commits together. A statement is
//! written once for both engines; only leases and locks differ (`sqlite.rs`, `postgres.rs`).
//!
//! Transactions lock in one order: position, organisation, appointment or offer, message, webhook
//! endpoint, delivery.

pub(crate) mod absent;
pub(crate) mod appointment_counts;
pub(crate) mod appointments;
pub(crate) mod attempts;
pub(crate) mod batch;
pub(crate) mod blocked;
#[cfg(test)]
mod bulk_tests;
pub(crate) mod clock_steps;
pub(crate) mod inbound;
pub(crate) mod messages;
pub(crate) mod offers;
pub(crate) mod organizations;
pub(crate) mod planned_messages;
pub(crate) mod positions;
mod postgres;
pub(crate) mod receipts;
pub(crate) mod rules;
pub(crate) mod sends;
#[cfg(test)]
mod span_tests;
mod sqlite;
mod sweeps;
#[cfg(test)]
mod tests;
pub(crate) mod verifications;
pub(crate) mod webhook_deliveries;
pub(crate) mod webhook_endpoints;

use service::store::{Database, Schema, Scoped};
use sql::Target;
use uuid::Uuid;

/// The migrations.
pub(crate) static SCHEMA: Schema = Schema {
    name: "reminder",
    sqlite: sql::migrate!("migrations/sqlite"),
    postgres: sql::migrate!("migrations/postgres"),
    functions: sql::functions![],
};

/// The database. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
}

impl Store {
    /// Opens the database. Migrations do not run yet.
    pub(crate) async fn open(target: &Target) -> Result<Self, sqlx::Error> {
        Ok(Self { database: Database::open(target, &SCHEMA).await? })
    }

    /// Applies the migrations that are missing.
    pub(crate) async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        self.database.migrate(&SCHEMA).await
    }

    /// For a transaction about one organisation.
    pub(crate) fn of(&self, organization: Uuid) -> Scoped<'_> {
        self.database.of(organization)
    }

    /// For a transaction about all organisations.
    pub(crate) fn across(&self) -> Scoped<'_> {
        self.database.across()
    }
}
