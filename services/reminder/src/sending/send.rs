//! A message from its lease to its outcome.
//!
//! The order keeps patients from wrong and double messages: booking's present data, the text, then one transaction that
//! sets "sending" only while the lease holds and nothing newer is known, committed; booking's data once more where all this
//! took long; only then the provider. A process that dies after that leaves a message with an unknown outcome, which is sent
//! again only if its rule prefers a double to a miss.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    id::{MessageId, OrganizationId},
    patient::Channel,
};
use rpc::Fault;
use runtime::{Ids, Shutdown};
use service::db_error;

use super::{
    prepare::{Decision, ReadyMessage, prepare, reply, still_stands},
    queue::UNKNOWN_US,
    select_provider::{Selection, is_held, key_attempt, next_attempt, select},
    transactions::{Claim, begin_send},
    worker::lease_us,
};
use crate::{
    Inner, address_hash, count, planning,
    providers::{
        OutgoingMessage, SendOutcome,
        callback_url::{self, CallbackUrl},
        receipt::Stage,
        registry::ProviderRoute,
        twilio,
    },
    rate::jittered_us,
    replies::REPLY_TRIGGER,
    rules::Trigger,
    store::{
        blocked::Address,
        messages::MessageRow,
        sends::{Finish, NewSend, SendResult},
    },
    template_context::without_token,
    templates::gsm7,
    unsubscribe,
};

/// Delay after a failed lookup, in seconds of the clock.
const LOOKUP_RETRY_SECONDS: f64 = 20.0;
/// Delay before leasing a message again when booking's answer was older than our copy of the appointment.
const BEHIND_SECONDS: f64 = 1.0;
/// First delay after a provider was busy, doubled each time, and its limit.
const BUSY_SECONDS: f64 = 30.0;
const BUSY_SECONDS_MAX: f64 = 3600.0;

/// Sends one message, or ends or postpones it.
pub(super) async fn send(inner: &Inner, message: &Arc<MessageRow>, shutdown: &Shutdown) {
    let leased_us = inner.clock.now_us();
    let Ok(channel) = message.channel.parse::<Channel>() else {
        return finish(inner, message, "failed", "unreadable").await;
    };
    // The turn comes before the lookups, so that their answers do not age in a queue.
    let route = match select(inner.providers.for_channel(channel), message, inner.clock.elapsed_us()) {
        Selection::Provider(route, 0) => route,
        Selection::Provider(route, wait_us) => {
            let turn = inner.clock.sleep(Duration::from_micros(wait_us.unsigned_abs()));
            if shutdown.until(turn).await.is_none() {
                return postpone(inner, message, inner.clock.now_us()).await;
            }
            route
        }
        Selection::SuspendedFor(left_us) => {
            let wake_at_us = inner.clock.now_us().saturating_add(left_us) + jittered_us(1.0, inner.ids.fraction());
            return postpone(inner, message, wake_at_us).await;
        }
        Selection::Gone => return finish(inner, message, "unknown", "no_answer").await,
    };
    let prepared = match message.trigger.parse::<Trigger>() {
        Ok(trigger) => prepare(inner, message, trigger, channel).await,
        // A patient without an answer asks again.
        Err(_) if message.is_unknown() => Ok(Decision::Suppress("no_answer")),
        Err(_) if message.trigger == REPLY_TRIGGER => reply(inner, message).await,
        Err(_) => Ok(Decision::Fail("unreadable")),
    };
    if !matches!(prepared, Ok(Decision::Send(_))) {
        route.limiter.release();
    }
    let decision = match prepared {
        Ok(decision) => decision,
        Err(fault) => return retry_lookups(inner, message, &fault).await,
    };
    match decision {
        // Draining: no send begins, and the ended lease lets another process begin it.
        Decision::Send(_) if shutdown.has_begun() => postpone(inner, message, inner.clock.now_us()).await,
        Decision::Send(ready) => attempt(inner, message, (channel, route), &ready, leased_us).await,
        Decision::Suppress(reason) => finish(inner, message, "suppressed", reason).await,
        Decision::Fail(reason) => finish(inner, message, "failed", reason).await,
        Decision::Postpone(wake_at_us) => postpone(inner, message, wake_at_us).await,
    }
}

