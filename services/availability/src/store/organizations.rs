//! Organisations, each with the version of its directory.

use service::store::Tx;
use sql::Failure;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::Store;

const SELECT_ORGANIZATIONS: &str = r#"
    SELECT id, name, default_language, country, created_at_us, directory_version
    FROM organizations
    ORDER BY id
"#;
const SELECT_ORGANIZATION: &str = r#"
    SELECT id, name, default_language, country, created_at_us, directory_version
    FROM organizations
    WHERE id = $1
"#;
const SELECT_DEFAULT_ORGANIZATION: &str = r#"
    SELECT id, name, default_language, country, created_at_us, directory_version
    FROM organizations
    WHERE is_default
"#;
const INSERT_DEFAULT_ORGANIZATION: &str = r#"
    INSERT INTO organizations (id, name, default_language, country, created_at_us, directory_version, is_default)
    VALUES ($1, $2, $3, $4, $5, 1, true)
    ON CONFLICT DO NOTHING
"#;
const INSERT_ORGANIZATION: &str = r#"
    INSERT INTO organizations (id, name, default_language, country, created_at_us, directory_version)
    VALUES ($1, $2, $3, $4, $5, 1)
    ON CONFLICT DO NOTHING
"#;
const ADVANCE_VERSION: &str = r#"
    UPDATE organizations
    SET directory_version = directory_version + 1
    WHERE id = $1 AND directory_version = $2
"#;

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 6] = [
    SELECT_ORGANIZATIONS,
    SELECT_ORGANIZATION,
    SELECT_DEFAULT_ORGANIZATION,
    INSERT_DEFAULT_ORGANIZATION,
    INSERT_ORGANIZATION,
    ADVANCE_VERSION,
];

/// An organisation.
#[derive(Debug, Clone, PartialEq, sql::FromRow)]
pub(crate) struct OrganizationRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) default_language: String,
    pub(crate) country: String,
    pub(crate) created_at_us: i64,
    pub(crate) directory_version: i64,
}

impl Store {
    pub(crate) async fn organizations(&self) -> Result<Vec<OrganizationRow>, Failure> {
        service::read!(self.database.across(), "availability.organizations", |pool| {
            query_as(SELECT_ORGANIZATIONS).fetch_all(pool).await
        })
    }

    pub(crate) async fn organization(&self, id: Uuid) -> Result<Option<OrganizationRow>, Failure> {
        service::read!(self.database.of(id), "availability.organization", |pool| {
            query_as(SELECT_ORGANIZATION).bind(id).fetch_optional(pool).await
        })
    }

    /// The default organisation; `new` becomes it if there is none.
    pub(crate) async fn default_organization(&self, new: &OrganizationRow) -> Result<OrganizationRow, Failure> {
        service::write!(self.database.of(new.id), "availability.insert_default_organization", |pool| {
            query(INSERT_DEFAULT_ORGANIZATION)
                .bind(new.id)
                .bind(&new.name)
                .bind(&new.default_language)
                .bind(&new.country)
                .bind(new.created_at_us)
                .execute(pool)
                .await
                .map(drop)
        })?;
        service::write!(self.database.across(), "availability.default_organization", |pool| {
            query_as(SELECT_DEFAULT_ORGANIZATION).fetch_one(pool).await
        })
    }
}

/// Inserts an organisation with an empty directory at version 1; an existing one with its id stays as it is.
pub(crate) async fn insert_organization(tx: &mut Tx, row: &OrganizationRow) -> Result<(), Failure> {
    service::statement!(tx, "availability.insert_organization", |conn| {
        query(INSERT_ORGANIZATION)
            .bind(row.id)
            .bind(row.name.clone())
            .bind(row.default_language.clone())
            .bind(row.country.clone())
            .bind(row.created_at_us)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(())
}

/// Advances the version of a directory by one; `false` where it is no longer `from`.
pub(crate) async fn advance_version(tx: &mut Tx, organization: Uuid, from: i64) -> Result<bool, Failure> {
    let advanced = service::statement!(tx, "availability.advance_version", |conn| {
        query(ADVANCE_VERSION).bind(organization).bind(from).execute(conn).await.map(|done| done.rows_affected())
    })?;
    Ok(advanced > 0)
}
