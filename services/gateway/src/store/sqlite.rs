//! SQLite.

#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "queries.rs"]
mod queries;

use sql::SqlitePools;
use sqlx::{SqlitePool, Transaction, migrate::Migrator};

type Db = sqlx::Sqlite;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The gateway's file.
#[derive(Clone)]
pub(crate) struct Store {
    pub(super) pools: SqlitePools,
}

impl Store {
    fn reader(&self) -> &SqlitePool {
        &self.pools.reader
    }

    fn writer(&self) -> &SqlitePool {
        &self.pools.writer
    }

    async fn begin(&self) -> Result<Transaction<'static, Db>, sqlx::Error> {
        self.pools.writer.begin_with("BEGIN IMMEDIATE").await
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        sql::migrate_sqlite(&self.pools, &MIGRATIONS).await
    }
}
