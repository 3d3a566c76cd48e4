//! Poolers between a service and PostgreSQL, as PgBouncer is: some drop a session's start-up options, some give each
//! transaction another session. With either the service would work on the wrong tables, or lose its prepared statements.

use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions, raw_sql};

use crate::open::ACQUIRE_TIMEOUT;

/// Rounds in which two connections are compared: a busy pooler may give them different sessions by chance.
const ROUNDS: usize = 8;

/// A pooler with which a service cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unusable {
    /// The session's search path does not begin with the service's schema.
    #[error(
        "the session's search_path is `{found}` instead of `{schema}, public`: a pooler drops the start-up options. Run \
         deploy/postgres/roles.sql, which gives the path to each service's role, and use these roles; or connect directly"
    )]
    LostPath { schema: &'static str, found: String },
    /// Two connections share one session.
    #[error(
        "a pooler gives each transaction another session, where prepared statements get lost: set its pool_mode to \
         `session`, or connect directly"
    )]
    SharedSession,
}

impl From<Unusable> for sqlx::Error {
    fn from(unusable: Unusable) -> Self {
        Self::Configuration(Box::new(unusable))
    }
}

/// Checks that a new session has this schema in front of its search path.
///
/// # Errors
/// When it has another one.
pub(crate) async fn check_path(connection: &mut PgConnection, schema: &'static str) -> Result<(), sqlx::Error> {
    let found: String = first_field(connection, "SELECT current_setting('search_path')").await?;
    let first = found.split(',').next().unwrap_or_default().trim().trim_matches('"');
    if first == schema { Ok(()) } else { Err(Unusable::LostPath { schema, found }.into()) }
}

/// Checks that a new session has this schema in front of its search path, and that two connections at one time have a session
/// each.
///
/// # Errors
/// When they have not, and when the server refuses.
pub(crate) async fn check(options: &PgConnectOptions, schema: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    check_path(&mut connection, schema).await?;
    connection.close().await?;
    let compared = tokio::time::timeout(ACQUIRE_TIMEOUT, share_a_session(options)).await;
    // A pooler that has no second session lets the second connection wait: it does not share.
    if compared.unwrap_or(Ok(false))? { Err(Unusable::SharedSession.into()) } else { Ok(()) }
}

async fn share_a_session(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let mut one = PgConnection::connect_with(options).await?;
    let mut other = PgConnection::connect_with(options).await?;
    let mut is_shared = false;
    for _ in 0..ROUNDS {
        is_shared |= process_of(&mut one).await? == process_of(&mut other).await?;
    }
    one.close().await?;
    other.close().await?;
    Ok(is_shared)
}

/// The server's process, which is the session's alone while the session lasts.
async fn process_of(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let process: String = first_field(connection, "SELECT pg_backend_pid()").await?;
    process.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// The first field of a statement without a preparation, which a pooler may lose.
async fn first_field(connection: &mut PgConnection, statement: &'static str) -> Result<String, sqlx::Error> {
    raw_sql(statement).fetch_one(connection).await?.try_get_unchecked(0)
}
