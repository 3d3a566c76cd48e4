// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What patients wrote, and what became of it.

use sql::Failure;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    super::{
        Kept, Refusal,
        rows::{InboundRow, MessageRow, SentMessageRow},
    },
    Store,
    sends::{BLOCK, UNBLOCK},
    transactions::remember,
};
use crate::replies::{Handled, NewInbound, REPLY_CHANNEL};

const SELECT_LAST_ORGANIZATION: &str = "SELECT organization_id FROM messages WHERE recipient = $1 AND channel = 'sms' \
     AND sent_at_us IS NOT NULL ORDER BY sent_at_us DESC LIMIT 1";
const SELECT_SENT_MESSAGES: &str = "SELECT m.id, m.rule_id, m.appointment_id, a.patient_id, m.trigger, m.sent_at_us, m.starts_at_us, \
     m.location_id, m.time_zone, a.status, a.starts_at_us AS current_starts_at_us, a.location_id AS current_location_id \
     FROM messages m JOIN appointments a ON a.organization_id = m.organization_id AND a.id = m.appointment_id \
     WHERE m.organization_id = $1 AND m.recipient = $2 AND m.sent_at_us > $3 AND m.trigger <> 'reply' \
     ORDER BY m.sent_at_us DESC, m.id DESC LIMIT $4";
const COUNT_QUESTIONS: &str = "SELECT count(*) FROM inbound WHERE organization_id = $1 AND sender = $2 AND received_at_us > $3 \
     AND outcome = 'asked'";
// `not_processed` keeps a reply in the inbox until it was handled.
const INSERT_INBOUND: &str = "INSERT INTO inbound (organization_id, id, provider, provider_message_id, received_at_us, sender, \
     body, meaning, outcome, attention) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 'not_processed') \
     ON CONFLICT (organization_id, provider, provider_message_id) DO NOTHING";
const FINISH_INBOUND: &str = "UPDATE inbound SET outcome = $3, attention = $4, message_id = $5, appointment_id = $6, \
     patient_id = $7, score = $8 WHERE organization_id = $1 AND id = $2";
// The response belongs to the appointment of the answered message. A number from its own id stands for the version, so that
// responses never conflict.
const INSERT_RESPONSE: &str = "INSERT INTO messages (organization_id, id, appointment_id, appointment_version, rule_id, trigger, \
     channel, status, reason, base_at_us, due_at_us, wake_at_us, starts_at_us, location_id, time_zone, recipient, body, \
     created_at_us, updated_at_us) SELECT m.organization_id, $3, m.appointment_id, $7, m.rule_id, 'reply', m.channel, \
     'scheduled', '', $4, $4, $4, m.starts_at_us, m.location_id, m.time_zone, $5, $6, $4, $4 FROM messages m \
     WHERE m.organization_id = $1 AND m.id = $2 ON CONFLICT DO NOTHING";
const SELECT_INBOX: &str = "SELECT * FROM inbound WHERE organization_id = $1 AND attention <> '' \
     AND (received_at_us, id) < ($2, $3) AND (read_at_us IS NULL OR NOT $4) \
     ORDER BY received_at_us DESC, id DESC LIMIT $5";
const COUNT_UNREAD: &str =
    "SELECT count(*) FROM inbound WHERE organization_id = $1 AND attention <> '' AND read_at_us IS NULL";
const MARK_READ: &str = "UPDATE inbound SET read_by = CASE WHEN read_at_us IS NULL THEN $4 ELSE read_by END, \
     read_at_us = coalesce(read_at_us, $3) WHERE organization_id = $1 AND id = $2 AND attention <> '' RETURNING *";

const INSERT_UNSUBSCRIBED: &str = "INSERT INTO unsubscribed SELECT organization_id, patient_id, $3 FROM appointments \
     WHERE organization_id = $1 AND id = $2 ON CONFLICT DO NOTHING";
const COUNT_UNSUBSCRIBED: &str = "SELECT count(*) FROM unsubscribed u JOIN appointments a \
     ON a.organization_id = u.organization_id AND a.patient_id = u.patient_id \
     WHERE a.organization_id = $1 AND a.id = $2";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 11] = [
    SELECT_LAST_ORGANIZATION,
    SELECT_SENT_MESSAGES,
    COUNT_QUESTIONS,
    INSERT_INBOUND,
    FINISH_INBOUND,
    INSERT_RESPONSE,
    SELECT_INBOX,
    COUNT_UNREAD,
    MARK_READ,
    INSERT_UNSUBSCRIBED,
    COUNT_UNSUBSCRIBED,
];

