//! Records a delivery receipt.
//!
//! Receipts arrive repeated and out of order, so each stage has a rank, and a message only moves up. A receipt that names no
//! message is answered with success where the provider cannot mend it, and refused where its format is our own (`http`).

use rpc::Fault;
use service::db_error;
use wire::reminder::{ReceiveRequest, ReceiveResponse};

use super::{
    apply_receipt::{self, AttributedReceipt},
    callback,
    callback_url::{CallbackUrl, attempt_of},
    receipt::{DeliveryReceipt, Retry},
};
use crate::{Inner, count, rate::jittered_us};

/// The delay before a retry of an undelivered message, in seconds.
const RETRY_SECONDS: f64 = 300.0;

/// Verifies a receipt and applies it to its message.
///
/// # Errors
/// As [`callback::verify`]; `rate_limited` where the provider calls too often for the organisation; `validation_failed` where
/// the sender can mend the receipt; the store's failures.
pub(crate) async fn record_receipt(inner: &Inner, request: ReceiveRequest) -> Result<ReceiveResponse, Fault> {
    let now = inner.clock.now();
    let (provider, fields) = callback::verify(inner, &request)?;
    let receipt = provider.parse_receipt(&fields)?;
    let refuse_own_format = |pointer, code, detail| match provider.uses_own_format() {
        true => Err(Fault::violation(pointer, code, detail)),
        false => Ok(ReceiveResponse::default()),
    };
    let Some(CallbackUrl { organization, message, attempt }) = CallbackUrl::parse(&request.url) else {
        tracing::warn!(provider = provider.name(), "a delivery receipt names no message");
        let detail = "report to the `status_url` of the message, as it was given";
        return refuse_own_format("message_id", "missing", detail);
    };
    inner.callbacks.take(&(provider.name(), organization))?;
    let Some(receipt) = receipt else {
        tracing::warn!(provider = provider.name(), %organization, %message, "a delivery receipt has an unknown status");
        return Ok(ReceiveResponse::default());
    };
    // Where the signature covers the reference and not the URL, the URL must not select another message.
    let Some(attempt) = receipt.reference.as_ref().map_or(Some(attempt), |named| attempt_of(named, message)) else {
        tracing::warn!(
            provider = provider.name(), %organization, %message,
            "a delivery receipt names another message than its URL"
        );
        let detail = "give the `id` with which the message was posted, or none";
        return refuse_own_format("/id", "invalid_value", detail);
    };
    if receipt.filtered {
        tracing::error!(%organization, %message, code = receipt.error_code, "the carrier filtered a message as spam");
    }
    let lost = receipt.stage.is_lost();
    let attributed = AttributedReceipt {
        organization: organization.uuid(),
        event: inner.ids.uuid(now),
        fallback_id: inner.ids.uuid(now),
        message: message.uuid(),
        provider: provider.name(),
        attempt,
        by_key: receipt.by_key,
        stage: receipt.stage,
        reason: match (lost, receipt.opted_out) {
            (true, true) => "opted_out",
            (true, false) => "not_delivered",
            _ => "",
        },
        provider_message_id: &receipt.id,
        is_part: receipt.is_part,
        error_code: &receipt.error_code,
        form: &receipt.retained,
        block: receipt.opted_out,
        retry: retry(inner, &receipt),
        now_us: now.as_microsecond(),
    };
    if let Some(applied) = apply_receipt::apply(&inner.store, &attributed).await.map_err(db_error::fault)? {
        count(if applied.retried { "busy" } else { applied.status }, &applied.trigger, &applied.channel);
        if lost {
            // A message on the fallback channel may be due at once.
            inner.planned.notify_waiters();
        }
    }
    Ok(ReceiveResponse { id: message.to_string(), repeated: false })
}

/// When an undelivered message is sent again, and the most attempts for it; `None` where a retry is useless.
fn retry(inner: &Inner, receipt: &DeliveryReceipt) -> Option<(i64, i32)> {
    let retries_max = i32::try_from(inner.config.attempts_max.saturating_sub(1)).unwrap_or(0);
    let retries = match receipt.retry {
        Retry::UpToMax => retries_max,
        Retry::Once => retries_max.min(1),
        Retry::Never => return None,
    };
    let due_at_us = inner.clock.now_us() + jittered_us(RETRY_SECONDS, inner.ids.fraction());
    receipt.stage.is_lost().then_some((due_at_us, retries))
}
