//! The entries of directories.

use service::store::Tx;
use sql::Failure;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::Store;

const SELECT_VERSION: &str = "SELECT directory_version FROM organizations WHERE id = $1";
const SELECT_ENTRIES: &str = r#"
    SELECT id, kind, parent_id, version, created_at_us, updated_at_us, archived_at_us, body
    FROM entries
    WHERE organization_id = $1
    ORDER BY id
"#;
const UPSERT_ENTRY: &str = r#"
    INSERT INTO entries
        (organization_id, id, kind, parent_id, version, created_at_us, updated_at_us, archived_at_us, body)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (organization_id, id) DO UPDATE SET
        version = excluded.version,
        updated_at_us = excluded.updated_at_us,
        archived_at_us = excluded.archived_at_us,
        body = excluded.body
"#;

const SELECT_BUSY_BODIES: &str = r#"
    SELECT organization_id, id, body
    FROM entries
    WHERE kind = 'busy' AND (organization_id, id) > ($1, $2)
    ORDER BY organization_id, id
    LIMIT $3
"#;
const REPLACE_BODY: &str = r#"
    UPDATE entries
    SET body = $4
    WHERE organization_id = $1 AND id = $2 AND body = $3
"#;

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] =
    [SELECT_VERSION, SELECT_ENTRIES, UPSERT_ENTRY, SELECT_BUSY_BODIES, REPLACE_BODY];

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, sql::FromRow)]
pub(crate) struct EntryRow {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) version: i64,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) archived_at_us: Option<i64>,
    /// The body as JSON.
    pub(crate) body: String,
}

/// The body of an entry.
#[derive(sql::FromRow)]
pub(crate) struct BodyRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) body: String,
}

impl Store {
    /// The bodies of imported calendars after a key.
    pub(crate) async fn busy_bodies(&self, after: (Uuid, Uuid), limit: i64) -> Result<Vec<BodyRow>, Failure> {
        service::read!(self.database.across(), "availability.busy_bodies", |pool| {
            query_as(SELECT_BUSY_BODIES).bind(after.0).bind(after.1).bind(limit).fetch_all(pool).await
        })
    }

    /// Replaces the body of an entry; `false` when it has changed since it was read.
    pub(crate) async fn replace_body(&self, row: &BodyRow, body: &str) -> Result<bool, Failure> {
        service::write!(self.database.of(row.organization_id), "availability.replace_body", |pool| {
            query(REPLACE_BODY)
                .bind(row.organization_id)
                .bind(row.id)
                .bind(&row.body)
                .bind(body)
                .execute(pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
    }

    /// A directory's version; `None` for an unknown organisation.
    pub(crate) async fn directory_version(&self, organization: Uuid) -> Result<Option<i64>, Failure> {
        service::read!(self.database.of(organization), "availability.directory_version", |pool| {
            query_scalar(SELECT_VERSION).bind(organization).fetch_optional(pool).await
        })
    }

    /// A directory's version and all its entries; `None` for an unknown organisation.
    pub(crate) async fn directory(&self, organization: Uuid) -> Result<Option<(i64, Vec<EntryRow>)>, Failure> {
        // The version is read first: newer entries are then read again, older ones never pass for newer.
        let Some(version) = self.directory_version(organization).await? else { return Ok(None) };
        let entries = service::read!(self.database.of(organization), "availability.entries", |pool| {
            query_as(SELECT_ENTRIES).bind(organization).fetch_all(pool).await
        })?;
        Ok(Some((version, entries)))
    }
}

/// Inserts an entry, or replaces its version, times and body.
pub(crate) async fn upsert_entry(tx: &mut Tx, organization: Uuid, entry: &EntryRow) -> Result<(), Failure> {
    service::statement!(tx, "availability.upsert_entry", |conn| {
        query(UPSERT_ENTRY)
            .bind(organization)
            .bind(entry.id)
            .bind(entry.kind.clone())
            .bind(entry.parent_id)
            .bind(entry.version)
            .bind(entry.created_at_us)
            .bind(entry.updated_at_us)
            .bind(entry.archived_at_us)
            .bind(entry.body.clone())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(())
}