impl Store {
    pub(crate) async fn organization_of(&self, sender: &str) -> Result<Option<Uuid>, Failure> {
        Ok(query_scalar(SELECT_LAST_ORGANIZATION).bind(sender).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn sent_messages(
        &self,
        organization: Uuid,
        sender: &str,
        after_us: i64,
        limit: i64,
    ) -> Result<Vec<SentMessageRow>, Failure> {
        let query = query_as(SELECT_SENT_MESSAGES).bind(organization).bind(sender).bind(after_us).bind(limit);
        Ok(query.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn was_asked_since(
        &self,
        organization: Uuid,
        sender: &str,
        after_us: i64,
    ) -> Result<bool, Failure> {
        let query = query_scalar(COUNT_QUESTIONS).bind(organization).bind(sender).bind(after_us);
        let count: i64 = query.fetch_one(self.reader()).await?;
        Ok(count > 0)
    }

    pub(crate) async fn insert_inbound(&self, new: &NewInbound<'_>) -> Result<bool, Failure> {
        let message = new.message;
        let insert =
            query(INSERT_INBOUND).bind(new.organization).bind(new.id).bind(message.provider).bind(new.provider_id);
        let insert = insert.bind(new.now_us).bind(&message.from).bind(&message.text).bind(new.meaning);
        Ok(insert.execute(self.writer()).await?.rows_affected() == 1)
    }

    pub(crate) async fn finish_inbound(
        &self,
        new: &NewInbound<'_>,
        handled: &Handled,
        response: Uuid,
        address_hash: &[u8],
        now_us: i64,
    ) -> Result<(), Failure> {
        let organization = new.organization;
        let mut tx = self.begin().await?;
        let answers = handled.answers.as_ref();
        let finish =
            query(FINISH_INBOUND).bind(organization).bind(new.id).bind(handled.outcome).bind(handled.attention);
        let finish = finish.bind(answers.map(|sent| sent.message)).bind(answers.map(|sent| sent.appointment));
        let finish = finish.bind(answers.map(|sent| sent.patient)).bind(handled.score.map(i16::from));
        finish.execute(&mut *tx).await?;
        if let (Some(answered), Some(text)) = (answers, &handled.response) {
            let insert = query(INSERT_RESPONSE).bind(organization).bind(answered.message).bind(response).bind(now_us);
            let version = i64::try_from(response.as_u128() & (i64::MAX as u128)).unwrap_or(i64::MAX);
            insert.bind(&new.message.from).bind(text).bind(version).execute(&mut *tx).await?;
        }
        match handled.block {
            Some(true) => {
                let block = query(BLOCK).bind(organization).bind(REPLY_CHANNEL.as_str()).bind(address_hash.to_vec());
                block.bind(now_us).execute(&mut *tx).await?;
            }
            Some(false) => {
                let unblock =
                    query(UNBLOCK).bind(organization).bind(REPLY_CHANNEL.as_str()).bind(address_hash.to_vec());
                unblock.execute(&mut *tx).await?;
            }
            None => {}
        }
        Ok(tx.commit().await?)
    }

    pub(crate) async fn inbox(
        &self,
        organization: Uuid,
        unread: bool,
        after: Option<(i64, Uuid)>,
        limit: i64,
    ) -> Result<Vec<InboundRow>, Failure> {
        let (at_us, id) = after.unwrap_or((i64::MAX, Uuid::max()));
        let query = query_as(SELECT_INBOX).bind(organization).bind(at_us).bind(id).bind(unread).bind(limit);
        Ok(query.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn unsubscribe(&self, message: &MessageRow, now_us: i64) -> Result<(), Failure> {
        let end = query(INSERT_UNSUBSCRIBED).bind(message.organization_id).bind(message.appointment_id).bind(now_us);
        end.execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn has_unsubscribed(&self, message: &MessageRow) -> Result<bool, Failure> {
        let query = query_scalar(COUNT_UNSUBSCRIBED).bind(message.organization_id).bind(message.appointment_id);
        let count: i64 = query.fetch_one(self.reader()).await?;
        Ok(count > 0)
    }

    pub(crate) async fn count_unread(&self, organization: Uuid) -> Result<i64, Failure> {
        Ok(query_scalar(COUNT_UNREAD).bind(organization).fetch_one(self.reader()).await?)
    }

    pub(crate) async fn mark_read(
        &self,
        organization: Uuid,
        id: Uuid,
        now_us: i64,
        by: &str,
        kept: &Kept<'_, InboundRow>,
    ) -> Result<Option<InboundRow>, Refusal> {
        let mut tx = self.begin().await?;
        let read = query_as(MARK_READ).bind(organization).bind(id).bind(now_us).bind(by);
        let row: Option<InboundRow> = read.fetch_optional(&mut *tx).await?;
        remember(&mut tx, organization, now_us, row.as_ref().and_then(kept).as_ref()).await?;
        tx.commit().await?;
        Ok(row)
    }
}
