// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Store`.

use sql::Failure;
use sqlx::{QueryBuilder, Transaction};
use uuid::Uuid;

use super::{
    super::{AnswerRow, AuditRow, KeyPlace, KeyRow},
    Db, Store,
};
use crate::calendar_link::Subject;

const ADD_KEY: &str = "INSERT INTO keys VALUES ($1, $2, $3, $4, $5, $6, $7)";
const KEY_BY_HASH: &str = "SELECT * FROM keys WHERE hash = $1";
/// Those in use first, of either the newest first.
const KEYS: &str = "SELECT * FROM keys WHERE organization_id = $1 \
     AND ((revoked_at_us IS NOT NULL) > $2 OR ((revoked_at_us IS NOT NULL) = $2 AND id < $3)) \
     ORDER BY revoked_at_us IS NOT NULL, id DESC LIMIT $4";
const FORGET_ANSWERS: &str = "DELETE FROM answers WHERE created_at_us < $1";
const KEEP_ANSWER: &str = "INSERT INTO answers \
     (organization_id, caller, action, key, fingerprint, salt, sealed, created_at_us) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const ANSWER: &str = "SELECT organization_id, caller, action, key, fingerprint, salt, sealed, created_at_us FROM answers \
     WHERE organization_id = $1 AND caller = $2 AND action = $3 AND key = $4 AND created_at_us >= $5";
const REVOKE_KEY: &str = "UPDATE keys SET revoked_at_us = coalesce(revoked_at_us, $3) \
     WHERE organization_id = $1 AND id = $2 RETURNING *";
/// A link that was taken back is not given again.
const OPEN_CALENDAR: &str = "INSERT INTO calendars VALUES ($1, $2, $3, 1, true) \
     ON CONFLICT (organization_id, kind, subject) DO UPDATE SET live = true, \
     generation = calendars.generation + CASE WHEN calendars.live THEN 0 ELSE 1 END RETURNING generation";
const CLOSE_CALENDAR: &str =
    "UPDATE calendars SET live = false WHERE organization_id = $1 AND kind = $2 AND subject = $3 AND live";
const CALENDAR: &str =
    "SELECT generation FROM calendars WHERE organization_id = $1 AND kind = $2 AND subject = $3 AND live";
const KEEP_SECRET: &str = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const SECRET: &str = "SELECT value FROM secrets WHERE name = $1";
const ADD_AUDITS: &str = "INSERT INTO audit (organization_id, id, at_us, caller, action, target, patient_id) ";
const AUDIT: &str = "SELECT * FROM audit WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
const AUDIT_OF_PATIENT: &str =
    "SELECT * FROM audit WHERE organization_id = $1 AND id < $2 AND patient_id = $4 ORDER BY id DESC LIMIT $3";

impl Store {
    /// Together with the answer that is kept of it, or not at all.
    pub(crate) async fn add_key(&self, row: &KeyRow, answer: Option<&AnswerRow>) -> Result<(), Failure> {
        let mut work = self.begin().await?;
        if let Some(answer) = answer {
            keep(&mut work, answer).await?;
        }
        let query = sqlx::query(ADD_KEY).bind(row.id).bind(row.organization_id).bind(&row.name).bind(&row.hash);
        query.bind(&row.scopes).bind(row.created_at_us).bind(row.revoked_at_us).execute(&mut *work).await?;
        Ok(work.commit().await?)
    }

    pub(crate) async fn keep_answer(&self, answer: &AnswerRow) -> Result<(), Failure> {
        let mut work = self.begin().await?;
        keep(&mut work, answer).await?;
        Ok(work.commit().await?)
    }

    pub(crate) async fn answer(
        &self,
        organization: Uuid,
        caller: &str,
        action: &str,
        key: &str,
        since_us: i64,
    ) -> Result<Option<AnswerRow>, Failure> {
        let query = sqlx::query_as(ANSWER).bind(organization).bind(caller.to_owned()).bind(action.to_owned());
        Ok(query.bind(key.to_owned()).bind(since_us).fetch_optional(self.writer()).await?)
    }

    pub(crate) async fn key_by_hash(&self, hash: &[u8]) -> Result<Option<KeyRow>, Failure> {
        Ok(sqlx::query_as(KEY_BY_HASH).bind(hash.to_vec()).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn keys(&self, organization: Uuid, after: KeyPlace, limit: i64) -> Result<Vec<KeyRow>, Failure> {
        let query = sqlx::query_as(KEYS).bind(organization).bind(after.revoked).bind(after.id).bind(limit);
        Ok(query.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn revoke_key(
        &self,
        organization: Uuid,
        id: Uuid,
        now_us: i64,
    ) -> Result<Option<KeyRow>, Failure> {
        let query = sqlx::query_as(REVOKE_KEY).bind(organization).bind(id).bind(now_us);
        Ok(query.fetch_optional(self.writer()).await?)
    }

    pub(crate) async fn open_calendar(&self, subject: &Subject) -> Result<i32, Failure> {
        let query = sqlx::query_scalar(OPEN_CALENDAR).bind(subject.organization.uuid()).bind(subject.kind.number());
        Ok(query.bind(subject.id).fetch_one(self.writer()).await?)
    }

    pub(crate) async fn close_calendar(&self, subject: &Subject) -> Result<bool, Failure> {
        let query = sqlx::query(CLOSE_CALENDAR).bind(subject.organization.uuid()).bind(subject.kind.number());
        Ok(query.bind(subject.id).execute(self.writer()).await?.rows_affected() > 0)
    }

    pub(crate) async fn calendar(&self, subject: &Subject) -> Result<Option<i32>, Failure> {
        let query = sqlx::query_scalar(CALENDAR).bind(subject.organization.uuid()).bind(subject.kind.number());
        Ok(query.bind(subject.id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn secret(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, Failure> {
        sqlx::query(KEEP_SECRET).bind(name).bind(fresh.to_vec()).execute(self.writer()).await?;
        Ok(sqlx::query_scalar(SECRET).bind(name).fetch_one(self.writer()).await?)
    }

    /// In one statement, so that they are kept together or not at all.
    pub(crate) async fn add_audits(&self, rows: &[AuditRow]) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut query = QueryBuilder::<Db>::new(ADD_AUDITS);
        query.push_values(rows, |mut line, row| {
            line.push_bind(row.organization_id).push_bind(row.id).push_bind(row.at_us).push_bind(&row.caller);
            line.push_bind(&row.action).push_bind(&row.target).push_bind(row.patient_id);
        });
        query.build().persistent(sql::is_kept(rows.len())).execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn audit(
        &self,
        organization: Uuid,
        patient: Option<Uuid>,
        before: Uuid,
        limit: i64,
    ) -> Result<Vec<AuditRow>, Failure> {
        let text = if patient.is_some() { AUDIT_OF_PATIENT } else { AUDIT };
        let query = sqlx::query_as(text).bind(organization).bind(before).bind(limit);
        let query = match patient {
            Some(patient) => query.bind(patient),
            None => query,
        };
        Ok(query.fetch_all(self.reader()).await?)
    }
}

async fn keep(work: &mut Transaction<'_, Db>, answer: &AnswerRow) -> Result<(), Failure> {
    sqlx::query(FORGET_ANSWERS).bind(answer.forgotten_before_us()).execute(&mut **work).await?;
    let query = sqlx::query(KEEP_ANSWER).bind(answer.organization_id).bind(&answer.caller).bind(&answer.action);
    let query = query.bind(&answer.key).bind(&answer.fingerprint).bind(&answer.salt).bind(&answer.sealed);
    query.bind(answer.created_at_us).execute(&mut **work).await?;
    Ok(())
}
