//! Opening databases and running migrations.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, PgPool, SqlitePool,
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
            Some(path) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Err(TargetError),
                file => Ok(Self::Sqlite(PathBuf::from(file))),
            },
            None => Err(TargetError),
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

/// How long a caller waits for a connection before it is told that the database is busy.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);
/// A connection that has been idle for longer is asked whether it still lives before it is used. One that was just in
/// use is not: the question would double the round trips of every statement.
const IDLE_TRUSTED: Duration = Duration::from_secs(2);

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
    let pool = |connections_max| {
        SqlitePoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_WITHIN)
            // It is a file: there is nothing that could have hung up.
            .test_before_acquire(false)
    };
    let writer = pool(1).connect_with(options.clone()).await?;
    let reader = pool(4).connect_with(options.read_only(true)).await?;
    Ok(SqlitePools { writer, reader })
}

/// Rows of a statement up to which it is kept prepared.
const KEPT_ROWS: usize = 16;

/// Whether a statement whose text grows with its rows is to be kept prepared: one of few rows comes again and again, and to
/// plan it costs more than to run it; one of many is hardly ever met again. One that is kept must name the columns that it
/// answers: with `*` PostgreSQL refuses it as soon as a newer process adds one.
pub fn is_kept(rows: usize) -> bool {
    rows <= KEPT_ROWS
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
            // Every statement of ours is over long before machine code for it would be made.
            ("jit", "off"),
        ])
        .statement_cache_capacity(512)
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(ACQUIRE_WITHIN)
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                if known.idle_for > IDLE_TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options.clone())
        .await;
    match pool {
        // A pool that waits for a server says that it waited; what the server (or the network) says helps more.
        Err(sqlx::Error::PoolTimedOut) => match PgConnection::connect_with(&options).await {
            Ok(_) => Err(sqlx::Error::PoolTimedOut),
            Err(reason) => Err(reason),
        },
        outcome => outcome,
    }
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

/// How many migrations a database still lacks; all of them where none ran yet. Changes nothing.
///
/// # Errors
/// When the database cannot be read.
pub async fn pending(
    target: &Target,
    schema: &'static str,
    sqlite: &Migrator,
    postgres: &Migrator,
) -> Result<usize, sqlx::Error> {
    let lacking = |migrator: &Migrator, applied: i64| {
        let known = migrator.iter().filter(|migration| migration.migration_type.is_up_migration()).count();
        known.saturating_sub(usize::try_from(applied).unwrap_or(0))
    };
    Ok(match target {
        Target::Sqlite(path) => {
            const KNOWN: &str = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
            let pool = connect_sqlite(path).await?.reader;
            let known: i64 = sqlx::query_scalar(KNOWN).fetch_one(&pool).await?;
            let applied = if known == 0 { 0 } else { sqlx::query_scalar(SUCCEEDED).fetch_one(&pool).await? };
            lacking(sqlite, applied)
        }
        Target::Postgres(url) => {
            let pool = connect_postgres(url, schema).await?;
            // Named with its schema: another service's table must not be taken for this one's.
            let table = format!("{schema}._sqlx_migrations");
            let known: bool =
                sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(&pool).await?;
            let applied = if known { sqlx::query_scalar(SUCCEEDED).fetch_one(&pool).await? } else { 0 };
            lacking(postgres, applied)
        }
    })
}

const SUCCEEDED: &str = "SELECT count(*) FROM _sqlx_migrations WHERE success";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_a_password_is_never_shown() {
        let sqlite = |path: &str| Ok(Target::Sqlite(PathBuf::from(path)));
        assert_eq!(Target::from_url("sqlite:data/a.sqlite"), sqlite("data/a.sqlite"));
        assert_eq!(Target::from_url("sqlite:/data/a.sqlite"), sqlite("/data/a.sqlite"));
        assert_eq!(Target::from_url("sqlite:///data/a.sqlite"), sqlite("/data/a.sqlite"));
        assert_eq!(Target::from_url("sqlite:////data/a.sqlite"), sqlite("//data/a.sqlite"));
        for bad in ["", "sqlite:", "sqlite://", "mysql://x", "a.sqlite", "postgres://host:port/x"] {
            assert_eq!(Target::from_url(bad), Err(TargetError), "{bad}");
        }
        let target = Target::from_url("postgres://me:canary@localhost/x").unwrap();
        assert_eq!(format!("{target:?}"), "PostgreSQL");
    }
}
