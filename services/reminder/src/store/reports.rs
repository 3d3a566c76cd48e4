// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What a provider's report changes, committed together.

use sql::Failure;
use sqlx::{query, query_as, query_scalar};

use super::{
    super::{Report, Reported},
    Store,
    ends::{Ended, replace},
    sends::BLOCK,
    transactions::Tx,
};
use crate::{providers::receipt::Stage, templates::gsm7};

/// A write that locks the row: two reports on parts of one text must see each other.
const KNOWN_MESSAGE: &str = "UPDATE messages SET provider_rank = provider_rank WHERE organization_id = $1 AND id = $2 \
     RETURNING attempts, key_attempt, trigger, channel, recipient, body";
/// By whom an attempt went; nothing, where that was not kept, counts for everybody.
const WENT_BY: &str = "SELECT count(*) FROM attempts WHERE organization_id = $1 AND message_id = $2 AND number = $3 \
     AND provider IN ('', $4)";
const ARRIVE: &str = "INSERT INTO arrived_parts VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
const ARRIVED: &str =
    "SELECT count(*) FROM arrived_parts WHERE organization_id = $1 AND message_id = $2 AND attempt = $3";
const PARTS: &str = "SELECT parts FROM attempts WHERE organization_id = $1 AND message_id = $2 AND number = $3";
const KEEP_EVENT: &str = "INSERT INTO provider_events VALUES ($1, $2, $3, $4, $5, $6)";
/// Of a message that is given twice it is enough that it arrived once, while nothing is known of the second time.
const REPORT: &str = "UPDATE messages SET status = $4, reason = $5, provider_rank = $6, wake_at_us = NULL, \
     sent_at_us = coalesce(sent_at_us, $7), updated_at_us = $7 WHERE organization_id = $1 AND id = $2 AND provider_rank < $6 \
     AND (attempts = $3 AND (status IN ('sending', 'unknown', 'sent', 'delivered', 'undelivered', 'failed') \
     OR (status = 'scheduled' AND reason = 'provider_busy')) OR (repeated AND status IN ('sending', 'unknown') AND $4 = 'delivered'))";
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
pub(crate) const STATEMENTS: [&str; 9] =
    [KNOWN_MESSAGE, WENT_BY, ARRIVE, ARRIVED, PARTS, KEEP_EVENT, REPORT, AGAIN, REPORT_ATTEMPT];

/// What a report needs to know of its message.
#[derive(sqlx::FromRow)]
struct Known {
    attempts: i32,
    key_attempt: i32,
    trigger: String,
    channel: String,
    recipient: String,
    body: String,
}

impl Known {
    /// The attempt that a report speaks for: the last one, where the provider seemed not to take the one named and was
    /// given the message again under the same key.
    fn meant(&self, report: &Report<'_>) -> i32 {
        if report.by_key && report.attempt >= self.key_attempt { self.attempts } else { report.attempt }
    }
}

impl Store {
    pub(crate) async fn report(&self, report: &Report<'_>) -> Result<Option<Reported>, Failure> {
        let (organization, message) = (report.organization, report.message);
        let mut tx = self.begin().await?;
        let known = query_as(KNOWN_MESSAGE).bind(organization).bind(message);
        let known: Option<Known> = known.fetch_optional(&mut *tx).await?;
        let Some(known) = known.filter(|known| report.attempt <= known.attempts) else { return Ok(None) };
        let went_by = query_scalar(WENT_BY).bind(organization).bind(message).bind(report.attempt);
        let went_by: i64 = went_by.bind(report.provider).fetch_one(&mut *tx).await?;
        if went_by == 0 {
            tracing::warn!(provider = report.provider, "a report is about an attempt that went by another provider");
            return Ok(None);
        }
        let event = query(KEEP_EVENT).bind(organization).bind(report.event).bind(message).bind(report.attempt);
        event.bind(report.now_us).bind(report.form).execute(&mut *tx).await?;
        let attempt = known.meant(report);
        let report = &Report { attempt, ..*report };
        let report = &if report.is_part { of_all_parts(&mut tx, report, &known.body).await? } else { *report };
        let again = sent_again(&mut tx, report).await?;
        let moved = again || {
            let update = query(REPORT).bind(organization).bind(message).bind(report.attempt);
            let update =
                update.bind(report.stage.status()).bind(report.reason).bind(report.stage.rank()).bind(report.now_us);
            update.execute(&mut *tx).await?.rows_affected() == 1
        };
        if moved && !again {
            let became = (report.stage.status(), report.reason);
            let (message, stand_in, now_us) = ((organization, message), report.stand_in, report.now_us);
            replace(&mut tx, std::iter::once(Ended { message, became, stand_in, now_us })).await?;
        }
        let settle = query(REPORT_ATTEMPT).bind(organization).bind(message).bind(attempt);
        let outcome = if report.stage.is_lost() { "failed" } else { "sent" };
        let settle = settle.bind(outcome).bind(report.provider_message_id).bind(report.error_code);
        settle.execute(&mut *tx).await?;
        // Whoever told the carrier to stop has done so, whatever else is known of this message.
        if report.block {
            let block =
                query(BLOCK).bind(organization).bind(&known.channel).bind(crate::address_hash(&known.recipient));
            block.bind(report.now_us).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        let Known { trigger, channel, .. } = known;
        Ok(moved.then_some(Reported { trigger, channel, status: report.stage.status(), again }))
    }
}

/// What a report on one part says of the whole: it has arrived when every part has, and is lost when one is.
async fn of_all_parts<'a>(tx: &mut Tx, report: &Report<'a>, body: &str) -> Result<Report<'a>, sqlx::Error> {
    let (organization, message, attempt) = (report.organization, report.message, report.attempt);
    if report.stage == Stage::Delivered {
        let arrive = query(ARRIVE).bind(organization).bind(message).bind(attempt).bind(report.provider_message_id);
        arrive.bind(report.now_us).execute(&mut **tx).await?;
    }
    let parts = query_scalar(PARTS).bind(organization).bind(message).bind(attempt);
    let parts: i32 = parts.fetch_optional(&mut **tx).await?.unwrap_or(0);
    // A report may come before the answer that says how many parts there are, or in its place.
    let parts = if parts > 0 { i64::from(parts) } else { i64::from(gsm7::segments(body).1) };
    let arrived: i64 =
        query_scalar(ARRIVED).bind(organization).bind(message).bind(attempt).fetch_one(&mut **tx).await?;
    let stage = if report.stage == Stage::Delivered && arrived < parts { Stage::Sent } else { report.stage };
    // Other parts may have arrived: the whole again would be a second message.
    Ok(Report { stage, again: report.again.filter(|_| parts == 1), ..*report })
}

async fn sent_again(tx: &mut Tx, report: &Report<'_>) -> Result<bool, sqlx::Error> {
    let Some((wake_at_us, tries_max)) = report.again else { return Ok(false) };
    let update =
        query(AGAIN).bind(report.organization).bind(report.message).bind(report.attempt).bind(report.stage.rank());
    let update = update.bind(wake_at_us).bind(tries_max).bind(report.reason).bind(report.now_us);
    Ok(update.execute(&mut **tx).await?.rows_affected() == 1)
}
