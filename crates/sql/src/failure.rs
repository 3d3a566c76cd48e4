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
    /// The database is busy (55P03, SQLITE_BUSY, no free connection).
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// All else.
    #[error("the database failed")]
    Other(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|db| db.code()).map(|code| code.into_owned());
        match code.as_deref() {
            Some("40001" | "40P01") => Self::Serialization(error),
            // SQLITE_BUSY and its extended forms.
            Some("55P03" | "5" | "261" | "517") => Self::Busy(error),
            _ if error.as_database_error().is_some_and(|db| db.is_unique_violation()) => Self::Duplicate(error),
            _ if matches!(error, sqlx::Error::PoolTimedOut) => Self::Busy(error),
            _ => Self::Other(error),
        }
    }
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
