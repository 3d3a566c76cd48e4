//! Messages that patients wrote, and the conversation that they belong to.

use service::{read, statement, store::Tx, write};
use sql::Failure;
use sql::FromRow;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::Store;

const SELECT_ORGANIZATION: &str = r#"
    SELECT organization_id
    FROM messages
    WHERE recipient = $1 AND channel = 'sms' AND sent_at_us IS NOT NULL
    ORDER BY sent_at_us DESC
    LIMIT 1
"#;
const SELECT_SENT_MESSAGES: &str = r#"
    SELECT m.id, m.rule_id, coalesce(m.appointment_id, m.subject_id) AS appointment_id, m.patient_id, m.trigger,
        m.sent_at_us, m.starts_at_us, m.location_id, m.time_zone, a.status,
        coalesce(a.starts_at_us, m.starts_at_us) AS current_starts_at_us,
        coalesce(a.location_id, m.location_id) AS current_location_id
    FROM messages m
    LEFT JOIN appointments a ON a.organization_id = m.organization_id AND a.id = m.appointment_id
    WHERE m.organization_id = $1 AND m.recipient = $2 AND m.sent_at_us > $3 AND m.trigger <> 'reply'
    ORDER BY m.sent_at_us DESC, m.id DESC
    LIMIT $4
"#;
const COUNT_QUESTIONS: &str = r#"
    SELECT count(*)
    FROM inbound
    WHERE organization_id = $1 AND sender = $2 AND received_at_us > $3 AND outcome = 'asked'
"#;
// Until it is handled, a person must read it.
const INSERT_INBOUND: &str = r#"
    INSERT INTO inbound
        (organization_id, id, provider, provider_message_id, received_at_us, sender, body, meaning, outcome, attention)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 'not_processed')
    ON CONFLICT (organization_id, provider, provider_message_id) DO NOTHING
"#;
const FINISH_INBOUND: &str = r#"
    UPDATE inbound
    SET outcome = $3, attention = $4, message_id = $5, appointment_id = $6, patient_id = $7, score = $8
    WHERE organization_id = $1 AND id = $2
"#;
// A reply belongs to the message that it answers; a number of its own stands for the version, so that every reply has
// another key.
const INSERT_REPLY: &str = r#"
    INSERT INTO messages
        (organization_id, id, subject_kind, subject_id, subject_version, appointment_id, patient_id, rule_id, trigger,
         channel, status, reason, base_at_us, due_at_us, wake_at_us, starts_at_us, location_id, time_zone, recipient,
         body, created_at_us, updated_at_us)
    SELECT m.organization_id, $3, m.subject_kind, m.subject_id, $7, m.appointment_id, m.patient_id, m.rule_id, 'reply',
        m.channel, 'scheduled', '', $4, $4, $4, m.starts_at_us, m.location_id, m.time_zone, $5, $6, $4, $4
    FROM messages m
    WHERE m.organization_id = $1 AND m.id = $2
    ON CONFLICT DO NOTHING
"#;
const SELECT_INBOX: &str = r#"
    SELECT id, received_at_us, sender, body, meaning, message_id, appointment_id, patient_id, score, attention,
        read_at_us, read_by
    FROM inbound
    WHERE organization_id = $1
        AND attention <> ''
        AND (received_at_us, id) < ($2, $3)
        AND (read_at_us IS NULL OR NOT $4)
    ORDER BY received_at_us DESC, id DESC
    LIMIT $5
"#;
const COUNT_UNREAD: &str = r#"
    SELECT count(*)
    FROM inbound
    WHERE organization_id = $1 AND attention <> '' AND read_at_us IS NULL
"#;
const COUNT_UNREAD_ANYWHERE: &str = r#"
    SELECT count(*), min(received_at_us)
    FROM inbound
    WHERE attention <> '' AND read_at_us IS NULL
"#;
const MARK_READ: &str = r#"
    UPDATE inbound
    SET read_by = CASE WHEN read_at_us IS NULL THEN $4 ELSE read_by END, read_at_us = coalesce(read_at_us, $3)
    WHERE organization_id = $1 AND id = $2 AND attention <> ''
    RETURNING id, received_at_us, sender, body, meaning, message_id, appointment_id, patient_id, score, attention,
        read_at_us, read_by
"#;
const INSERT_UNSUBSCRIBED: &str = r#"
    INSERT INTO unsubscribed (organization_id, patient_id, unsubscribed_at_us)
    VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
