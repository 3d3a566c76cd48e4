//! Manage links, and the secrets that the installation keeps.

use sql::Failure;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::Store;

/// The appointment of a manage link.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct LinkRow {
    pub(crate) organization_id: Uuid,
    pub(crate) appointment_id: Uuid,
    pub(crate) expires_at_us: i64,
}

const SELECT_LINK: &str =
    "SELECT organization_id, appointment_id, expires_at_us FROM manage_links WHERE token_hash = $1";
const INSERT_SECRET: &str = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const SELECT_SECRET: &str = "SELECT value FROM secrets WHERE name = $1";

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_LINK, INSERT_SECRET, SELECT_SECRET];

impl Store {
    pub(crate) async fn manage_link(&self, token_hash: &[u8]) -> Result<Option<LinkRow>, Failure> {
        service::read!(self.database, "booking.manage_link", |pool| {
            query_as(SELECT_LINK).bind(token_hash.to_vec()).fetch_optional(pool).await
        })
    }

    /// The secret with this name; `new` is stored where there is none.
    pub(crate) async fn secret(&self, name: &str, new: &[u8]) -> Result<Vec<u8>, Failure> {
        service::write!(self.database, "booking.insert_secret", |pool| {
            query(INSERT_SECRET).bind(name).bind(new.to_vec()).execute(pool).await.map(|done| done.rows_affected())
        })?;
        service::write!(self.database, "booking.secret", |pool| {
            query_scalar(SELECT_SECRET).bind(name).fetch_one(pool).await
        })
    }
}