/// Sets "sending", sends, and records the result.
async fn attempt(
    inner: &Inner,
    message: &Arc<MessageRow>,
    (channel, route): (Channel, &ProviderRoute),
    ready: &ReadyMessage,
    leased_us: i64,
) {
    let now_us = inner.clock.now_us();
    let segments = if channel == Channel::Sms { segments(&ready.rendered.text) } else { 0 };
    let key = key_attempt(message, route);
    let send = NewSend {
        message: message.clone(),
        verified_version: ready.verified_version,
        announcement: ready.announcement,
        provider: route.name(),
        key_attempt: key,
        recipient: ready.to.clone(),
        subject: without_token(&ready.rendered.subject, &ready.link_token),
        body: without_token(&ready.rendered.text, &ready.link_token),
        segments,
        now_us,
        lease_until_us: now_us + lease_us(inner),
    };
    let id = MessageId::new(message.id);
    let number = match begin(inner, send).await {
        Ok(Some(number)) => number,
        // The lease is lost, or a newer version is known whose plan may have kept this message.
        Ok(None) => {
            route.limiter.release();
            // The clock may have been set back since the lease.
            let from_us = leased_us.min(inner.clock.now_us());
            return postpone(inner, message, from_us + jittered_us(BEHIND_SECONDS, inner.ids.fraction())).await;
        }
        Err(fault) => {
            tracing::warn!(code = fault.code.as_str(), message = %id, "a send cannot begin: the database failed");
            return route.limiter.release();
        }
    };
    let stands = still_stands(inner, message, ready).await;
    if !matches!(stands, Ok(true)) {
        route.limiter.release();
        return withhold(inner, message, number, stands).await;
    }
    let first = if key > 0 { key } else { number };
    let outgoing = OutgoingMessage {
        to: ready.to.clone(),
        subject: ready.rendered.subject.clone(),
        text: ready.rendered.text.clone(),
        unsubscribe_url: one_click(inner, message),
        callback_url: callback_url_of(inner, message, route.name(), number),
        reference: callback_url::reference(id, number),
        key: callback_url::reference(id, first),
    };
    let began = Instant::now();
    let outcome = route.provider.send(&outgoing).await;
    inner.providers.record(route, &outcome, segments, inner.clock.elapsed_us());
    metrics::histogram!("reminder_provider_seconds", "provider" => route.name(), "outcome" => outcome.as_str())
        .record(began.elapsed());
    let result = result(inner, message, (channel, route), number, &outcome, &ready.to);
    record(inner, &result).await;
    count(if result.is_busy() { "busy" } else { result.status }, &message.trigger, &message.channel);
    if result.sent {
        let lag_us = result.now_us.saturating_sub(message.due_at_us).max(0).unsigned_abs();
        metrics::histogram!("reminder_lag_seconds").record(Duration::from_micros(lag_us));
    }
}

/// Gives back a message that may no longer be right: it is verified again, at once where booking's answer has changed.
async fn withhold(inner: &Inner, message: &Arc<MessageRow>, attempt: i32, stands: Result<bool, Fault>) {
    let (wait_us, detail) = match stands {
        Ok(_) => (0, "not sent: the appointment or the patient has changed since the text was made"),
        Err(fault) => {
            let id = MessageId::new(message.id);
            tracing::warn!(code = fault.code.as_str(), message = %id, "a message cannot be verified again; it is postponed");
            (jittered_us(LOOKUP_RETRY_SECONDS, inner.ids.fraction()), "not sent: it could not be verified again")
        }
    };
    let mut result = failed(inner, message, attempt);
    (result.status, result.reason) = if message.is_unknown() { ("unknown", "no_answer") } else { ("scheduled", "") };
    result.detail = detail;
    result.wake_at_us = Some(result.now_us + wait_us);
    record(inner, &result).await;
}

