//! API keys.

use domain::id::KeyId;
use sql::Failure;
use sqlx::{QueryBuilder, query, query_as};
use uuid::Uuid;

use super::{
    Store,
    answers::{self, AnswerRow},
};

const INSERT_KEY: &str = r#"
    INSERT INTO keys (id, organization_id, name, hash, scopes, created_at_us, revoked_at_us, role, location_ids, expires_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"#;
const SELECT_KEY_BY_HASH: &str = r#"
    SELECT id, organization_id, name, hash, scopes, created_at_us, revoked_at_us, role, location_ids, expires_at_us
    FROM keys
    WHERE hash = $1
"#;
/// Active keys before revoked ones, of both the newest first.
const SELECT_KEYS: &str = r#"
    SELECT id, organization_id, name, hash, scopes, created_at_us, revoked_at_us, role, location_ids, expires_at_us
    FROM keys
    WHERE organization_id = $1
      AND ((revoked_at_us IS NOT NULL) > $2
           OR ((revoked_at_us IS NOT NULL) = $2 AND id < $3))
    ORDER BY revoked_at_us IS NOT NULL, id DESC
    LIMIT $4
"#;
/// Ends with the present instant and a list of ids.
const SELECT_ACTIVE: &str =
    "SELECT id FROM keys WHERE revoked_at_us IS NULL AND coalesce(expires_at_us, 9223372036854775807) > ";
/// A revoked key keeps its first time of revocation.
const REVOKE_KEY: &str = r#"
    UPDATE keys
    SET revoked_at_us = coalesce(revoked_at_us, $3)
    WHERE organization_id = $1 AND id = $2
    RETURNING id, organization_id, name, hash, scopes, created_at_us, revoked_at_us, role, location_ids, expires_at_us
"#;

/// An API key. Instants are microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, sql::FromRow)]
pub(crate) struct KeyRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) name: String,
    /// SHA-256 of the key.
    pub(crate) hash: Vec<u8>,
    /// The scopes besides those of the role, separated by spaces.
    pub(crate) scopes: String,
    pub(crate) created_at_us: i64,
    pub(crate) revoked_at_us: Option<i64>,
    /// The word of the role.
    pub(crate) role: Option<String>,
    /// The locations to which it is limited, separated by spaces; `None` for all.
    pub(crate) location_ids: Option<String>,
    pub(crate) expires_at_us: Option<i64>,
}

impl KeyRow {
    /// Whether the key has ended by itself.
    pub(crate) fn has_expired(&self, now_us: i64) -> bool {
        self.expires_at_us.is_some_and(|at| at <= now_us)
    }
}

/// A position in the list of keys: after this key of the active or of the revoked ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyCursor {
    pub(crate) revoked: bool,
    pub(crate) id: Uuid,
}

impl KeyCursor {
    /// Before the first key.
    pub(crate) const START: Self = Self { revoked: false, id: Uuid::max() };
}

impl Store {
    /// Inserts a key and the stored answer of its request in one transaction.
    pub(crate) async fn insert_key(&self, row: &KeyRow, answer: Option<&AnswerRow>) -> Result<(), Failure> {
        if answer.is_some() {
            self.delete_expired_answers(row.created_at_us).await?;
        }
        let mut tx = self.database.of(row.organization_id).begin().await?;
        if let Some(answer) = answer {
            answers::insert(&mut tx, answer).await?;
        }
        service::statement!(&mut tx, "gateway.insert_key", |conn| {
            query(INSERT_KEY)
                .bind(row.id)
                .bind(row.organization_id)
                .bind(&row.name)
                .bind(&row.hash)
                .bind(&row.scopes)
                .bind(row.created_at_us)
                .bind(row.revoked_at_us)
                .bind(&row.role)
                .bind(&row.location_ids)
                .bind(row.expires_at_us)
                .execute(conn)
                .await
                .map(drop)
        })?;
        tx.commit().await
    }

    pub(crate) async fn find_key(&self, hash: &[u8]) -> Result<Option<KeyRow>, Failure> {
        service::read!(self.database.across(), "gateway.find_key", |pool| {
            query_as(SELECT_KEY_BY_HASH).bind(hash.to_vec()).fetch_optional(pool).await
        })
    }

    /// The keys among these that are revoked, expired or unknown.
    pub(crate) async fn ended_among(&self, keys: &[KeyId], now_us: i64) -> Result<Vec<KeyId>, Failure> {
        let active: Vec<Uuid> = service::read!(self.database.across(), "gateway.active_keys", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_ACTIVE);
            query.push_bind(now_us).push(" AND id IN (");
            let mut list = query.separated(", ");
            for key in keys {
                list.push_bind(key.uuid());
            }
            query.push(")");
            query.build_query_scalar().persistent(sql::is_kept(keys.len())).fetch_all(pool).await
        })?;
        Ok(keys.iter().copied().filter(|key| !active.contains(&key.uuid())).collect())
    }

    pub(crate) async fn list_keys(
        &self,
        organization: Uuid,
        after: KeyCursor,
        limit: i64,
    ) -> Result<Vec<KeyRow>, Failure> {
        service::read!(self.database.of(organization), "gateway.list_keys", |pool| {
            query_as(SELECT_KEYS)
                .bind(organization)
                .bind(after.revoked)
                .bind(after.id)
                .bind(limit)
                .fetch_all(pool)
                .await
        })
    }

    /// Revokes a key; `None` for an unknown id.
    pub(crate) async fn revoke_key(
        &self,
        organization: Uuid,
        id: Uuid,
        now_us: i64,
    ) -> Result<Option<KeyRow>, Failure> {
        service::write!(self.database.of(organization), "gateway.revoke_key", |pool| {
            query_as(REVOKE_KEY).bind(organization).bind(id).bind(now_us).fetch_optional(pool).await
        })
    }
}
