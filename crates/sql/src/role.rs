//! The role of PostgreSQL as which a service runs.

use std::fmt;

use sqlx::{Connection, PgConnection, query_as};

use crate::Target;

const SELECT_UNBOUND: &str = r#"
    SELECT rolname::text, rolsuper
    FROM pg_roles
    WHERE rolname = current_user AND (rolsuper OR rolbypassrls)
"#;

/// A role that no policy binds, so that PostgreSQL does not keep organisations apart.
#[derive(Debug, Clone, PartialEq, Eq, sqlx_macros::FromRow)]
pub struct UnboundRole {
    /// Its name.
    #[sqlx(rename = "rolname")]
    pub name: String,
    /// Whether it is a superuser; else it has BYPASSRLS.
    #[sqlx(rename = "rolsuper")]
    pub is_superuser: bool,
}

impl fmt::Display for UnboundRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.is_superuser { "is a superuser" } else { "has BYPASSRLS" };
        write!(f, "the role {} of PostgreSQL {why}", self.name)
    }
}

/// The role of a database's URL where no policy binds it; `None` for any other role, and for SQLite.
///
/// # Errors
/// When the database cannot be reached.
pub async fn unbound_role(target: &Target) -> Result<Option<UnboundRole>, sqlx::Error> {
    let Target::Postgres(url) = target else { return Ok(None) };
    let mut connection = PgConnection::connect(url).await?;
    let found = query_as(SELECT_UNBOUND).fetch_optional(&mut connection).await?;
    connection.close().await?;
    Ok(found)
}
