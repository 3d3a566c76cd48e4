//! Attempts to send a message.

use service::{read, statement, store::Tx};
use sql::Failure;
use sql::FromRow;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    Store,
    batch::with_given,
    sends::{NewSend, SendResult},
};

const INSERT_ATTEMPTS: &str = r#"
    INSERT INTO attempts
        (organization_id, message_id, number, at_us, outcome, provider_message_id, error_code, detail, provider)
"#;
const RECORD_ATTEMPTS: &str = r#"
    UPDATE attempts
    SET outcome = g_outcome, provider_message_id = g_provider_message, error_code = g_code, detail = g_detail,
        parts = g_parts
    FROM given
    WHERE organization_id = g_organization AND message_id = g_id AND number = g_number
"#;

/// An attempt.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AttemptRow {
    pub(crate) message_id: Uuid,
    pub(crate) at_us: i64,
    pub(crate) outcome: String,
    pub(crate) provider_message_id: String,
    pub(crate) error_code: String,
    pub(crate) detail: String,
    /// Empty for an attempt from before providers were stored.
    pub(crate) provider: String,
}

impl Store {
    /// The attempts of these messages, the oldest first.
    pub(crate) async fn attempts(&self, organization: Uuid, messages: &[Uuid]) -> Result<Vec<AttemptRow>, Failure> {
        if messages.is_empty() {
            return Ok(vec![]);
        }
        read!(self.database.of(organization), "reminder.attempts", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(
                "SELECT message_id, at_us, outcome, provider_message_id, error_code, detail, provider \
                 FROM attempts WHERE organization_id = ",
            );
            query.push_bind(organization).push(" AND message_id IN (");
            let mut list = query.separated(", ");
            for message in messages {
                list.push_bind(*message);
            }
            query.push(") ORDER BY message_id, number");
            query.build_query_as().fetch_all(pool).await
        })
    }
}

/// Inserts attempts whose outcome is unknown until it is recorded.
pub(crate) async fn insert_attempts(tx: &mut Tx, sends: &[(&NewSend, i32)]) -> Result<(), Failure> {
    if sends.is_empty() {
        return Ok(());
    }
    statement!(tx, "reminder.insert_attempts", |conn: Engine| {
        let mut query = QueryBuilder::<Engine>::new(INSERT_ATTEMPTS);
        query.push_values(sends, |mut row, (send, attempt)| {
            row.push_bind(send.message.organization_id).push_bind(send.message.id).push_bind(*attempt);
            row.push_bind(send.now_us).push("'unknown', '', '', ''").push_bind(send.provider);
        });
        query.build().persistent(sql::is_kept(sends.len())).execute(conn).await.map(drop)
    })
}

/// Records the outcomes of attempts.
pub(crate) async fn record_attempts(tx: &mut Tx, results: &[SendResult]) -> Result<(), Failure> {
    let columns = ["organization", "id", "number", "outcome", "provider_message", "code", "detail", "parts"];
    statement!(tx, "reminder.record_attempts", |conn: Engine| {
        let mut query = with_given::<Engine, _>(&columns, results, |mut row, result| {
            row.push_bind(result.message.organization_id).push_bind(result.message.id).push_bind(result.attempt);
            row.push_bind(result.outcome).push_bind(&result.provider_message_id).push_bind(&result.error_code);
            row.push_bind(result.detail).push_bind(result.parts);
        });
        query.push(RECORD_ATTEMPTS);
        query.build().persistent(sql::is_kept(results.len())).execute(conn).await.map(drop)
    })
}
