//! PostgreSQL.

#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "queries.rs"]
pub(crate) mod queries;

use sqlx::{PgPool, Transaction, migrate::Migrator};

type Db = sqlx::Postgres;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Availability's schema.
#[derive(Clone)]
pub(crate) struct Store {
    pub(super) pool: PgPool,
}

impl Store {
    fn reader(&self) -> &PgPool {
        &self.pool
    }

    async fn begin(&self) -> Result<Transaction<'static, Db>, sqlx::Error> {
        self.pool.begin().await
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        sql::migrate_postgres(&self.pool, "availability", &MIGRATIONS).await
    }
}
