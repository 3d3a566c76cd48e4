// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.

use sql::Failure;
use uuid::Uuid;

use super::{
    super::{EntryRow, OrganizationRow, Remember, ReplayRow, Write},
    Db, Store,
};

const ORGANIZATIONS: &str = "SELECT * FROM organizations ORDER BY id";
const ORGANIZATION: &str = "SELECT * FROM organizations WHERE id = $1";
const CREATE_ORGANIZATION: &str = "INSERT INTO organizations VALUES ($1, $2, $3, $4, $5, 1) ON CONFLICT DO NOTHING";
const VERSION: &str = "SELECT directory_version FROM organizations WHERE id = $1";
const ENTRIES: &str = "SELECT id, kind, parent_id, version, created_at_us, updated_at_us, archived_at_us, body \
     FROM entries WHERE organization_id = $1 ORDER BY id";
const REPLAY: &str = "SELECT fingerprint, response, revision FROM idempotency \
     WHERE organization_id = $1 AND caller = $2 AND route = $3 AND key = $4";
const NEXT_VERSION: &str =
    "UPDATE organizations SET directory_version = directory_version + 1 WHERE id = $1 AND directory_version = $2";
const WRITE: &str = "INSERT INTO entries VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
     ON CONFLICT (organization_id, id) DO UPDATE SET version = excluded.version, \
     updated_at_us = excluded.updated_at_us, archived_at_us = excluded.archived_at_us, body = excluded.body";
const REMEMBER: &str = "INSERT INTO idempotency VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const FORGET: &str = "DELETE FROM idempotency WHERE created_at_us < $1";
const KEPT_US: i64 = 24 * 3_600_000_000;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 10] =
    [ORGANIZATIONS, ORGANIZATION, CREATE_ORGANIZATION, VERSION, ENTRIES, REPLAY, NEXT_VERSION, WRITE, REMEMBER, FORGET];

impl Store {
    pub(crate) async fn organizations(&self) -> Result<Vec<OrganizationRow>, Failure> {
        Ok(sqlx::query_as(ORGANIZATIONS).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn organization(&self, id: Uuid) -> Result<Option<OrganizationRow>, Failure> {
        Ok(sqlx::query_as(ORGANIZATION).bind(id).fetch_optional(self.reader()).await?)
    }

    /// Makes an organisation; where one with this id is there, it stays as it is.
    pub(crate) async fn create_organization(
        &self,
        row: &OrganizationRow,
        remember: Option<&Remember>,
        now_us: i64,
    ) -> Result<(), Failure> {
        let mut tx = self.begin().await?;
        let query = sqlx::query::<Db>(CREATE_ORGANIZATION).bind(row.id).bind(&row.name).bind(&row.default_language);
        query.bind(&row.country).bind(row.created_at_us).execute(&mut *tx).await?;
        keep(&mut tx, remember, now_us).await?;
        Ok(tx.commit().await?)
    }

    /// All entries of an organisation, and the version of the directory that they are; `None` for an unknown one.
    pub(crate) async fn entries(&self, organization: Uuid) -> Result<Option<(i64, Vec<EntryRow>)>, Failure> {
        // The version is read first: entries may be newer than it says, and are then read again.
        let version: Option<i64> = sqlx::query_scalar(VERSION).bind(organization).fetch_optional(self.reader()).await?;
        let Some(version) = version else { return Ok(None) };
        let entries = sqlx::query_as(ENTRIES).bind(organization).fetch_all(self.reader()).await?;
        Ok(Some((version, entries)))
    }

    pub(crate) async fn replay(
        &self,
        organization: Uuid,
        caller: &str,
        route: &str,
        key: &str,
    ) -> Result<Option<ReplayRow>, Failure> {
        let query = sqlx::query_as(REPLAY).bind(organization).bind(caller).bind(route).bind(key);
        Ok(query.fetch_optional(self.reader()).await?)
    }

    /// Writes an entry; `false` where the directory has changed since the version that it was checked against.
    pub(crate) async fn write(&self, write: &Write) -> Result<bool, Failure> {
        let mut tx = self.begin().await?;
        let query = sqlx::query::<Db>(NEXT_VERSION).bind(write.organization).bind(write.from_version);
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let entry = &write.entry;
        sqlx::query::<Db>(WRITE)
            .bind(write.organization)
            .bind(entry.id)
            .bind(&entry.kind)
            .bind(entry.parent_id)
            .bind(entry.version)
            .bind(entry.created_at_us)
            .bind(entry.updated_at_us)
            .bind(entry.archived_at_us)
            .bind(&entry.body)
            .execute(&mut *tx)
            .await?;
        keep(&mut tx, write.remember.as_ref(), write.now_us).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Keeps the answer for an idempotency key, in the transaction of the write itself.
async fn keep(
    tx: &mut sqlx::Transaction<'static, Db>,
    remember: Option<&Remember>,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    let Some(remember) = remember else { return Ok(()) };
    sqlx::query::<Db>(FORGET).bind(now_us - KEPT_US).execute(&mut **tx).await?;
    let query = sqlx::query::<Db>(REMEMBER).bind(remember.organization).bind(&remember.caller).bind(remember.route);
    let query = query.bind(&remember.key).bind(&remember.fingerprint).bind(&remember.response);
    query.bind(&remember.revision).bind(now_us).execute(&mut **tx).await?;
    Ok(())
}