"#;
const COUNT_UNSUBSCRIBED: &str = "SELECT count(*) FROM unsubscribed WHERE organization_id = $1 AND patient_id = $2";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 12] = [
    SELECT_ORGANIZATION,
    SELECT_SENT_MESSAGES,
    COUNT_QUESTIONS,
    INSERT_INBOUND,
    FINISH_INBOUND,
    INSERT_REPLY,
    SELECT_INBOX,
    COUNT_UNREAD,
    COUNT_UNREAD_ANYWHERE,
    MARK_READ,
    INSERT_UNSUBSCRIBED,
    COUNT_UNSUBSCRIBED,
];

/// A message that was sent to a number, and its appointment now.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SentMessageRow {
    pub(crate) id: Uuid,
    pub(crate) rule_id: Uuid,
    /// The appointment, or the offer.
    pub(crate) appointment_id: Uuid,
    pub(crate) patient_id: Uuid,
    pub(crate) trigger: String,
    pub(crate) sent_at_us: i64,
    pub(crate) starts_at_us: i64,
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
    /// The appointment's status; `None` for an offer.
    pub(crate) status: Option<String>,
    pub(crate) current_starts_at_us: i64,
    pub(crate) current_location_id: Uuid,
}

/// A message that a patient wrote. Without `Debug`: it holds personal data.
#[derive(Clone, FromRow)]
pub(crate) struct InboundRow {
    pub(crate) id: Uuid,
    pub(crate) received_at_us: i64,
    pub(crate) sender: String,
    pub(crate) body: String,
    pub(crate) meaning: String,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) appointment_id: Option<Uuid>,
    pub(crate) patient_id: Option<Uuid>,
    pub(crate) score: Option<i16>,
    pub(crate) attention: String,
    pub(crate) read_at_us: Option<i64>,
    pub(crate) read_by: String,
}

/// An inbound message to insert. Without `Debug`: it holds personal data.
pub(crate) struct NewInboundRow<'a> {
    pub(crate) organization: Uuid,
    pub(crate) id: Uuid,
    pub(crate) provider: &'a str,
    /// The provider's id, else ours.
    pub(crate) provider_message_id: &'a str,
    pub(crate) received_at_us: i64,
    pub(crate) sender: &'a str,
    pub(crate) body: &'a str,
    pub(crate) meaning: &'a str,
}

/// The outcome of an inbound message.
pub(crate) struct InboundOutcome<'a> {
    pub(crate) outcome: &'a str,
    /// Why a person must read it; empty when nobody must.
    pub(crate) attention: &'a str,
    /// The message that it answers.
    pub(crate) message: Option<Uuid>,
    pub(crate) appointment: Option<Uuid>,
    pub(crate) patient: Option<Uuid>,
    pub(crate) score: Option<i16>,
}

/// A reply to an inbound message. Without `Debug`: it holds personal data.
pub(crate) struct NewReply<'a> {
    pub(crate) id: Uuid,
    /// The message that the patient answered.
    pub(crate) answers: Uuid,
    pub(crate) recipient: &'a str,
    pub(crate) body: &'a str,
}

impl Store {
    /// The organisation that last sent a text message to a number.
    pub(crate) async fn organization_of(&self, number: &str) -> Result<Option<Uuid>, Failure> {
        read!(self.database.across(), "reminder.organization_of", |pool| query_scalar(SELECT_ORGANIZATION)
            .bind(number)
            .fetch_optional(pool)
            .await)
    }

    /// The messages to a number since an instant, the latest first.
    pub(crate) async fn sent_messages(
        &self,
        organization: Uuid,
        number: &str,
        after_us: i64,
        limit: i64,
    ) -> Result<Vec<SentMessageRow>, Failure> {
        read!(self.database.of(organization), "reminder.sent_messages", |pool| query_as(SELECT_SENT_MESSAGES)
            .bind(organization)
            .bind(number)
            .bind(after_us)
            .bind(limit)
            .fetch_all(pool)
            .await)
    }

    /// Whether a number was asked since an instant which appointment it means.
    pub(crate) async fn was_asked_since(
        &self,
        organization: Uuid,
        number: &str,
        after_us: i64,
    ) -> Result<bool, Failure> {
        let count: i64 =
            read!(self.database.of(organization), "reminder.count_questions", |pool| query_scalar(COUNT_QUESTIONS)
                .bind(organization)
                .bind(number)
                .bind(after_us)
                .fetch_one(pool)
                .await)?;
        Ok(count > 0)
    }