/// Records a result. Without a record the outcome becomes unknown when the lease ends.
async fn record(inner: &Inner, result: &SendResult) {
    for _ in 0..3 {
        match inner.lookups.record.call(result.clone()).await {
            Ok(_) => return notify(inner, result),
            Err(fault) => {
                let id = MessageId::new(result.message.id);
                tracing::error!(code = fault.code.as_str(), message = %id, "the result of a send cannot be recorded");
            }
        }
    }
}

/// Wakes the worker when the message is due again, or a fallback may be.
fn notify(inner: &Inner, result: &SendResult) {
    if result.wake_at_us.is_some() || planning::misses(result.status, result.reason) {
        inner.planned.notify_waiters();
    }
}

/// Begins a send in a batch, or alone when another transaction holds the appointment, so that the batch need not wait.
async fn begin(inner: &Inner, send: NewSend) -> Result<Option<i32>, Fault> {
    match inner.lookups.begin.call(send.clone()).await? {
        Claim::Attempt(number) => Ok(Some(number)),
        Claim::Refused => Ok(None),
        Claim::Locked => {
            let alone = || begin_send(&inner.store, &send);
            sql::retry_serialization(|| inner.ids.fraction(), alone).await.map_err(db_error::fault)
        }
    }
}

/// The number of segments that carriers count.
fn segments(text: &str) -> i32 {
    i32::try_from(gsm7::segments(text).1).unwrap_or(i32::MAX)
}

/// The link that ends such messages with one click; `None` for messages about the appointment itself.
fn one_click(inner: &Inner, message: &MessageRow) -> Option<String> {
    let trigger = message.trigger.parse::<Trigger>().ok()?;
    let base = inner.config.public_url.as_ref().filter(|_| trigger.is_after_visit())?;
    Some(format!("{base}/v1/unsubscribe/{}", unsubscribe::token(inner, message)))
}

/// The address of reports on an attempt, so that a late report finds it.
fn callback_url_of(inner: &Inner, message: &MessageRow, provider: &str, attempt: i32) -> Option<String> {
    let base = inner.config.public_url.as_ref()?;
    let (message, organization) = (MessageId::new(message.id), OrganizationId::new(message.organization_id));
    Some(CallbackUrl { organization, message, attempt }.format(base, provider))
}

/// The result to record for an outcome.
fn result(
    inner: &Inner,
    message: &Arc<MessageRow>,
    (channel, route): (Channel, &ProviderRoute),
    attempt: i32,
    outcome: &SendOutcome,
    to: &str,
) -> SendResult {
    let is_repeat = message.is_unknown() || message.repeated;
    let mut result = failed(inner, message, attempt);
    result.held = is_held(message, outcome);
    match outcome {
        SendOutcome::Delivered { id } | SendOutcome::Sent { id, .. } => {
            let delivered = matches!(outcome, SendOutcome::Delivered { .. });
            let stage = if delivered { Stage::Delivered } else { Stage::Accepted };
            (result.status, result.rank) = (stage.status(), stage.rank());
            if let SendOutcome::Sent { parts, .. } = outcome {
                result.parts = *parts;
            }
            (result.reason, result.outcome, result.sent, result.provider_message_id) = ("", "sent", true, id.clone());
        }
        SendOutcome::Busy { code, .. } => {
            (result.reason, result.error_code, result.detail) =
                ("gave_up", code.clone(), "the provider has not taken it");
            if let Some((wake_at_us, next_provider)) = next_attempt(inner, message, channel, route, outcome) {
                (result.status, result.reason) = ("scheduled", "provider_busy");
                (result.wake_at_us, result.next_provider) = (Some(wake_at_us), next_provider);
            }
        }
        SendOutcome::Refused { code, opted_out } => {
            (result.error_code, result.detail) = (code.clone(), "the provider has refused it");
            if *opted_out {
                let (organization, channel) = (message.organization_id, channel.as_str().to_owned());
                result.reason = "opted_out";
                result.block = Some(Address { organization, channel, hash: address_hash(to) });
            }
            if *code == twilio::FILTERED.to_string() {
                let message = MessageId::new(message.id);
                tracing::error!(code, %message, "a carrier filters our messages as spam");
            }
        }
        SendOutcome::Unknown { detail } => {
            (result.status, result.reason, result.outcome, result.detail) = ("unknown", "no_answer", "unknown", detail);
            result.wake_at_us = (!is_repeat).then_some(result.now_us + UNKNOWN_US);
        }
    }
    // The first attempt may have arrived, whatever became of the second.
    if is_repeat && !result.sent {
        (result.status, result.reason) = ("unknown", "no_answer");
    }
    result
}

