//! Database errors, classified by the caller's options.

use std::time::Duration;

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
    /// A text holds a character that PostgreSQL does not store: U+0000 (22021, 22P05).
    #[error("a text cannot be stored")]
    Unstorable(#[source] sqlx::Error),
    /// Any other error.
    #[error("the database failed")]
    Other(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let code = error.as_database_error().and_then(|db| db.code()).map(|code| code.into_owned());
        match code.as_deref() {
            Some("40001" | "40P01") => Self::Serialization(error),
            Some("22021" | "22P05") => Self::Unstorable(error),
            Some(code) if is_transient(code) => Self::Busy(error),
            _ if error.as_database_error().is_some_and(|db| db.is_unique_violation()) => Self::Duplicate(error),
            _ if matches!(error, E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Io(_)) => Self::Busy(error),
            _ => Self::Other(error),
        }
    }
}

/// Whether the condition behind a code ends by itself.
fn is_transient(code: &str) -> bool {
    // PostgreSQL: no lock, too many connections, shut down, crashed, starting, out of time, connection lost (class 08).
    let postgres = ["55P03", "53300", "57P01", "57P02", "57P03", "57014", "25P03"];
    // SQLite: SQLITE_BUSY and its extended forms.
    let sqlite = ["5", "261", "517", "773"];
    postgres.contains(&code) || sqlite.contains(&code) || (code.len() == 5 && code.starts_with("08"))
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
    fn transient_conditions_are_busy_and_others_are_not() {
        for code in ["55P03", "53300", "57P03", "08006", "5", "517"] {
            assert!(is_transient(code), "{code}");
        }
        for code in ["23P01", "23505", "42P01", "0", "08", "1555"] {
            assert!(!is_transient(code), "{code}");
        }
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(Failure::from(broken), Failure::Busy(_)));
        assert!(matches!(Failure::from(sqlx::Error::RowNotFound), Failure::Other(_)));
    }
}
