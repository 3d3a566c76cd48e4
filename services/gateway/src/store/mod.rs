//! The gateway's own database: one file an aggregate, with its rows, its SQL and its statements.

pub(crate) mod answers;
pub(crate) mod audit;
pub(crate) mod calendars;
pub(crate) mod keys;

use service::store::{Database, Schema};
use sql::Target;
use sqlx::migrate::MigrateError;

/// The gateway's schema and its migrations.
pub(crate) static SCHEMA: Schema = Schema {
    name: "gateway",
    sqlite: sql::migrate!("migrations/sqlite"),
    postgres: sql::migrate!("migrations/postgres"),
    functions: sql::functions![],
};

/// The database. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    /// Opens the database. Migrations do not run yet.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) async fn open(target: &Target) -> Result<Self, sqlx::Error> {
        Ok(Self { database: Database::open(target, &SCHEMA).await? })
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Applies the migrations that are missing.
    ///
    /// # Errors
    /// When a migration fails.
    pub(crate) async fn migrate(&self) -> Result<(), MigrateError> {
        self.database.migrate(&SCHEMA).await
    }
}
