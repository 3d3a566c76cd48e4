//! Errors of the database, sorted by what can be done about them.

use std::time::Duration;

/// What went wrong in the database.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A row with this key is there already (SQLSTATE 23505, or SQLite's unique constraint).
    #[error("a row with this key is there already")]
    Duplicate(#[source] sqlx::Error),
    /// Two transactions met and this one lost: the whole of it may be tried again (40001, 40P01).
    #[error("two transactions met; try the whole transaction again")]
    Serialization(#[source] sqlx::Error),
    /// The database is busy, or cannot be reached just now: no lock (55P03, SQLITE_BUSY), no free connection, a server that
    /// starts or stops, a connection that broke. Of a write whose connection broke nobody knows whether it happened.
    #[error("the database is busy or out of reach")]
    Busy(#[source] sqlx::Error),
    /// A text holds a character that PostgreSQL does not store: U+0000 (22021, 22P05).
    #[error("a text cannot be stored")]
    Unstorable(#[source] sqlx::Error),
    /// All else.
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
            Some(code) if is_passing(code) => Self::Busy(error),
            _ if error.as_database_error().is_some_and(|db| db.is_unique_violation()) => Self::Duplicate(error),
            _ if matches!(error, E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Io(_)) => Self::Busy(error),
            _ => Self::Other(error),
        }
    }
}

/// Whether a code tells of something that passes by itself.
fn is_passing(code: &str) -> bool {
    // PostgreSQL: no lock, too many connections, shut down, crashed, starting, out of time, connection lost (class 08).
    let postgres = ["55P03", "53300", "57P01", "57P02", "57P03", "57014", "25P03"];
    // SQLite: SQLITE_BUSY and its extended forms.
    let sqlite = ["5", "261", "517", "773"];
    postgres.contains(&code) || sqlite.contains(&code) || (code.len() == 5 && code.starts_with("08"))
}

/// Runs a whole transaction, again where it lost to another one: at most three times, with growing pauses that
/// `fraction` (from 0 to 1) spreads.
///
/// # Errors
/// What the last try answered.
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
    /// The failure, where it is one.
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
    async fn a_transaction_that_loses_runs_three_times_and_no_more() {
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
    async fn a_later_run_counts_and_another_failure_ends_it_at_once() {
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
    fn what_passes_by_itself_is_busy_and_the_rest_is_not() {
        for code in ["55P03", "53300", "57P03", "08006", "5", "517"] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["23P01", "23505", "42P01", "0", "08", "1555"] {
            assert!(!is_passing(code), "{code}");
        }
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(Failure::from(broken), Failure::Busy(_)));
        assert!(matches!(Failure::from(sqlx::Error::RowNotFound), Failure::Other(_)));
    }
}
