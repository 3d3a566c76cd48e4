// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What patients wrote, and what became of it.

use sql::Failure;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    super::{
        Kept, Refusal,
        rows::{InboundRow, MessageRow, ToldRow},
    },
    Store,
    sends::{BLOCK, UNBLOCK},
    transactions::remember,
};
use crate::replies::{CHANNEL, Dealt, NewInbound};

const ORGANIZATION_OF: &str = "SELECT organization_id FROM messages WHERE recipient = $1 AND channel = 'sms' \
     AND sent_at_us IS NOT NULL ORDER BY sent_at_us DESC LIMIT 1";
const TOLD: &str = "SELECT m.id, m.rule_id, m.appointment_id, a.patient_id, m.trigger, m.sent_at_us, m.starts_at_us, \
     m.location_id, m.time_zone, a.status, a.starts_at_us AS now_starts_at_us, a.location_id AS now_location_id \
     FROM messages m JOIN appointments a ON a.organization_id = m.organization_id AND a.id = m.appointment_id \
     WHERE m.organization_id = $1 AND m.recipient = $2 AND m.sent_at_us > $3 AND m.trigger <> 'reply' \
     ORDER BY m.sent_at_us DESC, m.id DESC LIMIT $4";
const ASKED: &str = "SELECT count(*) FROM inbound WHERE organization_id = $1 AND sender = $2 AND received_at_us > $3 \
     AND outcome = 'asked'";
// Until it is dealt with, a person must read it.
const HEAR: &str = "INSERT INTO inbound (organization_id, id, provider, provider_message_id, received_at_us, sender, \
     body, meaning, outcome, attention) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 'not_processed') \
     ON CONFLICT (organization_id, provider, provider_message_id) DO NOTHING";
const SETTLE: &str = "UPDATE inbound SET outcome = $3, attention = $4, message_id = $5, appointment_id = $6, \
     patient_id = $7, score = $8 WHERE organization_id = $1 AND id = $2";
// It hangs on what it answers; in the place of a version, its own id keeps it apart from every other.
const REPLY: &str = "INSERT INTO messages (organization_id, id, appointment_id, appointment_version, rule_id, trigger, \
     channel, status, reason, base_at_us, due_at_us, wake_at_us, starts_at_us, location_id, time_zone, recipient, body, \
     created_at_us, updated_at_us) SELECT m.organization_id, $3, m.appointment_id, $7, m.rule_id, 'reply', m.channel, \
     'scheduled', '', $4, $4, $4, m.starts_at_us, m.location_id, m.time_zone, $5, $6, $4, $4 FROM messages m \
     WHERE m.organization_id = $1 AND m.id = $2 ON CONFLICT DO NOTHING";
const INBOX: &str = "SELECT * FROM inbound WHERE organization_id = $1 AND attention <> '' \
     AND (received_at_us, id) < ($2, $3) AND (read_at_us IS NULL OR NOT $4) \
     ORDER BY received_at_us DESC, id DESC LIMIT $5";
const UNREAD: &str =
    "SELECT count(*) FROM inbound WHERE organization_id = $1 AND attention <> '' AND read_at_us IS NULL";
const MARK_READ: &str = "UPDATE inbound SET read_by = CASE WHEN read_at_us IS NULL THEN $4 ELSE read_by END, \
     read_at_us = coalesce(read_at_us, $3) WHERE organization_id = $1 AND id = $2 AND attention <> '' RETURNING *";

const UNSUBSCRIBE: &str = "INSERT INTO unsubscribed SELECT organization_id, patient_id, $3 FROM appointments \
     WHERE organization_id = $1 AND id = $2 ON CONFLICT DO NOTHING";
