//! Messages: read, listed and retried. Planning writes them in `planned_messages.rs`, sending in `sends.rs`.

use std::{collections::HashMap, fmt};

use service::{read, statement, store::Tx};
use sql::Failure;
use sql::FromRow;
use sqlx::{QueryBuilder, query, query_as, query_scalar};
use uuid::Uuid;

use super::{Store, batch::push_in};

/// The columns of [`MessageRow`].
pub(super) const COLUMNS: &str = "organization_id, id, subject_kind, subject_id, subject_version, appointment_id, patient_id, rule_id, trigger, channel, \
     status, reason, due_at_us, starts_at_us, location_id, time_zone, fence, tries, attempts, provider, recipient, \
     subject, body, segments, sent_at_us, key_attempt, held, next_provider, fallback_for, repeated, changed";
const SELECT_MESSAGE: &str = r#"
    SELECT organization_id, id, subject_kind, subject_id, subject_version, appointment_id, patient_id, rule_id, trigger, channel,
        status, reason, due_at_us, starts_at_us, location_id, time_zone, fence, tries, attempts, provider, recipient,
        subject, body, segments, sent_at_us, key_attempt, held, next_provider, fallback_for, repeated, changed
    FROM messages
    WHERE organization_id = $1 AND id = $2
"#;
const RETRY_MESSAGE: &str = r#"
    UPDATE messages
    SET status = 'scheduled', reason = '', due_at_us = $4, wake_at_us = $4, fence = fence + 1, tries = 0,
        held = false, repeated = false, next_provider = '', provider_rank = 0, updated_at_us = $4
    WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status IN ('failed', 'undelivered', 'unknown')
"#;
const COUNT_SENT_SINCE: &str = r#"
    SELECT count(*)
    FROM messages
    WHERE organization_id = $1 AND recipient = $2 AND sent_at_us >= $3 AND patient_id = $4 AND trigger <> 'reply'
"#;

/// Every statement of this file whose text is fixed, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [SELECT_MESSAGE, RETRY_MESSAGE, COUNT_SENT_SINCE];

/// A message. Its `Debug` shows no recipient and no text.
#[derive(Clone, PartialEq, FromRow)]
pub(crate) struct MessageRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) subject_kind: String,
    pub(crate) subject_id: Uuid,
    /// The subject's version at which the content became true; unique for a reply.
    pub(crate) subject_version: i64,
    /// The appointment through which the patient is reached; `None` for an offer.
    pub(crate) appointment_id: Option<Uuid>,
    pub(crate) patient_id: Uuid,
    pub(crate) rule_id: Uuid,
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) due_at_us: i64,
    pub(crate) starts_at_us: i64,
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
    pub(crate) fence: i64,
    pub(crate) tries: i32,
    pub(crate) attempts: i32,
    pub(crate) provider: String,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// Segments as carriers count them; 0 for e-mail and before the send.
    pub(crate) segments: i32,
    pub(crate) sent_at_us: Option<i64>,
    /// The attempt whose name was the key of the last one.
    pub(crate) key_attempt: i32,
    /// Whether the last provider may hold the message although it did not accept it.
    pub(crate) held: bool,
    /// The provider of the next attempt; empty for the first of the channel.
    pub(crate) next_provider: String,
    /// The message for which this one is the fallback.
    pub(crate) fallback_for: Option<Uuid>,
    /// Whether it was sent again after its outcome was unknown.
    pub(crate) repeated: bool,
    /// The changed details that it names, a letter each.
    pub(crate) changed: String,
}

impl fmt::Debug for MessageRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} {} {} {}, fence {})", self.id, self.trigger, self.channel, self.status, self.fence)
    }
}

impl MessageRow {
    /// Whether the outcome of its last attempt is unknown.
    pub(crate) fn is_unknown(&self) -> bool {
        self.status == "unknown"
    }
}

/// Which messages a list holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct MessageFilter {
    pub(crate) appointment: Option<Uuid>,
    pub(crate) statuses: Vec<String>,
    /// Only messages after this due time and id in the order of the list.
    pub(crate) after: Option<(i64, Uuid)>,
    pub(crate) limit: i64,
}

impl Store {
    /// One message.
    pub(crate) async fn message(&self, organization: Uuid, id: Uuid) -> Result<Option<MessageRow>, Failure> {
        read!(self.database.of(organization), "reminder.message", |pool| query_as(SELECT_MESSAGE)
            .bind(organization)
            .bind(id)
            .fetch_optional(pool)
            .await)
    }

    /// Messages, the latest due first.
    pub(crate) async fn messages(
        &self,
        organization: Uuid,
        filter: &MessageFilter,
    ) -> Result<Vec<MessageRow>, Failure> {
        read!(self.database.of(organization), "reminder.messages", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new("SELECT ");
            query.push(COLUMNS).push(" FROM messages WHERE organization_id = ").push_bind(organization);
            if let Some(appointment) = filter.appointment {
                // An offer has no appointment; the public interface lists its messages by its own id.
                query.push(" AND (appointment_id = ").push_bind(appointment);
                query.push(" OR (subject_id = ").push_bind(appointment).push(" AND subject_kind = 'offer'))");
            }
            push_in(&mut query, "status", &filter.statuses);
            if let Some((due_at_us, id)) = filter.after {
                query.push(" AND (due_at_us, id) < (").push_bind(due_at_us).push(", ").push_bind(id).push(")");
            }
            query.push(" ORDER BY due_at_us DESC, id DESC LIMIT ").push_bind(filter.limit);
            query.build_query_as().fetch_all(pool).await
        })
    }

    /// The number of messages that were sent to each of these recipients after an instant, without replies.
    pub(crate) async fn count_sent_to(
        &self,
        recipients: &[(Uuid, &str)],
        since_us: i64,
    ) -> Result<HashMap<(Uuid, String), i64>, Failure> {
        let rows: Vec<(Uuid, String, i64)> =
            read!(self.database.across(), "reminder.count_sent_to", |pool: Engine| {
                let mut query = QueryBuilder::<Engine>::new(
                    "SELECT organization_id, recipient, count(*) FROM messages \
                 WHERE (organization_id, recipient) IN (",
                );
                query.push_values(recipients, |mut row, (organization, to)| {
                    row.push_bind(*organization).push_bind(*to);
                });
                query.push(") AND trigger <> 'reply' AND sent_at_us > ").push_bind(since_us);
                query.push(" GROUP BY organization_id, recipient");
                query.build_query_as().persistent(sql::is_kept(recipients.len())).fetch_all(pool).await
            })?;
        Ok(rows.into_iter().map(|(organization, to, count)| ((organization, to), count)).collect())
    }

    /// The number of messages, without replies, that a message's patient was sent at an address since an instant.
    pub(crate) async fn count_sent_since(
        &self,
        message: &MessageRow,
        recipient: &str,
        since_us: i64,
    ) -> Result<i64, Failure> {
        read!(self.database.of(message.organization_id), "reminder.count_sent_since", |pool| query_scalar(
            COUNT_SENT_SINCE
        )
        .bind(message.organization_id)
        .bind(recipient)
        .bind(since_us)
        .bind(message.patient_id)
        .fetch_one(pool)
        .await)
    }
}

/// Schedules a message that failed or is unknown for now; `false` when it has changed since it was read.
pub(crate) async fn retry_message(tx: &mut Tx, message: &MessageRow, now_us: i64) -> Result<bool, Failure> {
    let retried = statement!(tx, "reminder.retry_message", |conn| query(RETRY_MESSAGE)
        .bind(message.organization_id)
        .bind(message.id)
        .bind(message.fence)
        .bind(now_us)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(retried == 1)
}
