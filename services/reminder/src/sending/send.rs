//! One message from its lease to its outcome.
//!
//! The order is what keeps patients from wrong and double messages: the present truth from booking, the text, then one
//! transaction that says "sending" only where the lease holds and nothing newer is known, committed; only then the
//! provider. A process that dies after that leaves a message whose fate is unknown, and that is sent once more only where
//! its rule prefers a double to a miss.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    id::{MessageId, OrganizationId},
    patient::Channel,
};
use jiff::Timestamp;
use rpc::Fault;
use runtime::Shutdown;

use super::{
    prepare::{Next, Ready, prepare, reply},
    select_provider::{Route, again, is_held, key_attempt, route},
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
    rules::{Trigger, channel},
    store::{Begun, End, Record, Sending, UNKNOWN_US, rows::MessageRow},
    templates::gsm7,
    unsubscribe, write,
};

/// How long a message waits when its questions cannot be answered, in seconds of the clock.
const ASK_AGAIN_SECONDS: f64 = 20.0;
/// How long after it was taken up it is again, when what it was told is older than what is known here.
const BEHIND_SECONDS: f64 = 1.0;
/// The first pause after a provider was busy, doubled each time.
const BUSY_SECONDS: f64 = 30.0;
const BUSY_SECONDS_MAX: f64 = 3600.0;

/// Sends one message, or finds out why not.
pub(super) async fn one(inner: &Inner, message: &Arc<MessageRow>, shutdown: &Shutdown) {
    let taken_us = inner.clock.now_us();
    let Some(channel) = channel(&message.channel) else { return finish(inner, message, "failed", "unreadable").await };
    // In its turn first, and only then the questions: what they answer must not grow old in a queue.
    let way = match route(inner.providers.for_channel(channel), message, inner.clock.now_us()) {
        Route::Go(way, None) => way,
        Route::Go(way, Some(at_us)) => {
            let turn = inner.clock.sleep_until(Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::MAX));
            if shutdown.until(turn).await.is_none() {
                return put_off(inner, message, inner.clock.now_us()).await;
            }
            way
        }
        Route::Closed(until_us) => return put_off(inner, message, until_us + spread_us(inner, 1.0)).await,
        Route::Gone => return finish(inner, message, "unknown", "no_answer").await,
    };
    let prepared = match message.trigger.parse::<Trigger>() {
        Ok(trigger) => prepare(inner, message, trigger, channel).await,
        // Its patient will ask again.
        Err(_) if message.is_unknown() => Ok(Next::Suppress("no_answer")),
        Err(_) if message.trigger == REPLY_TRIGGER => reply(inner, message).await,
        Err(_) => Ok(Next::Fail("unreadable")),
    };
    if !matches!(prepared, Ok(Next::Send(_))) {
        way.limiter.release();
    }
    let next = match prepared {
        Ok(next) => next,
        Err(fault) => return ask_again(inner, message, &fault).await,
    };
    match next {
        // Draining: nothing new begins, and the lease lets another take it up.
        Next::Send(_) if shutdown.has_begun() => put_off(inner, message, inner.clock.now_us()).await,
        Next::Send(ready) => send(inner, message, (channel, way), &ready, taken_us).await,
        Next::Suppress(reason) => finish(inner, message, "suppressed", reason).await,
        Next::Fail(reason) => finish(inner, message, "failed", reason).await,
        Next::PutOff(wake_at_us) => put_off(inner, message, wake_at_us).await,
    }
}

