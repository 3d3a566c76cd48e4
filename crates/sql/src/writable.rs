//! Whether a database takes writes.
//!
//! A statement that fails because its disk is full says nothing about when that ends. [`refusal`] waits for such a failure,
//! and [`check`] tries a write, until one succeeds.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqliteConnection, query_scalar};
use tokio::sync::Notify;

use crate::{Failure, Target, open, private};

/// The bytes that a check writes: more than a booking does.
const CHECK_BYTES: usize = 256 << 10;
/// Longest check. A database that is busy for so long takes writes.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// How to mend a database that takes no writes.
pub const MEND: &str = "its disk is full or fails, or it is read-only: make room on it, or make it writable";

static REFUSED: Notify = Notify::const_new();

/// Notes that a database of this process refused a write.
pub(crate) fn refused() {
    REFUSED.notify_one();
}

/// Waits until a database of this process refuses a write, or returns at once where one did since the last call.
pub async fn refusal() {
    REFUSED.notified().await;
}

/// Tries to write to a database, and leaves nothing behind. A database that cannot be reached, or is busy, passes.
///
/// # Errors
/// [`Failure::Unwritable`] when it takes no writes.
pub async fn check(target: &Target, schema: &'static str) -> Result<(), Failure> {
    let check = async {
        match target {
            Target::Sqlite(path) => check_sqlite(path).await,
            Target::Postgres(url) => check_postgres(url, schema).await,
        }
    };
    match tokio::time::timeout(CHECK_TIMEOUT, check).await {
        Ok(Err(failure @ Failure::Unwritable(_))) => Err(failure),
        _ => Ok(()),
    }
}

/// Writes a file beside the database, for the space, and then to the database, for its own limits.
async fn check_sqlite(path: &Path) -> Result<(), Failure> {
    let beside = beside(path);
    // A task that panicked has found nothing.
    let written = tokio::task::spawn_blocking(move || check_folder(&beside)).await.unwrap_or(Ok(()));
    written.map_err(|error| Failure::Unwritable(sqlx::Error::Io(error)))?;
    let mut connection = open::sqlite_options(path).create_if_missing(false).connect().await?;
    let written = rewrite_first_page(&mut connection).await;
    connection.close().await?;
    written
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", process::id()))
}

fn check_folder(file: &Path) -> std::io::Result<()> {
    // A process of the same number may have left it.
    let _ = fs::remove_file(file);
    let written =
        private::create(file).and_then(|mut file| file.write_all(&vec![0; CHECK_BYTES]).and_then(|()| file.sync_all()));
    // A file that could not be made needs no removal.
    let _ = fs::remove_file(file);
    written
}

async fn rewrite_first_page(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let version: i64 = query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let rewrite = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    connection.execute(rewrite).await?;
    Ok(())
}

/// Fills a table in a transaction that is rolled back: PostgreSQL extends its files at once.
async fn check_postgres(url: &str, schema: &'static str) -> Result<(), Failure> {
    let mut connection: PgConnection = open::postgres_options(url, schema)?.connect().await?;
    let mut tx = connection.begin().await?;
    // A service's login role makes no tables in the schema, but temporary ones.
    let may_create: bool =
        query_scalar("SELECT has_schema_privilege($1, 'CREATE')").bind(schema).fetch_one(&mut *tx).await?;
    let table = if may_create { format!("TABLE {schema}") } else { "TEMP TABLE pg_temp".to_owned() };
    tx.execute(AssertSqlSafe(format!("CREATE {table}._write_check (filler text)"))).await?;
    sqlx::query("INSERT INTO _write_check SELECT repeat('x', 1000) FROM generate_series(1, $1)")
        .bind(i32::try_from(CHECK_BYTES / 1000).unwrap_or(i32::MAX))
        .execute(&mut *tx)
        .await?;
    tx.rollback().await?;
    connection.close().await?;
    Ok(())
}
