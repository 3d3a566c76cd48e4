//! Availability's own database: organisations, the entries of their directories, and kept answers.

mod entries;
mod organizations;
#[cfg(test)]
mod tests;

use service::store::{Database, Schema};
use sql::Target;
use sqlx::migrate::MigrateError;

pub(crate) use self::{
    entries::{BodyRow, EntryRow, upsert_entry},
    organizations::{OrganizationRow, advance_version, insert_organization},
};

/// The database's name and migrations.
pub(crate) static SCHEMA: Schema = Schema {
    name: "availability",
    sqlite: sql::migrate!("migrations/sqlite"),
    postgres: sql::migrate!("migrations/postgres"),
    functions: sql::functions![],
};

/// The statements of the service, without those of shared tables.
#[cfg(test)]
const STATEMENTS: [&[&str]; 2] = [&organizations::STATEMENTS, &entries::STATEMENTS];

/// The database. Reads are its methods; writes are functions on a transaction.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
}

impl Store {
    /// Opens the database. Migrations do not run yet.
    pub(crate) async fn open(target: &Target) -> Result<Self, sqlx::Error> {
        Ok(Self { database: Database::open(target, &SCHEMA).await? })
    }

    pub(crate) async fn migrate(&self) -> Result<(), MigrateError> {
        self.database.migrate(&SCHEMA).await
    }
}