/// Says "sending", sends, and records what became of it.
async fn send(
    inner: &Inner,
    message: &Arc<MessageRow>,
    (channel, way): (Channel, &ProviderRoute),
    ready: &Ready,
    taken_us: i64,
) {
    let now_us = inner.clock.now_us();
    let segments = if channel == Channel::Sms { segments(&ready.rendered.text) } else { 0 };
    let key = key_attempt(message, way);
    let sending = Sending {
        message: message.clone(),
        truth_version: ready.truth_version,
        tells: ready.tells,
        names: ready.names,
        provider: way.name(),
        key_attempt: key,
        recipient: ready.to.clone(),
        subject: ready.rendered.subject.clone(),
        body: ready.rendered.text.clone(),
        segments,
        now_us,
        lease_until_us: now_us + lease_us(inner),
    };
    let attempt = match begin(inner, sending).await {
        Ok(Some(attempt)) => attempt,
        // Somebody else has it, or something newer is known, and its plan may have left the message as it was.
        Ok(None) => {
            way.limiter.release();
            return put_off(inner, message, taken_us + spread_us(inner, BEHIND_SECONDS)).await;
        }
        Err(fault) => {
            tracing::warn!(code = fault.code.as_str(), "a message waits: the database failed");
            return way.limiter.release();
        }
    };
    let id = MessageId::new(message.id);
    let first = if key > 0 { key } else { attempt };
    let outgoing = OutgoingMessage {
        to: ready.to.clone(),
        subject: ready.rendered.subject.clone(),
        text: ready.rendered.text.clone(),
        unsubscribe_url: one_click(inner, message),
        callback_url: callback_url_of(inner, message, way.name(), attempt),
        reference: callback_url::reference(id, attempt),
        key: callback_url::reference(id, first),
    };
    let asked = Instant::now();
    let outcome = way.provider.send(&outgoing).await;
    inner.providers.record(way, &outcome, segments, inner.clock.now_us());
    metrics::histogram!("reminder_provider_seconds", "provider" => way.name(), "outcome" => outcome.as_str())
        .record(asked.elapsed());
    let record = recorded(inner, message, (channel, way), attempt, &outcome, &ready.to);
    let counted = counted(&record);
    for _ in 0..3 {
        match inner.questions.record.ask(record.clone()).await {
            Ok(_) => {
                ring(inner, &record);
                break;
            }
            // Left unrecorded, it becomes unknown when the lease is over.
            Err(fault) => {
                tracing::error!(code = fault.code.as_str(), "what became of a message could not be recorded");
            }
        }
    }
    count(counted, &message.trigger, &message.channel);
    if record.sent {
        let lag_us = record.now_us.saturating_sub(message.due_at_us).max(0).unsigned_abs();
        metrics::histogram!("reminder_lag_seconds").record(Duration::from_micros(lag_us));
    }
}

/// Rings where what was recorded is looked at again, or another message may stand in for it.
fn ring(inner: &Inner, record: &Record) {
    if record.wake_at_us.is_some() || planning::misses(record.status, record.reason) {
        inner.planned.notify_waiters();
    }
}

/// Says "sending" together with others, or alone where somebody holds the visit: the others are not to wait.
async fn begin(inner: &Inner, sending: Sending) -> Result<Option<i32>, Fault> {
    match inner.questions.begin.ask(sending.clone()).await? {
        Begun::Attempt(attempt) => Ok(Some(attempt)),
        Begun::Refused => Ok(None),
        Begun::Held => {
            let alone = || inner.store.begin_alone(&sending);
            sql::retry_serialization(|| inner.ids.fraction(), alone).await.map_err(write::failure)
        }
    }
}

/// How many segments carriers count.
fn segments(text: &str) -> i32 {
    i32::try_from(gsm7::segments(text).1).unwrap_or(i32::MAX)
}

/// Where a patient ends such messages with one click; none for what only says how a visit stands.
fn one_click(inner: &Inner, message: &MessageRow) -> Option<String> {
    let trigger = message.trigger.parse::<Trigger>().ok()?;
    let base = inner.config.public_url.as_ref().filter(|_| trigger.is_after_visit())?;
    Some(format!("{base}/v1/unsubscribe/{}", unsubscribe::token(message)))
}

/// Where a provider reports on this attempt, so that a late report finds it.
fn callback_url_of(inner: &Inner, message: &MessageRow, provider: &str, attempt: i32) -> Option<String> {
    let base = inner.config.public_url.as_ref()?;
    let (message, organization) = (MessageId::new(message.id), OrganizationId::new(message.organization_id));
    Some(CallbackUrl { organization, message, attempt }.format(base, provider))
}

