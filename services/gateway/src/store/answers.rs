//! Sealed answers for idempotency keys.

use service::store::Tx;
use sql::Failure;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::Store;

/// The lifetime of an answer in microseconds: one day.
pub(crate) const LIFETIME_US: i64 = 24 * 3_600_000_000;

const DELETE_EXPIRED_ANSWERS: &str = r#"
    DELETE FROM answers
    WHERE created_at_us < $1
"#;
const INSERT_ANSWER: &str = r#"
    INSERT INTO answers (organization_id, caller, action, key, fingerprint, salt, sealed, created_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"#;
const SELECT_ANSWER: &str = r#"
    SELECT organization_id, caller, action, key, fingerprint, salt, sealed, created_at_us
    FROM answers
    WHERE organization_id = $1 AND caller = $2 AND action = $3 AND key = $4 AND created_at_us >= $5
"#;

/// A sealed answer.
#[derive(Clone, PartialEq, sql::FromRow)]
pub(crate) struct AnswerRow {
    pub(crate) organization_id: Uuid,
    pub(crate) caller: String,
    /// The id of the operation.
    pub(crate) action: String,
    /// The idempotency key.
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) salt: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    /// Microseconds since the Unix epoch.
    pub(crate) created_at_us: i64,
}

impl Store {
    /// Inserts an answer and deletes the expired ones.
    ///
    /// # Errors
    /// [`Failure::Duplicate`] when the key has an answer.
    pub(crate) async fn insert_answer(&self, answer: &AnswerRow) -> Result<(), Failure> {
        self.delete_expired_answers(answer.created_at_us).await?;
        let mut tx = self.database.of(answer.organization_id).begin().await?;
        insert(&mut tx, answer).await?;
        tx.commit().await
    }

    /// Deletes the expired answers of all organisations.
    pub(super) async fn delete_expired_answers(&self, now_us: i64) -> Result<(), Failure> {
        service::write!(self.database.across(), "gateway.delete_expired_answers", |pool| {
            query(DELETE_EXPIRED_ANSWERS).bind(now_us - LIFETIME_US).execute(pool).await.map(drop)
        })
    }

    /// The answer of a key that was created at or after `since_us`.
    pub(crate) async fn find_answer(
        &self,
        organization: Uuid,
        caller: &str,
        action: &str,
        key: &str,
        since_us: i64,
    ) -> Result<Option<AnswerRow>, Failure> {
        service::write!(self.database.of(organization), "gateway.find_answer", |pool| {
            query_as(SELECT_ANSWER)
                .bind(organization)
                .bind(caller.to_owned())
                .bind(action.to_owned())
                .bind(key.to_owned())
                .bind(since_us)
                .fetch_optional(pool)
                .await
        })
    }
}

/// Inserts an answer in a transaction.
pub(super) async fn insert(tx: &mut Tx, answer: &AnswerRow) -> Result<(), Failure> {
    service::statement!(tx, "gateway.insert_answer", |conn| {
        query(INSERT_ANSWER)
            .bind(answer.organization_id)
            .bind(&answer.caller)
            .bind(&answer.action)
            .bind(&answer.key)
            .bind(&answer.fingerprint)
            .bind(&answer.salt)
            .bind(&answer.sealed)
            .bind(answer.created_at_us)
            .execute(conn)
            .await
            .map(drop)
    })
}
