// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What commits together when a message is sent.

use sql::Failure;
use sqlx::{query, query_scalar};

use super::{
    super::{Record, Refusal, Remember, Sending, rows::MessageRow},
    Store,
    ends::replace,
    transactions::remember,
};

const TELL: &str = "UPDATE appointments SET told_starts_at_us = $3, told_location_id = $4 \
     WHERE organization_id = $1 AND id = $2";
const CLAIM: &str = "UPDATE messages SET status = 'sending', wake_at_us = $5, attempts = attempts + 1, \
     provider_rank = 0, provider = $6, recipient = $7, subject = $8, body = $9, updated_at_us = $10, segments = $11, \
     key_attempt = CASE WHEN $12 > 0 THEN $12 ELSE attempts + 1 END \
     WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status = 'scheduled' \
     AND EXISTS (SELECT 1 FROM appointments a WHERE a.organization_id = messages.organization_id \
     AND a.id = messages.appointment_id AND a.version <= $4) RETURNING attempts";
const ATTEMPT: &str = "INSERT INTO attempts (organization_id, message_id, number, at_us, outcome, provider_message_id, \
     error_code, detail, provider) VALUES ($1, $2, $3, $4, 'unknown', '', '', '', $5)";
const RECORD: &str = "UPDATE messages SET status = $4, reason = $5, wake_at_us = $6, \
     tries = CASE WHEN $4 = 'scheduled' THEN tries + 1 ELSE tries END, sent_at_us = coalesce($7, sent_at_us), \
     provider_rank = $8, updated_at_us = $9, held = $10, next_way = $11 \
     WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status IN ('sending', 'unknown')";
const RECORD_ATTEMPT: &str = "UPDATE attempts SET outcome = $4, provider_message_id = $5, error_code = $6, detail = $7, \
     parts = $8 \
     WHERE organization_id = $1 AND message_id = $2 AND number = $3";
pub(super) const BLOCK: &str = "INSERT INTO blocked VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
pub(super) const UNBLOCK: &str =
    "DELETE FROM blocked WHERE organization_id = $1 AND channel = $2 AND address_hash = $3";
const RETRY: &str = "UPDATE messages SET status = 'scheduled', reason = '', due_at_us = $4, wake_at_us = $4, \
     fence = fence + 1, tries = 0, held = false, next_way = '', provider_rank = 0, updated_at_us = $4 \
     WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status IN ('failed', 'undelivered', 'unknown')";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 8] = [TELL, CLAIM, ATTEMPT, RECORD, RECORD_ATTEMPT, BLOCK, UNBLOCK, RETRY];

impl Store {
    pub(crate) async fn begin_send(&self, sending: &Sending<'_>) -> Result<Option<i32>, Failure> {
        let message = sending.message;
        let mut tx = self.begin().await?;
        if let Some(visit) = sending.tells {
            // Before the message leaves: a move that is planned meanwhile must know that the old time may be out.
            let tell = query(TELL).bind(message.organization_id).bind(message.appointment_id);
            tell.bind(visit.starts_at_us).bind(visit.location).execute(&mut *tx).await?;
        }
        let claim = query_scalar(CLAIM).bind(message.organization_id).bind(message.id).bind(message.fence);
        let claim = claim.bind(sending.truth_version).bind(sending.lease_until_us).bind(sending.provider);
        let claim = claim.bind(sending.recipient).bind(sending.subject).bind(sending.body).bind(sending.now_us);
        let claim = claim.bind(sending.segments).bind(sending.key_attempt);
        let attempt: Option<i32> = claim.fetch_optional(&mut *tx).await?;
        let Some(attempt) = attempt else { return Ok(None) };
        let record = query(ATTEMPT).bind(message.organization_id).bind(message.id).bind(attempt);
        record.bind(sending.now_us).bind(sending.provider).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(attempt))
    }

    pub(crate) async fn record(&self, record: &Record<'_>) -> Result<bool, Failure> {
        let message = record.message;
        let mut tx = self.begin().await?;
        let update = query(RECORD).bind(message.organization_id).bind(message.id).bind(message.fence);
        let update = update.bind(record.status).bind(record.reason).bind(record.wake_at_us);
        let update = update.bind(record.sent.then_some(record.now_us)).bind(record.rank).bind(record.now_us);
        let update = update.bind(record.held).bind(record.next_way);
        let recorded = update.execute(&mut *tx).await?.rows_affected() == 1;
        let attempt = query(RECORD_ATTEMPT).bind(message.organization_id).bind(message.id).bind(record.attempt);
        let attempt = attempt.bind(record.outcome).bind(record.provider_message_id).bind(record.error_code);
        attempt.bind(record.detail).bind(record.parts).execute(&mut *tx).await?;
        if let Some((channel, hash)) = &record.block {
            let block = query(BLOCK).bind(message.organization_id).bind(channel.as_str()).bind(hash.clone());
            block.bind(record.now_us).execute(&mut *tx).await?;
        }
        if recorded {
            let ended = (message.organization_id, message.id);
            replace(&mut tx, ended, (record.status, record.reason), record.stand_in, record.now_us).await?;
        }
        tx.commit().await?;
        Ok(recorded)
    }

    pub(crate) async fn retry(
        &self,
        message: &MessageRow,
        now_us: i64,
        address_hash: &[u8],
        kept: Option<&Remember>,
    ) -> Result<(), Refusal> {
        let organization = message.organization_id;
        let mut tx = self.begin().await?;
        let retry = query(RETRY).bind(organization).bind(message.id).bind(message.fence).bind(now_us);
        if retry.execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(Refusal::Stale);
        }
        // Whoever asks for it by hand knows that the patient wants messages again.
        let unblock = query(UNBLOCK).bind(organization).bind(&message.channel).bind(address_hash.to_vec());
        unblock.execute(&mut *tx).await?;
        remember(&mut tx, organization, now_us, kept).await?;
        Ok(tx.commit().await?)
    }
}