/// What is recorded of an outcome.
fn recorded(
    inner: &Inner,
    message: &Arc<MessageRow>,
    (channel, way): (Channel, &ProviderRoute),
    attempt: i32,
    outcome: &SendOutcome,
    to: &str,
) -> Record {
    let now_us = inner.clock.now_us();
    let once = message.is_unknown() || message.repeated;
    let mut record = Record {
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
        held: is_held(message, outcome),
        next_way: "",
        stand_in: inner.ids.uuid(inner.clock.now()),
        now_us,
    };
    match outcome {
        SendOutcome::Delivered { id } | SendOutcome::Sent { id, .. } => {
            let delivered = matches!(outcome, SendOutcome::Delivered { .. });
            let stage = if delivered { Stage::Delivered } else { Stage::Accepted };
            (record.status, record.rank) = (stage.status(), stage.rank());
            if let SendOutcome::Sent { parts, .. } = outcome {
                record.parts = *parts;
            }
            (record.reason, record.outcome, record.sent, record.provider_message_id) = ("", "sent", true, id.clone());
        }
        SendOutcome::Busy { code, .. } => {
            (record.reason, record.error_code, record.detail) =
                ("gave_up", code.clone(), "the provider has not taken it");
            if let Some((wake_at_us, next_way)) = again(inner, message, channel, way, outcome) {
                (record.status, record.reason) = ("scheduled", "provider_busy");
                (record.wake_at_us, record.next_way) = (Some(wake_at_us), next_way);
            }
        }
        SendOutcome::Refused { code, opted_out } => {
            (record.error_code, record.detail) = (code.clone(), "the provider has refused it");
            if *opted_out {
                (record.reason, record.block) = ("opted_out", Some((channel, address_hash(to))));
            }
            if *code == twilio::FILTERED.to_string() {
                tracing::error!(code, "a carrier takes our messages for spam");
            }
        }
        SendOutcome::Unknown { detail } => {
            (record.status, record.reason, record.outcome, record.detail) = ("unknown", "no_answer", "unknown", detail);
            record.wake_at_us = (!once).then_some(now_us + UNKNOWN_US);
        }
    }
    // What may have arrived the first time is not unsent by who does not take it the second time.
    if once && !record.sent {
        (record.status, record.reason) = ("unknown", "no_answer");
    }
    record
}

fn counted(record: &Record) -> &'static str {
    if record.is_busy() { "busy" } else { record.status }
}

/// How long to wait for a busy provider: as long as it says, within bounds, or twice as long each time. What it sent away
/// in one moment does not come back in one.
pub(super) fn delay_us(inner: &Inner, after: Option<Duration>, tries: i32) -> i64 {
    match after {
        Some(after) => {
            let seconds = after.as_secs().clamp(1, 3600) as f64;
            (seconds * (1.0 + 0.2 * inner.ids.fraction()) * 1_000_000.0) as i64
        }
        None => spread_us(inner, (BUSY_SECONDS * 2f64.powi(tries.min(16))).min(BUSY_SECONDS_MAX)),
    }
}

/// So many seconds, give or take a fifth.
pub(super) fn spread_us(inner: &Inner, seconds: f64) -> i64 {
    jittered_us(seconds, inner.ids.fraction())
}

async fn finish(inner: &Inner, message: &Arc<MessageRow>, status: &'static str, reason: &'static str) {
    // What may have been sent is not unsent by what keeps it from being sent once more.
    let known = !message.is_unknown();
    let (status, reason) = if known { (status, reason) } else { ("unknown", "no_answer") };
    let now = inner.clock.now();
    let (stand_in, now_us) = (inner.ids.uuid(now), now.as_microsecond());
    match inner.questions.finish.ask(End { message: message.clone(), status, reason, stand_in, now_us }).await {
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
            tracing::warn!(code = fault.code.as_str(), "a message could not be taken back; it is looked at again");
        }
    }
}

/// Leaves a message for a while, since a question about it was not answered.
async fn ask_again(inner: &Inner, message: &MessageRow, fault: &Fault) {
    tracing::warn!(code = fault.code.as_str(), "a message waits: what it says could not be checked");
    put_off(inner, message, inner.clock.now_us() + spread_us(inner, ASK_AGAIN_SECONDS)).await;
}

async fn put_off(inner: &Inner, message: &MessageRow, wake_at_us: i64) {
    match inner.store.put_off(message, wake_at_us).await {
        Ok(_) => inner.planned.notify_waiters(),
        Err(error) => {
            tracing::warn!(%error, "a message could not be put off; it is looked at again when its lease is over");
        }
    }
}
