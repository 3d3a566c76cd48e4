// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What a provider's report changes, committed together.

use sql::Failure;
use sqlx::{query, query_as};

use super::{
    super::{Report, Reported},
    Store,
    sends::BLOCK,
    transactions::Tx,
};

const KNOWN_MESSAGE: &str =
    "SELECT attempts, trigger, channel, recipient FROM messages WHERE organization_id = $1 AND id = $2";
const KEEP_EVENT: &str = "INSERT INTO provider_events VALUES ($1, $2, $3, $4, $5, $6)";
const REPORT: &str = "UPDATE messages SET status = $4, reason = $5, provider_rank = $6, wake_at_us = NULL, \
     sent_at_us = coalesce(sent_at_us, $7), updated_at_us = $7 WHERE organization_id = $1 AND id = $2 AND attempts = $3 \
     AND provider_rank < $6 AND status IN ('sending', 'unknown', 'sent', 'delivered', 'undelivered', 'failed')";
/// Once more, while it is of use and patience lasts. The rank begins anew: the next reports are on another attempt.
const AGAIN: &str = "UPDATE messages SET status = 'scheduled', reason = $7, wake_at_us = $5, fence = fence + 1, \
     tries = tries + 1, provider_rank = 0, updated_at_us = $8 WHERE organization_id = $1 AND id = $2 AND attempts = $3 \
     AND provider_rank < $4 AND tries < $6 AND starts_at_us > $5 AND status IN ('sending', 'unknown', 'sent')";
const REPORT_ATTEMPT: &str = "UPDATE attempts SET outcome = CASE WHEN outcome = 'unknown' THEN $4 ELSE outcome END, \
     provider_message_id = CASE WHEN provider_message_id = '' THEN $5 ELSE provider_message_id END, \
     error_code = CASE WHEN $6 = '' THEN error_code ELSE $6 END \
     WHERE organization_id = $1 AND message_id = $2 AND number = $3";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 5] = [KNOWN_MESSAGE, KEEP_EVENT, REPORT, AGAIN, REPORT_ATTEMPT];

impl Store {
    pub(crate) async fn report(&self, report: &Report<'_>) -> Result<Option<Reported>, Failure> {
        let (organization, message) = (report.organization, report.message);
        let mut tx = self.begin().await?;
        let known = query_as(KNOWN_MESSAGE).bind(organization).bind(message);
        let known: Option<(i32, String, String, String)> = known.fetch_optional(&mut *tx).await?;
        let Some((_, trigger, channel, recipient)) = known.filter(|(attempts, ..)| report.attempt <= *attempts) else {
            return Ok(None);
        };
        let event = query(KEEP_EVENT).bind(organization).bind(report.event).bind(message).bind(report.attempt);
        event.bind(report.now_us).bind(report.form).execute(&mut *tx).await?;
        let again = sent_again(&mut tx, report).await?;
        let moved = again || {
            let update = query(REPORT).bind(organization).bind(message).bind(report.attempt);
            let update = update.bind(report.status).bind(report.reason).bind(report.rank).bind(report.now_us);
            update.execute(&mut *tx).await?.rows_affected() == 1
        };
        let attempt = query(REPORT_ATTEMPT).bind(organization).bind(message).bind(report.attempt);
        let attempt = attempt.bind(report.outcome).bind(report.provider_message_id).bind(report.error_code);
        attempt.execute(&mut *tx).await?;
        // Whoever told the carrier to stop has done so, whatever else is known of this message.
        if report.block {
            let block = query(BLOCK).bind(organization).bind(&channel).bind(crate::address_hash(&recipient));
            block.bind(report.now_us).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(moved.then_some(Reported { trigger, channel, again }))
    }
}

async fn sent_again(tx: &mut Tx, report: &Report<'_>) -> Result<bool, sqlx::Error> {
    let Some((wake_at_us, tries_max)) = report.again else { return Ok(false) };
    let update = query(AGAIN).bind(report.organization).bind(report.message).bind(report.attempt).bind(report.rank);
    let update = update.bind(wake_at_us).bind(tries_max).bind(report.reason).bind(report.now_us);
    Ok(update.execute(&mut **tx).await?.rows_affected() == 1)
}
