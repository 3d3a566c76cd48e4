//! Database errors, classified by the caller's options.

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::writable;

/// A database error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A row with this key exists (SQLSTATE 23505, or SQLite's unique constraint).
    #[error("a row with this key exists")]
    Duplicate(#[source] sqlx::Error),
    /// A concurrent transaction won: retry the whole transaction (40001, 40P01).
    #[error("a concurrent transaction won; try the whole transaction again")]
    Serialization(#[source] sqlx::Error),
    /// The database is busy or unreachable for a while: no lock (55P03, SQLITE_BUSY), no free connection, a server that
    /// starts or stops, a broken connection. The outcome of a write on a broken connection is unknown.
    #[error("the database is busy or unreachable")]
    Busy(#[source] sqlx::Error),
    /// The database takes no writes for now: its disk is full (53100, SQLITE_FULL) or fails (58030, SQLITE_IOERR), or it is
    /// read-only (25006, SQLITE_READONLY). A failed commit may have taken effect.
    #[error("the database takes no writes")]
    Unwritable(#[source] sqlx::Error),
    /// A text holds a character that PostgreSQL does not store: U+0000 (22021, 22P05).
    #[error("a text cannot be stored")]
    Unstorable(#[source] sqlx::Error),
    /// Any other error.
    #[error("the database failed")]
    Other(#[source] sqlx::Error),
}

impl Failure {
    /// The driver's error.
    pub fn into_source(self) -> sqlx::Error {
        match self {
            Self::Duplicate(error)
            | Self::Serialization(error)
            | Self::Busy(error)
            | Self::Unwritable(error)
            | Self::Unstorable(error)
            | Self::Other(error) => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let code = error.as_database_error().and_then(|db| db.code()).map(|code| code.into_owned());
        match code.as_deref() {
            Some("40001" | "40P01") => Self::Serialization(error),
            Some("22021" | "22P05") => Self::Unstorable(error),
            Some(code) if is_transient(code) => Self::Busy(error),
            Some(code) if is_unwritable(code) => {
                writable::refused();
                Self::Unwritable(error)
            }
            _ if error.as_database_error().is_some_and(|db| db.is_unique_violation()) => Self::Duplicate(error),
            _ if ends_session(&error) => Self::Busy(error),
            _ if matches!(error, E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Io(_)) => Self::Busy(error),
            _ => Self::Other(error),
        }
    }
}

/// Whether the condition behind a code ends by itself.
fn is_transient(code: &str) -> bool {
    // PostgreSQL: no lock, cancelled, shut down, crashed, starting, idle for too long.
    let postgres = ["55P03", "57000", "57014", "57P01", "57P02", "57P03", "57P05", "25P03"];
    match sqlite_primary(code) {
        Some(primary) => [SQLITE_BUSY, SQLITE_NOMEM].contains(&primary),
        // Class 08 is a lost connection, class 53 a lack of resources, of which a full disk does not end by itself.
        None => postgres.contains(&code) || code.starts_with("08") || (code.starts_with("53") && code != DISK_FULL),
    }
}

/// Whether PostgreSQL ended the session for a reason of its own (`FATAL` with `internal_error`), such as a file that it could not
/// write while the session began.
fn ends_session(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|db| db.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|db| db.code() == "XX000" && matches!(db.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether a code says that the database takes no writes.
fn is_unwritable(code: &str) -> bool {
    match sqlite_primary(code) {
        Some(primary) => [SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN].contains(&primary),
        // An input or output error, and a server that is a standby or was made read-only because its disk is full.
        None => [DISK_FULL, "58030", "25006"].contains(&code),
    }
}

/// PostgreSQL's `disk_full`.
const DISK_FULL: &str = "53100";
const SQLITE_BUSY: u32 = 5;
const SQLITE_NOMEM: u32 = 7;
const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;

/// The primary result code in an extended one of SQLite, its lowest byte; `None` for a SQLSTATE, which has five characters
/// (<https://sqlite.org/rescode.html>).
fn sqlite_primary(code: &str) -> Option<u32> {
    let extended: u32 = code.parse().ok().filter(|_| code.len() < 5)?;
    Some(extended & 0xff)
}

/// Runs a whole transaction, and again after a serialization failure: at most three times in all. The pauses grow, and
/// `fraction` (0 to 1) spreads them.
///
/// # Errors
/// The error of the last run.
pub async fn retry_serialization<T, E, F>(fraction: impl Fn() -> f64, mut run: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: AsFailure,
{
    let mut pause_ms = 5.0;
    for _ in 0..2 {
        match run().await {
            Err(error) if matches!(error.as_failure(), Some(Failure::Serialization(_))) => {
                pause(Duration::from_secs_f64(pause_ms * (0.5 + fraction()) / 1000.0)).await;
                pause_ms *= 4.0;
            }
            outcome => return outcome,
        }
    }
    run().await
}

/// An error that may be a failure of the database.
pub trait AsFailure {
    /// The database failure, if this error is one.
    fn as_failure(&self) -> Option<&Failure>;
}

impl AsFailure for Failure {
    fn as_failure(&self) -> Option<&Failure> {
        Some(self)
    }
}

#[expect(clippy::disallowed_methods, reason = "a back-off from real contention takes real milliseconds")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn lost() -> Failure {
        Failure::Serialization(sqlx::Error::PoolTimedOut)
    }

    #[tokio::test]
    async fn a_transaction_runs_at_most_three_times() {
        let runs = Cell::new(0);
        let outcome: Result<(), _> = retry_serialization(
            || 0.0,
            async || {
                runs.set(runs.get() + 1);
                Err(lost())
            },
        )
        .await;
        assert!(matches!(outcome, Err(Failure::Serialization(_))));
        assert_eq!(runs.get(), 3);
    }

    #[tokio::test]
    async fn a_later_run_may_succeed_and_another_failure_is_not_retried() {
        let runs = Cell::new(0);
        let outcome = retry_serialization(
            || 0.0,
            async || {
                runs.set(runs.get() + 1);
                if runs.get() == 2 { Ok(7) } else { Err(lost()) }
            },
        )
        .await;
        assert_eq!((outcome.unwrap(), runs.get()), (7, 2));
        runs.set(0);
        let outcome: Result<(), _> = retry_serialization(
            || 0.0,
            async || {
                runs.set(runs.get() + 1);
                Err(Failure::Busy(sqlx::Error::PoolTimedOut))
            },
        )
        .await;
        assert!(matches!(outcome, Err(Failure::Busy(_))));
        assert_eq!(runs.get(), 1);
    }

    #[test]
    fn each_condition_has_its_class() {
        for code in ["55P03", "53300", "53200", "53400", "57P03", "57P05", "57014", "08006", "5", "517", "7"] {
            assert!(is_transient(code) && !is_unwritable(code), "{code}");
        }
        for code in ["53100", "58030", "25006", "13", "10", "778", "4874", "8", "1032", "14"] {
            assert!(is_unwritable(code) && !is_transient(code), "{code}");
        }
        for code in ["23P01", "23505", "42P01", "57P04", "0", "1555", "11"] {
            assert!(!is_transient(code) && !is_unwritable(code), "{code}");
        }
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(Failure::from(broken), Failure::Busy(_)));
        assert!(matches!(Failure::from(sqlx::Error::RowNotFound), Failure::Other(_)));
    }
}