    /// Stores an inbound message as one that a person must read; `false` when it is stored already.
    pub(crate) async fn insert_inbound(&self, new: &NewInboundRow<'_>) -> Result<bool, Failure> {
        let inserted =
            write!(self.database.of(new.organization), "reminder.insert_inbound", |pool| query(INSERT_INBOUND)
                .bind(new.organization)
                .bind(new.id)
                .bind(new.provider)
                .bind(new.provider_message_id)
                .bind(new.received_at_us)
                .bind(new.sender)
                .bind(new.body)
                .bind(new.meaning)
                .execute(pool)
                .await
                .map(|done| done.rows_affected()))?;
        Ok(inserted == 1)
    }

    /// The inbound messages that a person must read, the latest first.
    pub(crate) async fn inbox(
        &self,
        organization: Uuid,
        unread: bool,
        after: Option<(i64, Uuid)>,
        limit: i64,
    ) -> Result<Vec<InboundRow>, Failure> {
        let (at_us, id) = after.unwrap_or((i64::MAX, Uuid::max()));
        read!(self.database.of(organization), "reminder.inbox", |pool| query_as(SELECT_INBOX)
            .bind(organization)
            .bind(at_us)
            .bind(id)
            .bind(unread)
            .bind(limit)
            .fetch_all(pool)
            .await)
    }

    /// The number of unread inbound messages of an organisation.
    pub(crate) async fn count_unread(&self, organization: Uuid) -> Result<i64, Failure> {
        read!(self.database.of(organization), "reminder.count_unread", |pool| query_scalar(COUNT_UNREAD)
            .bind(organization)
            .fetch_one(pool)
            .await)
    }

    /// The number of unread inbound messages of all organisations, and the arrival of the oldest.
    pub(crate) async fn unread_anywhere(&self) -> Result<(i64, Option<i64>), Failure> {
        read!(self.database.across(), "reminder.count_unread_anywhere", |pool| query_as(COUNT_UNREAD_ANYWHERE)
            .fetch_one(pool)
            .await)
    }

    /// Ends e-mails about what follows appointments to a patient.
    pub(crate) async fn unsubscribe(&self, organization: Uuid, patient: Uuid, now_us: i64) -> Result<(), Failure> {
        write!(self.database.of(organization), "reminder.insert_unsubscribed", |pool| query(INSERT_UNSUBSCRIBED)
            .bind(organization)
            .bind(patient)
            .bind(now_us)
            .execute(pool)
            .await
            .map(drop))
    }

    /// Whether a patient has ended them.
    pub(crate) async fn has_unsubscribed(&self, organization: Uuid, patient: Uuid) -> Result<bool, Failure> {
        let count: i64 = read!(self.database.of(organization), "reminder.count_unsubscribed", |pool| query_scalar(
            COUNT_UNSUBSCRIBED
        )
        .bind(organization)
        .bind(patient)
        .fetch_one(pool)
        .await)?;
        Ok(count > 0)
    }
}

/// Records the outcome of an inbound message.
pub(crate) async fn finish_inbound(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    outcome: &InboundOutcome<'_>,
) -> Result<(), Failure> {
    statement!(tx, "reminder.finish_inbound", |conn| query(FINISH_INBOUND)
        .bind(organization)
        .bind(id)
        .bind(outcome.outcome)
        .bind(outcome.attention)
        .bind(outcome.message)
        .bind(outcome.appointment)
        .bind(outcome.patient)
        .bind(outcome.score)
        .execute(conn)
        .await
        .map(drop))
}

/// Schedules a reply, due now.
pub(crate) async fn insert_reply(
    tx: &mut Tx,
    organization: Uuid,
    reply: &NewReply<'_>,
    now_us: i64,
) -> Result<(), Failure> {
    let version = i64::try_from(reply.id.as_u128() & (i64::MAX as u128)).unwrap_or(i64::MAX);
    statement!(tx, "reminder.insert_reply", |conn| query(INSERT_REPLY)
        .bind(organization)
        .bind(reply.answers)
        .bind(reply.id)
        .bind(now_us)
        .bind(reply.recipient)
        .bind(reply.body)
        .bind(version)
        .execute(conn)
        .await
        .map(drop))
}

/// Marks an inbound message as read; `None` when nobody must read it.
pub(crate) async fn mark_read(
    tx: &mut Tx,
    organization: Uuid,
    id: Uuid,
    now_us: i64,
    by: &str,
) -> Result<Option<InboundRow>, Failure> {
    statement!(tx, "reminder.mark_read", |conn| query_as(MARK_READ)
        .bind(organization)
        .bind(id)
        .bind(now_us)
        .bind(by)
        .fetch_optional(conn)
        .await)
}
