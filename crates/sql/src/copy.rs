//! Copies of SQLite files that are in use.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, query, query_scalar};

use crate::{open::sqlite_options, private};

/// A copy that is no whole database.
#[derive(Debug, thiserror::Error)]
#[error("the copy is damaged: {0}")]
struct Damaged(String);

/// Copies a SQLite file as it is at one instant, while others may write to it, and checks the copy. The copy is a file of its
/// own, mode 0600, without a write-ahead log; it must not exist.
///
/// # Errors
/// When the file cannot be read, the copy cannot be written, or the check finds damage.
pub async fn copy_sqlite(from: &Path, to: &Path) -> Result<(), sqlx::Error> {
    // The statement takes an empty file, whose mode it keeps.
    private::create(to)?;
    let mut source = sqlite_options(from).create_if_missing(false).connect().await?;
    query("VACUUM INTO $1").bind(to.to_string_lossy().into_owned()).execute(&mut source).await?;
    source.close().await?;
    std::fs::File::open(to)?.sync_all()?;
    // Read as it lies there: in WAL mode a second file would appear beside it.
    let mut copy = sqlite_options(to).create_if_missing(false).immutable(true).read_only(true).connect().await?;
    let found: String = query_scalar("PRAGMA quick_check(1)").fetch_one(&mut copy).await?;
    copy.close().await?;
    if found == "ok" { Ok(()) } else { Err(sqlx::Error::Decode(Box::new(Damaged(found)))) }
}
