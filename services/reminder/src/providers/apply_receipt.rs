//! A delivery receipt, applied in one transaction.

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
        receipts::{
            AttemptKey, LockedMessageRow, ReceiptStatus, apply_status, count_arrived_parts, insert_arrived_part,
            insert_provider_event, is_by_provider, lock_for_receipt, reschedule, select_parts, update_attempt,
        },
    },
};

/// A delivery receipt, attributed to an attempt to send a message.
#[derive(Clone, Copy)]
pub(crate) struct AttributedReceipt<'a> {
    pub(crate) organization: Uuid,
    /// The id under which the receipt is stored.
    pub(crate) event: Uuid,
    /// The id of the fallback, if one is planned.
    pub(crate) fallback_id: Uuid,
    pub(crate) message: Uuid,
    /// The provider that sent it; only attempts by it count.
    pub(crate) provider: &'a str,
    pub(crate) attempt: i32,
    /// Whether the receipt speaks for all attempts with the same key.
    pub(crate) by_key: bool,
    pub(crate) stage: Stage,
    pub(crate) reason: &'static str,
    pub(crate) provider_message_id: &'a str,
    /// Whether it is about one part of a text, which `provider_message_id` names.
    pub(crate) is_part: bool,
    pub(crate) error_code: &'a str,
    /// The receipt as it came (JSON).
    pub(crate) form: &'a str,
    /// Whether to block the recipient.
    pub(crate) block: bool,
    /// The instant of another attempt when one is worth it, and the most attempts in all.
    pub(crate) retry: Option<(i64, i32)>,
    pub(crate) now_us: i64,
}

/// What a receipt has changed.
pub(crate) struct AppliedReceipt {
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) status: &'static str,
    /// Whether the message is sent again.
    pub(crate) retried: bool,
}

impl AttributedReceipt<'_> {
    fn receipt_status(&self) -> ReceiptStatus {
        ReceiptStatus { status: self.stage.status(), reason: self.reason, rank: self.stage.rank() }
    }

    /// The attempt that the receipt speaks for: the last one when that was made under the same key.
    fn attempt_of(&self, message: &LockedMessageRow) -> AttemptKey {
        let same_key = self.by_key && self.attempt >= message.key_attempt;
        let number = if same_key { message.attempts } else { self.attempt };
        AttemptKey { organization: self.organization, message: self.message, number }
    }
}

/// Stores a receipt and applies it when it goes further than what is known; answers what it has changed.
///
/// # Errors
/// When the database fails.
pub(crate) async fn apply(store: &Store, receipt: &AttributedReceipt<'_>) -> Result<Option<AppliedReceipt>, Failure> {
    let (organization, message) = (receipt.organization, receipt.message);
    let mut tx = store.of(organization).begin().await?;
    let known = lock_for_receipt(&mut tx, organization, message).await?;
    let Some(known) = known.filter(|known| receipt.attempt <= known.attempts) else { return Ok(None) };
    let named = AttemptKey { organization, message, number: receipt.attempt };
    if !is_by_provider(&mut tx, named, receipt.provider).await? {
        let id = domain::id::MessageId::new(message);
        tracing::warn!(provider = receipt.provider, message = %id, "a receipt is about an attempt of another provider");
        return Ok(None);
    }
    insert_provider_event(&mut tx, receipt.event, named, receipt.form, receipt.now_us).await?;
    let attempt = receipt.attempt_of(&known);
    let receipt =
        &if receipt.is_part { of_all_parts(&mut tx, receipt, attempt, known.segments).await? } else { *receipt };
    let retried = match receipt.retry {
        Some(retry) => reschedule(&mut tx, attempt, receipt.receipt_status(), retry, receipt.now_us).await?,
        None => false,
    };
    let changed = retried || apply_status(&mut tx, attempt, receipt.receipt_status(), receipt.now_us).await?;
    if changed && !retried {
        let ended = EndedMessage {
            key: (organization, message),
            status: receipt.stage.status(),
            reason: receipt.reason,
            fallback_id: receipt.fallback_id,
            now_us: receipt.now_us,
        };
        plan_fallbacks(&mut tx, &[ended]).await?;
    }
    let outcome = if receipt.stage.is_lost() { "failed" } else { "sent" };
    update_attempt(&mut tx, attempt, outcome, receipt.provider_message_id, receipt.error_code).await?;
    // An opt-out holds whatever else is known of this message.
    if receipt.block {
        let hash = address_hash(&known.recipient);
        let address = Address { organization, channel: known.channel.clone(), hash };
        insert_blocked(&mut tx, &address, receipt.now_us).await?;
    }
    tx.commit().await?;
    let LockedMessageRow { trigger, channel, .. } = known;
    Ok(changed.then_some(AppliedReceipt { trigger, channel, status: receipt.stage.status(), retried }))
}

/// What a receipt on one part says of the text: it is delivered when all parts are, and lost when one is.
async fn of_all_parts<'a>(
    tx: &mut Tx,
    receipt: &AttributedReceipt<'a>,
    attempt: AttemptKey,
    segments: i32,
) -> Result<AttributedReceipt<'a>, Failure> {
    if receipt.stage == Stage::Delivered {
        insert_arrived_part(tx, attempt, receipt.provider_message_id, receipt.now_us).await?;
    }
    let named = select_parts(tx, attempt).await?;
    // A receipt may come before the provider's answer that names the number of parts, or instead of it.
    let parts = i64::from(if named > 0 { named } else { segments });
    let arrived = count_arrived_parts(tx, attempt).await?;
    let stage = if receipt.stage == Stage::Delivered && arrived < parts { Stage::Sent } else { receipt.stage };
    // Other parts may have arrived, and a retry would send them twice.
    Ok(AttributedReceipt { stage, retry: receipt.retry.filter(|_| parts == 1), ..*receipt })
}
