//! A service's database on either engine.
//!
//! A statement is written once. [`read!`](crate::read), [`write!`](crate::write) and [`statement!`](crate::statement)
//! compile it for SQLite and for PostgreSQL and put it into a span of its own. Only statements whose text truly differs
//! match on [`Scoped`], [`Database`] or [`Tx`] themselves.
//!
//! A statement names the organisations that it reaches: one ([`Database::of`]), or all ([`Database::across`]) for jobs, the
//! feed and look-ups by a secret. PostgreSQL enforces this: the scope is set inside the transaction, and the policies of
//! the tables display and accept no other organisation's rows, nor any row where no scope is set.
//!
//! ```ignore
//! impl Store {
//!     async fn patient(&self, organization: Uuid, id: Uuid) -> Result<Option<PatientRow>, Failure> {
//!         service::read!(self.database.of(organization), "booking.patient", |pool| {
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
use sqlx::{AssertSqlSafe, PgPool, Postgres, Sqlite, Transaction, migrate::MigrateError};
use uuid::Uuid;

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

    /// For statements about one organisation: on PostgreSQL they reach no other one's rows.
    pub fn of(&self, organization: Uuid) -> Scoped<'_> {
        self.scoped(Scope::Of(organization))
    }

    /// For statements about all organisations, and about tables without one.
    pub fn across(&self) -> Scoped<'_> {
        self.scoped(Scope::Across)
    }

    fn scoped(&self, scope: Scope) -> Scoped<'_> {
        match self {
            Self::Sqlite(pools) => Scoped::Sqlite(pools),
            Self::Postgres(pool) => Scoped::Postgres(ScopedPool { pool, scope }),
        }
    }

    /// Closes all connections. A SQLite file then holds everything by itself, without its write-ahead log.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match self {
                Self::Sqlite(pools) => pools.close().await,
                // A statement that still runs ends with the process.
                Self::Postgres(pool) => drop(tokio::time::timeout(sql::CLOSE_TIMEOUT, pool.close()).await),
            }
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

/// The organisations that a statement reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Of(Uuid),
    Across,
}

/// A database, and the organisations that statements on it reach.
#[derive(Debug, Clone, Copy)]
pub enum Scoped<'a> {
    /// A SQLite file, which has no fence of its own.
    Sqlite(&'a SqlitePools),
    /// A PostgreSQL schema.
    Postgres(ScopedPool<'a>),
}

impl Scoped<'_> {
    /// Begins a transaction that may write. On SQLite it takes the write lock at once, so that it never fails halfway for
    /// want of it.
    ///
    /// # Errors
    /// When no connection is free in time.
    pub fn begin(self) -> BoxFuture<'static, Result<Tx, Failure>> {
        match self {
            Self::Sqlite(pools) => {
                let writer = pools.writer.clone();
                Box::pin(async move { Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)) })
            }
            Self::Postgres(pool) => {
                let begin = pool.begin();
                Box::pin(async move { Ok(Tx::Postgres(begin.await?)) })
            }
        }
    }
}

/// A PostgreSQL pool, and the organisations that statements on it reach.
#[derive(Debug, Clone, Copy)]
pub struct ScopedPool<'a> {
    pool: &'a PgPool,
    scope: Scope,
}

impl ScopedPool<'_> {
    /// Begins a transaction with the scope, in one round trip.
    ///
    /// # Errors
    /// When no connection is free in time.
    pub fn begin(self) -> BoxFuture<'static, Result<Transaction<'static, Postgres>, Failure>> {
        self.begin_with("BEGIN")
    }

    /// As [`Self::begin`], with a `BEGIN` of its own.
    ///
    /// # Errors
    /// When no connection is free in time.
    pub fn begin_with(self, begin: &str) -> BoxFuture<'static, Result<Transaction<'static, Postgres>, Failure>> {
        let scope = match self.scope {
            Scope::Of(organization) => organization.to_string(),
            Scope::Across => "*".to_owned(),
        };
        // One simple query of two statements. No foreign text is in it: a scope is an id or a star.
        let begin = AssertSqlSafe(format!("{begin}; SET LOCAL meridian.organization = '{scope}'"));
        let pool = self.pool.clone();
        Box::pin(async move { Ok(pool.begin_with(begin).await?) })
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

/// Runs a body that reads, once for each engine: `read!(database.of(organization), "service.operation", |pool| body)`.
///
/// `pool` is a `&SqlitePool`, or the `&mut PgConnection` of a transaction with the scope; the body is a `Result` whose error
/// becomes a `sql::Failure`, and may await. `|pool: Engine|` names the engine's sqlx type, for a `QueryBuilder::<Engine>`.
#[macro_export]
macro_rules! read {
    ($scoped:expr, $name:literal, |$pool:ident $(: $Engine:ident)?| $body:expr) => {
        $crate::in_scope!(reader, end_read, $scoped, $name, |$pool $(: $Engine)?| $body)
    };
}

/// As [`read!`](crate::read), for a body that writes.
#[macro_export]
macro_rules! write {
    ($scoped:expr, $name:literal, |$pool:ident $(: $Engine:ident)?| $body:expr) => {
        $crate::in_scope!(writer, end_write, $scoped, $name, |$pool $(: $Engine)?| $body)
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
macro_rules! in_scope {
    ($role:ident, $end:ident, $scoped:expr, $name:literal, |$pool:ident $(: $Engine:ident)?| $body:expr) => {
        match $scoped {
            $crate::store::Scoped::Sqlite(pools) => {
                $(type $Engine = ::sqlx::Sqlite;)?
                let $pool: &::sqlx::SqlitePool = &pools.$role;
                $crate::spanned!($crate::store::SQLITE, $name, $body)
            }
            $crate::store::Scoped::Postgres(pool) => {
                $(type $Engine = ::sqlx::Postgres;)?
                $crate::scoped!($end, pool, $name, |$pool| $body)
            }
        }
    };
}

/// Runs a body in a transaction of its own on a [`ScopedPool`](crate::store::ScopedPool):
/// `scoped!(end_write, pool, "service.operation", |conn| body)`.
#[macro_export]
macro_rules! scoped {
    ($end:ident, $pool:expr, $name:literal, |$conn:ident| $body:expr) => {{
        let begin = $pool.begin();
        $crate::spanned!($crate::store::POSTGRES, $name, {
            match begin.await {
                Err(failure) => Err(failure),
                Ok(mut tx) => {
                    let outcome = async {
                        let $conn: &mut ::sqlx::PgConnection = &mut tx;
                        $body
                    };
                    let outcome = outcome.await.map_err(::sql::Failure::from);
                    $crate::store::$end(tx, outcome).await
                }
            }
        })
    }};
}

/// Ends a transaction that has read. Its rollback is sent while the connection returns to the pool, so that nobody waits.
#[doc(hidden)]
pub async fn end_read<T>(tx: Transaction<'static, Postgres>, outcome: Result<T, Failure>) -> Result<T, Failure> {
    drop(tx);
    outcome
}

/// Commits what a body has written.
#[doc(hidden)]
pub async fn end_write<T>(tx: Transaction<'static, Postgres>, outcome: Result<T, Failure>) -> Result<T, Failure> {
    let value = outcome?;
    tx.commit().await?;
    Ok(value)
}

#[doc(hidden)]
#[macro_export]
macro_rules! spanned {
    ($engine:expr, $name:literal, $body:expr) => {{
        let operation = async { $body };
        $crate::instrument(operation, $crate::store::span($engine, $name)).await.map_err(::sql::Failure::from)
    }};
}
