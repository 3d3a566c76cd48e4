//! A service's database on either engine.
//!
//! A statement is written once. [`read!`](crate::read), [`write!`](crate::write) and [`statement!`](crate::statement)
//! compile it for SQLite and for PostgreSQL and put it into a span of its own. Only statements whose text truly differs
//! match on [`Database`] or [`Tx`] themselves.
//!
//! ```ignore
//! impl Store {
//!     async fn patient(&self, organization: Uuid, id: Uuid) -> Result<Option<PatientRow>, Failure> {
//!         service::read!(self.database, "booking.patient", |pool| {
//!             query_as(SELECT_PATIENT).bind(organization).bind(id).fetch_optional(pool).await
//!         })
//!     }
//! }
//! ```
//!
//! The engines' result types differ: a body that executes ends with `.map(|done| done.rows_affected())`.

use futures::future::BoxFuture;
pub use sql::Schema;
use sql::{Failure, SqlitePools, Target};
use sqlx::{PgPool, Postgres, Sqlite, Transaction, migrate::MigrateError};

/// A service's database. Its futures are boxed, so that this crate compiles them, and not each that awaits them.
#[derive(Debug, Clone)]
pub enum Database {
    /// A SQLite file: one writer, several readers.
    Sqlite(SqlitePools),
    /// A PostgreSQL schema.
    Postgres(PgPool),
}

impl Database {
    /// Opens the database. Migrations do not run yet.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open<'a>(target: &'a Target, schema: &'a Schema) -> BoxFuture<'a, Result<Self, sqlx::Error>> {
        Box::pin(async move {
            Ok(match target {
                Target::Sqlite(path) => Self::Sqlite(sql::connect_sqlite(path).await?),
                Target::Postgres(url) => Self::Postgres(sql::connect_postgres(url, schema.name).await?),
            })
        })
    }

    /// Applies the migrations and functions that are missing.
    ///
    /// # Errors
    /// When a migration fails, or an applied migration was edited.
    pub fn migrate<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<(), MigrateError>> {
        Box::pin(async move {
            match self {
                Self::Sqlite(pools) => schema.migrate_sqlite(pools).await,
                Self::Postgres(pool) => schema.migrate_postgres(pool).await,
            }
        })
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at once, so that it never fails halfway for
    /// want of it.
    ///
    /// # Errors
    /// When no connection is free in time.
    pub fn begin(&self) -> BoxFuture<'_, Result<Tx, Failure>> {
        Box::pin(async move {
            Ok(match self {
                Self::Sqlite(pools) => Tx::Sqlite(pools.writer.begin_with("BEGIN IMMEDIATE").await?),
                Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
            })
        })
    }

    /// The engine's name in OpenTelemetry's registry (`db.system.name`).
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => SQLITE,
            Self::Postgres(_) => POSTGRES,
        }
    }
}

/// A transaction. It rolls back when it is dropped before [`Tx::commit`].
#[derive(Debug)]
pub enum Tx {
    /// On the writing connection of a SQLite file.
    Sqlite(Transaction<'static, Sqlite>),
    /// On one connection of a PostgreSQL pool.
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Commits.
    ///
    /// # Errors
    /// When the database refuses. After a broken connection the outcome is unknown.
    pub fn commit(self) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            match self {
                Self::Sqlite(tx) => tx.commit().await?,
                Self::Postgres(tx) => tx.commit().await?,
            }
            Ok(())
        })
    }
}

/// `db.system.name` of SQLite.
pub const SQLITE: &str = "sqlite";
/// `db.system.name` of PostgreSQL.
pub const POSTGRES: &str = "postgresql";

/// The span of one operation on a database, named `service.operation`; it never holds a value.
/// Names: OpenTelemetry semantic conventions for database client calls.
pub fn span(engine: &'static str, name: &'static str) -> tracing::Span {
    let operation = name.split_once('.').map_or(name, |(_, operation)| operation);
    tracing::info_span!(
        "sql",
        otel.name = name,
        otel.kind = "client",
        db.system.name = engine,
        db.operation.name = operation,
    )
}

/// Runs a body on a pool that reads, once for each engine: `read!(database, "service.operation", |pool| body)`.
///
/// `pool` is a `&SqlitePool` or a `&PgPool`; the body is a `Result` whose error becomes a `sql::Failure`, and may await.
/// `|pool: Engine|` names the engine's sqlx type, for a `QueryBuilder::<Engine>`.
#[macro_export]
macro_rules! read {
    ($database:expr, $name:literal, |$pool:ident $(: $Engine:ident)?| $body:expr) => {
        $crate::on_pool!(reader, $database, $name, |$pool $(: $Engine)?| $body)
    };
}

/// As [`read!`](crate::read), on a pool that writes.
#[macro_export]
macro_rules! write {
    ($database:expr, $name:literal, |$pool:ident $(: $Engine:ident)?| $body:expr) => {
        $crate::on_pool!(writer, $database, $name, |$pool $(: $Engine)?| $body)
    };
}

/// As [`read!`](crate::read), on one connection of a transaction: `conn` is a `&mut SqliteConnection` or a
/// `&mut PgConnection`.
#[macro_export]
macro_rules! statement {
    ($tx:expr, $name:literal, |$conn:ident $(: $Engine:ident)?| $body:expr) => {
        match &mut *$tx {
            $crate::store::Tx::Sqlite(tx) => {
                $(type $Engine = ::sqlx::Sqlite;)?
                let $conn: &mut ::sqlx::SqliteConnection = &mut *tx;
                $crate::spanned!($crate::store::SQLITE, $name, $body)
            }
            $crate::store::Tx::Postgres(tx) => {
                $(type $Engine = ::sqlx::Postgres;)?
                let $conn: &mut ::sqlx::PgConnection = &mut *tx;
                $crate::spanned!($crate::store::POSTGRES, $name, $body)
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! on_pool {
    ($role:ident, $database:expr, $name:literal, |$pool:ident $(: $Engine:ident)?| $body:expr) => {
        match &$database {
            $crate::store::Database::Sqlite(pools) => {
                $(type $Engine = ::sqlx::Sqlite;)?
                let $pool: &::sqlx::SqlitePool = &pools.$role;
                $crate::spanned!($crate::store::SQLITE, $name, $body)
            }
            $crate::store::Database::Postgres(pool) => {
                $(type $Engine = ::sqlx::Postgres;)?
                let $pool: &::sqlx::PgPool = pool;
                $crate::spanned!($crate::store::POSTGRES, $name, $body)
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! spanned {
    ($engine:expr, $name:literal, $body:expr) => {{
        let operation = async { $body };
        $crate::instrument(operation, $crate::store::span($engine, $name)).await.map_err(::sql::Failure::from)
    }};
}
