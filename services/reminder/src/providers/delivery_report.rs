//! A provider's report on an attempt, applied in one transaction.

use service::store::Tx;
use sql::Failure;
use uuid::Uuid;

use super::receipt::Stage;
use crate::{
    address_hash,
    planning::{EndedMessage, plan_fallbacks},
    store::{
        Store,
        blocked::{Address, insert_blocked},
        delivery_reports::{
            ReportedAttempt, ReportedMessageRow, ReportedStatus, apply_report, count_arrived_parts,
            insert_arrived_part, insert_provider_event, is_by_provider, lock_reported_message, reschedule,
            select_parts, update_attempt,
        },
    },
    templates::gsm7,
};

/// A report.
#[derive(Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) organization: Uuid,
    /// The id under which the report is stored.
    pub(crate) event: Uuid,
    /// The id of the fallback, if one is planned.
    pub(crate) fallback_id: Uuid,
    pub(crate) message: Uuid,
    /// The reporting provider; only attempts by it count.
    pub(crate) provider: &'a str,
    pub(crate) attempt: i32,
    /// Whether the report speaks for all attempts with the same key.
    pub(crate) by_key: bool,
    pub(crate) stage: Stage,
    pub(crate) reason: &'static str,
    pub(crate) provider_message_id: &'a str,
    /// Whether it is about one part of a text, which `provider_message_id` names.
    pub(crate) is_part: bool,
    pub(crate) error_code: &'a str,
    /// The report as it came (JSON).
    pub(crate) form: &'a str,
    /// Whether to block the recipient.
    pub(crate) block: bool,
    /// The instant of another attempt when one is worth it, and the most attempts in all.
    pub(crate) retry: Option<(i64, i32)>,
    pub(crate) now_us: i64,
}

/// What a report has changed.
pub(crate) struct Reported {
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) status: &'static str,
    /// Whether the message is sent again.
    pub(crate) retried: bool,
}

impl Report<'_> {
    fn reported(&self) -> ReportedStatus {
        ReportedStatus { status: self.stage.status(), reason: self.reason, rank: self.stage.rank() }
    }

    /// The attempt that the report speaks for: the last one when that was made under the same key.
    fn attempt_of(&self, message: &ReportedMessageRow) -> ReportedAttempt {
        let same_key = self.by_key && self.attempt >= message.key_attempt;
        let number = if same_key { message.attempts } else { self.attempt };
        ReportedAttempt { organization: self.organization, message: self.message, number }
    }
}

/// Stores a report and applies it when it goes further than what is known; answers what it has changed.
///
/// # Errors
/// When the database fails.
pub(crate) async fn apply(store: &Store, report: &Report<'_>) -> Result<Option<Reported>, Failure> {
    let (organization, message) = (report.organization, report.message);
    let mut tx = store.begin().await?;
    let known = lock_reported_message(&mut tx, organization, message).await?;
    let Some(known) = known.filter(|known| report.attempt <= known.attempts) else { return Ok(None) };
    let named = ReportedAttempt { organization, message, number: report.attempt };
    if !is_by_provider(&mut tx, named, report.provider).await? {
        let id = domain::id::MessageId::new(message);
        tracing::warn!(provider = report.provider, message = %id, "a report is about an attempt of another provider");
        return Ok(None);
    }
    insert_provider_event(&mut tx, report.event, named, report.form, report.now_us).await?;
    let attempt = report.attempt_of(&known);
    let report = &if report.is_part { of_all_parts(&mut tx, report, attempt, &known.body).await? } else { *report };
    let retried = match report.retry {
        Some(retry) => reschedule(&mut tx, attempt, report.reported(), retry, report.now_us).await?,
        None => false,
    };
    let changed = retried || apply_report(&mut tx, attempt, report.reported(), report.now_us).await?;
    if changed && !retried {
        let ended = EndedMessage {
            key: (organization, message),
            status: report.stage.status(),
            reason: report.reason,
            fallback_id: report.fallback_id,
            now_us: report.now_us,
        };
        plan_fallbacks(&mut tx, &[ended]).await?;
    }
    let outcome = if report.stage.is_lost() { "failed" } else { "sent" };
    update_attempt(&mut tx, attempt, outcome, report.provider_message_id, report.error_code).await?;
    // An opt-out holds whatever else is known of this message.
    if report.block {
        let hash = address_hash(&known.recipient);
        let address = Address { organization, channel: known.channel.clone(), hash };
        insert_blocked(&mut tx, &address, report.now_us).await?;
    }
    tx.commit().await?;
    let ReportedMessageRow { trigger, channel, .. } = known;
    Ok(changed.then_some(Reported { trigger, channel, status: report.stage.status(), retried }))
}

/// What a report on one part says of the text: it is delivered when all parts are, and lost when one is.
async fn of_all_parts<'a>(
    tx: &mut Tx,
    report: &Report<'a>,
    attempt: ReportedAttempt,
    body: &str,
) -> Result<Report<'a>, Failure> {
    if report.stage == Stage::Delivered {
        insert_arrived_part(tx, attempt, report.provider_message_id, report.now_us).await?;
    }
    let named = select_parts(tx, attempt).await?;
    // A report may come before the provider's answer that names the number of parts, or instead of it.
    let parts = if named > 0 { i64::from(named) } else { i64::from(gsm7::segments(body).1) };
    let arrived = count_arrived_parts(tx, attempt).await?;
    let stage = if report.stage == Stage::Delivered && arrived < parts { Stage::Sent } else { report.stage };
    // Other parts may have arrived, and a retry would send them twice.
    Ok(Report { stage, retry: report.retry.filter(|_| parts == 1), ..*report })
}
