//! Opening databases and running migrations.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Executor, PgPool, SqlitePool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// Where a service keeps its data.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A SQLite file of its own.
    Sqlite(PathBuf),
    /// A schema of its own in this PostgreSQL database.
    Postgres(String),
}

/// A database URL of an unknown sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write postgres://user:password@host:port/database, or sqlite:FILE")]
pub struct TargetError;

impl Target {
    /// Reads a database URL.
    ///
    /// # Errors
    /// For any scheme but `postgres` and `sqlite`.
    pub fn from_url(url: &str) -> Result<Self, TargetError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return url.parse::<PgConnectOptions>().map(|_| Self::Postgres(url.to_owned())).map_err(|_| TargetError);
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path.trim_start_matches("//")))),
            _ => Err(TargetError),
        }
    }
}

impl fmt::Debug for Target {
    /// Shows no URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "SQLite file {}", path.display()),
            Self::Postgres(_) => f.write_str("PostgreSQL"),
        }
    }
}

/// SQLite has one writer at a time and any number of readers.
#[derive(Debug, Clone)]
pub struct SqlitePools {
    /// The one connection that writes.
    pub writer: SqlitePool,
    /// Connections that read.
    pub reader: SqlitePool,
}

/// Opens a SQLite file, made where it is missing: WAL, `synchronous=FULL`, foreign keys on.
///
/// # Errors
/// When the file cannot be opened.
pub async fn connect_sqlite(path: &Path) -> Result<SqlitePools, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(256)
        .disable_statement_logging();
    let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let reader = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await?;
    Ok(SqlitePools { writer, reader })
}

/// Opens a PostgreSQL pool that lives in this schema, made where it is missing.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn connect_postgres(url: &str, schema: &'static str) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let options = options
        .application_name(&format!("meridian-{schema}"))
        .options([
            ("search_path", format!("{schema},public").as_str()),
            ("idle_in_transaction_session_timeout", "10s"),
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
        ])
        .disable_statement_logging();
    let pool =
        PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(5)).connect_with(options).await?;
    Ok(pool)
}

/// Brings a SQLite file up to date.
///
/// # Errors
/// When a migration fails, or an applied one was edited.
pub async fn migrate_sqlite(pools: &SqlitePools, migrator: &Migrator) -> Result<(), MigrateError> {
    migrator.run(&pools.writer).await
}

/// Brings a schema up to date.
///
/// # Errors
/// When a migration fails, or an applied one was edited.
pub async fn migrate_postgres(pool: &PgPool, schema: &'static str, migrator: &Migrator) -> Result<(), MigrateError> {
    // Two processes that start together may both find the schema missing; the loser's error is no fault.
    let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
    if let Err(error) = pool.execute(create).await
        && !error.as_database_error().is_some_and(|db| db.is_unique_violation())
    {
        return Err(error.into());
    }
    migrator.run(pool).await
}

/// How many migrations are still to run; all of them where none ran yet.
pub fn pending(migrator: &Migrator, applied: usize) -> usize {
    migrator.iter().filter(|migration| migration.migration_type.is_up_migration()).count().saturating_sub(applied)
}