const UNSUBSCRIBED: &str = "SELECT count(*) FROM unsubscribed u JOIN appointments a \
     ON a.organization_id = u.organization_id AND a.patient_id = u.patient_id \
     WHERE a.organization_id = $1 AND a.id = $2";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 11] =
    [ORGANIZATION_OF, TOLD, ASKED, HEAR, SETTLE, REPLY, INBOX, UNREAD, MARK_READ, UNSUBSCRIBE, UNSUBSCRIBED];

impl Store {
    pub(crate) async fn organization_of(&self, sender: &str) -> Result<Option<Uuid>, Failure> {
        Ok(query_scalar(ORGANIZATION_OF).bind(sender).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn told(
        &self,
        organization: Uuid,
        sender: &str,
        after_us: i64,
        limit: i64,
    ) -> Result<Vec<ToldRow>, Failure> {
        let query = query_as(TOLD).bind(organization).bind(sender).bind(after_us).bind(limit);
        Ok(query.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn asked_since(&self, organization: Uuid, sender: &str, after_us: i64) -> Result<bool, Failure> {
        let query = query_scalar(ASKED).bind(organization).bind(sender).bind(after_us);
        let count: i64 = query.fetch_one(self.reader()).await?;
        Ok(count > 0)
    }

    pub(crate) async fn hear(&self, new: &NewInbound<'_>) -> Result<bool, Failure> {
        let heard = new.heard;
        let hear = query(HEAR).bind(new.organization).bind(new.id).bind(heard.provider).bind(new.provider_id);
        let hear = hear.bind(new.now_us).bind(&heard.from).bind(&heard.text).bind(new.meaning);
        Ok(hear.execute(self.writer()).await?.rows_affected() == 1)
    }

    pub(crate) async fn settle(
        &self,
        new: &NewInbound<'_>,
        dealt: &Dealt,
        reply: Uuid,
        address_hash: &[u8],
        now_us: i64,
    ) -> Result<(), Failure> {
        let organization = new.organization;
        let mut tx = self.begin().await?;
        let about = dealt.about.as_ref();
        let settle = query(SETTLE).bind(organization).bind(new.id).bind(dealt.outcome).bind(dealt.attention);
        let settle = settle.bind(about.map(|told| told.message)).bind(about.map(|told| told.appointment));
        let settle = settle.bind(about.map(|told| told.patient)).bind(dealt.score.map(i16::from));
        settle.execute(&mut *tx).await?;
        if let (Some(about), Some(text)) = (about, &dealt.reply) {
            let answer = query(REPLY).bind(organization).bind(about.message).bind(reply).bind(now_us);
            let apart = i64::try_from(reply.as_u128() & (i64::MAX as u128)).unwrap_or(i64::MAX);
            answer.bind(&new.heard.from).bind(text).bind(apart).execute(&mut *tx).await?;
        }
        match dealt.block {
            Some(true) => {
                let block = query(BLOCK).bind(organization).bind(CHANNEL.as_str()).bind(address_hash.to_vec());
                block.bind(now_us).execute(&mut *tx).await?;
            }
            Some(false) => {
                let unblock = query(UNBLOCK).bind(organization).bind(CHANNEL.as_str()).bind(address_hash.to_vec());
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
        let query = query_as(INBOX).bind(organization).bind(at_us).bind(id).bind(unread).bind(limit);
        Ok(query.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn unsubscribe(&self, message: &MessageRow, now_us: i64) -> Result<(), Failure> {
        let end = query(UNSUBSCRIBE).bind(message.organization_id).bind(message.appointment_id).bind(now_us);
        end.execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn has_unsubscribed(&self, message: &MessageRow) -> Result<bool, Failure> {
        let query = query_scalar(UNSUBSCRIBED).bind(message.organization_id).bind(message.appointment_id);
        let count: i64 = query.fetch_one(self.reader()).await?;
        Ok(count > 0)
    }

    pub(crate) async fn unread(&self, organization: Uuid) -> Result<i64, Failure> {
        Ok(query_scalar(UNREAD).bind(organization).fetch_one(self.reader()).await?)
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
