//! The builds of Meridian that use a PostgreSQL database at this moment.

use sqlx::{Connection, PgConnection, query_as};

use crate::{Target, open::APPLICATION};

const SELECT_APPLICATIONS: &str = r#"
    SELECT substr(application_name, length($1) + 1), count(*)
    FROM pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, $1) AND pid <> pg_backend_pid()
    GROUP BY 1
    ORDER BY 1
"#;

/// Service and version of the processes with connections to a database, `booking/0.1.0`, and the number of the connections.
/// Nothing for SQLite, whose files one process uses.
///
/// # Errors
/// When the database cannot be reached.
pub async fn connected(target: &Target) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let Target::Postgres(url) = target else { return Ok(vec![]) };
    let mut connection = PgConnection::connect(url).await?;
    let found = query_as(SELECT_APPLICATIONS).bind(APPLICATION).fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(found)
}
