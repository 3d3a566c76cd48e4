//! Database URLs and connections.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool, SqliteConnection, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    query_scalar,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{pooler, private};

/// The database of a service.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A SQLite file of its own.
    Sqlite(PathBuf),
    /// A schema of its own in this PostgreSQL database.
    Postgres(String),
}

/// A database URL that cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write postgres://user:password@host:port/database, or sqlite:FILE")]
pub struct TargetError;

impl Target {
    /// Parses a database URL.
    ///
    /// # Errors
    /// For a scheme other than `postgres` and `sqlite`, and for a malformed URL.
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
    /// Omits the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "SQLite file {}", path.display()),
            Self::Postgres(_) => f.write_str("PostgreSQL"),
        }
    }
}

/// The beginning of the name of each connection; the service and its version follow.
pub(crate) const APPLICATION: &str = "meridian-";
/// The version of this build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Longest wait for a connection; after it the database counts as busy.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is tested before use. A busy one is not: the test would double the round trips of
/// each statement.
const IDLE_TRUSTED: Duration = Duration::from_secs(2);

/// Longest wait for the connections of an ending process.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections to one SQLite file: one writer, several readers.
#[derive(Debug, Clone)]
pub struct SqlitePools {
    /// The only connection that writes.
    pub writer: SqlitePool,
    /// Connections that read.
    pub reader: SqlitePool,
}

/// Opens a SQLite file and creates it if it is missing: mode 0600, WAL, `synchronous=FULL`, foreign keys on.
///
/// # Errors
/// When the file cannot be opened.
pub async fn connect_sqlite(path: &Path) -> Result<SqlitePools, sqlx::Error> {
    private::prepare_sqlite(path)?;
    let options = sqlite_options(path);
    let pool = |connections_max| {
        SqlitePoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A file cannot hang up.
            .test_before_acquire(false)
            .after_release(|connection, _| Box::pin(is_reusable(connection)))
    };
    let writer = pool(1).connect_with(options.clone()).await?;
    let reader = pool(4).connect_with(options.read_only(true)).await?;
    Ok(SqlitePools { writer, reader })
}

impl SqlitePools {
    /// Moves the write-ahead log into the file, and closes all connections: the file is then whole by itself.
    pub async fn close(&self) {
        let closed = async {
            self.reader.close().await;
            // A row of three numbers; the first is 1 where another process keeps the log in use.
            let busy = query_scalar::<_, i64>("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await;
            self.writer.close().await;
            busy
        };
        match tokio::time::timeout(CLOSE_TIMEOUT, closed).await {
            Ok(Ok(0)) => {}
            Ok(Ok(_)) => tracing::debug!("another process keeps a write-ahead log in use"),
            Ok(Err(error)) => tracing::warn!(%error, "{LOG_STAYS}"),
            Err(_) => tracing::warn!("{LOG_STAYS}"),
        }
    }
}

/// The warning about a file that is not whole by itself.
const LOG_STAYS: &str = "a write-ahead log could not be moved into its database: copy the -wal file with it";

/// Moves the write-ahead log of a SQLite file into the file, where no other process has it open.
///
/// # Errors
/// When the file cannot be opened.
pub async fn settle(path: &Path) -> Result<(), sqlx::Error> {
    let options = sqlite_options(path).create_if_missing(false).busy_timeout(Duration::ZERO);
    let mut connection = options.connect().await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    connection.close().await
}

/// Whether a SQLite file answers a query with 1. A file that cannot be read does not.
pub async fn answers_yes(path: &Path, query: &'static str) -> bool {
    let connection = sqlite_options(path).create_if_missing(false).read_only(true).connect().await;
    let Ok(mut connection) = connection else { return false };
    let answer = query_scalar::<_, i64>(query).fetch_one(&mut connection).await;
    // Nothing was written.
    let _ = connection.close().await;
    answer.is_ok_and(|answer| answer == 1)
}

/// The settings of each connection to a SQLite file.
pub(crate) fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

/// Whether a connection may serve again: its transaction has ended. SQLite rolls back by itself where the disk is full, so the
/// driver's own rollback fails, and the driver then takes each further transaction for a nested one.
async fn is_reusable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The rollback of a dropped transaction may still be queued; the ping is answered after it.
        connection.ping().await?;
    }
    let is_reusable = !connection.is_in_transaction();
    if !is_reusable {
        tracing::warn!("a database connection is closed: its transaction could not be rolled back");
    }
    Ok(is_reusable)
}

/// Most rows of a statement that stays prepared.
const PREPARED_ROWS_MAX: usize = 16;

/// Whether a statement whose text grows with its rows stays prepared. A statement with few rows recurs, and planning it costs
/// more than running it; a statement with many rows hardly ever recurs. A prepared statement must name its columns: with `*`
/// PostgreSQL refuses it once a newer process has added a column.
pub fn is_kept(rows: usize) -> bool {
    rows <= PREPARED_ROWS_MAX
}

/// Opens a PostgreSQL pool whose search path is this schema. The schema need not exist.
///
/// # Errors
/// When the server cannot be reached or refuses, and behind a pooler with which the service would not work.
pub async fn connect_postgres(url: &str, schema: &'static str) -> Result<PgPool, sqlx::Error> {
    let options = postgres_options(url, schema)?;
    let checked = pooler::check(&options, schema).await;
    // The pool waits a little for a server that is not there yet.
    if let Err(unusable @ sqlx::Error::Configuration(_)) = checked {
        return Err(unusable);
    }
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(pooler::check_path(connection, schema)))
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
        // The pool reports only a timeout; a single connection reports the server's or the network's reason.
        Err(sqlx::Error::PoolTimedOut) => match PgConnection::connect_with(&options).await {
            Ok(mut connection) => pooler::check_path(&mut connection, schema).await.and(Err(sqlx::Error::PoolTimedOut)),
            Err(reason) => Err(reason),
        },
        Ok(pool) => {
            if checked.is_err() {
                pooler::check(&options, schema).await?;
            }
            Ok(pool)
        }
        outcome => outcome,
    }
}

/// The settings of each connection to PostgreSQL whose search path is this schema.
///
/// # Errors
/// For a malformed URL.
pub(crate) fn postgres_options(url: &str, schema: &'static str) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    Ok(options
        .application_name(&format!("{APPLICATION}{schema}/{VERSION}"))
        .options([
            ("search_path", format!("{schema},public").as_str()),
            ("idle_in_transaction_session_timeout", "10s"),
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            // Our statements end sooner than their compilation would.
            ("jit", "off"),
        ])
        .statement_cache_capacity(512)
        .disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed_and_a_password_is_never_printed() {
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