/// An attempt that failed for good, now.
fn failed(inner: &Inner, message: &Arc<MessageRow>, attempt: i32) -> SendResult {
    let now = inner.clock.now();
    SendResult {
        message: message.clone(),
        attempt,
        status: "failed",
        reason: "refused",
        wake_at_us: None,
        sent: false,
        rank: 0,
        outcome: "failed",
        provider_message_id: String::new(),
        parts: 0,
        error_code: String::new(),
        detail: "",
        block: None,
        held: message.held,
        next_provider: "",
        fallback_id: inner.ids.uuid(now),
        now_us: now.as_microsecond(),
    }
}

/// The delay after a busy provider, in microseconds: the named one within bounds, or twice as long each time.
pub(super) fn delay_us(ids: &Ids, after: Option<Duration>, tries: i32) -> i64 {
    match after {
        Some(after) => (after.as_secs().clamp(1, 3600) as f64 * (1.0 + 0.2 * ids.fraction()) * 1_000_000.0) as i64,
        None => jittered_us((BUSY_SECONDS * 2f64.powi(tries.min(16))).min(BUSY_SECONDS_MAX), ids.fraction()),
    }
}

/// Ends a message without a send.
async fn finish(inner: &Inner, message: &Arc<MessageRow>, status: &'static str, reason: &'static str) {
    // An unknown outcome stays unknown, whatever prevents the repetition.
    let known = !message.is_unknown();
    let (status, reason) = if known { (status, reason) } else { ("unknown", "no_answer") };
    let now = inner.clock.now();
    let (fallback_id, now_us) = (inner.ids.uuid(now), now.as_microsecond());
    match inner.lookups.finish.call(Finish { message: message.clone(), status, reason, fallback_id, now_us }).await {
        Ok(true) => {
            if planning::misses(status, reason) {
                inner.planned.notify_waiters();
            }
            if known {
                count(status, &message.trigger, &message.channel);
            }
        }
        Ok(false) => {}
        Err(fault) => {
            let id = MessageId::new(message.id);
            tracing::warn!(code = fault.code.as_str(), message = %id, "a message cannot be ended; it is leased again later");
        }
    }
}

/// Postpones a message after a failed lookup.
async fn retry_lookups(inner: &Inner, message: &MessageRow, fault: &Fault) {
    let id = MessageId::new(message.id);
    tracing::warn!(code = fault.code.as_str(), message = %id, "a message cannot be verified; it is postponed");
    postpone(inner, message, inner.clock.now_us() + jittered_us(LOOKUP_RETRY_SECONDS, inner.ids.fraction())).await;
}

async fn postpone(inner: &Inner, message: &MessageRow, wake_at_us: i64) {
    match inner.store.postpone(message, wake_at_us).await {
        Ok(_) => inner.planned.notify_waiters(),
        Err(error) => {
            let id = MessageId::new(message.id);
            tracing::warn!(%error, message = %id, "a message cannot be postponed; it is leased again when its lease ends");
        }
    }
}
