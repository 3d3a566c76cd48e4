//! Patients' replies by text message: parsed, matched to the message that they answer, and acted on.
//!
//! A reply is stored before anything else happens, in the clinic's inbox; only a successful action takes it out again. A
//! failure in between loses no reply. Start reading at [`receive`]; `parse.rs` (what a text means) and `matching.rs` (which
//! message it answers) are pure.

mod act;
pub(crate) mod inbox;
mod matching;
mod parse;

use std::{sync::Arc, time::Duration};

use domain::{
    id::{InboundId, OrganizationId},
    patient::Channel,
};
use rpc::{Context, Fault, Idempotency};
use service::db_error;
use sql::Failure;
use uuid::Uuid;
use wire::reminder::{ReceiveRequest, ReceiveResponse};

pub(crate) use self::matching::SentMessage;
use crate::{
    Inner, address_hash,
    providers::{callback, inbound::InboundMessage},
    store::{
        Store,
        blocked::{Address, delete_blocked, insert_blocked},
        inbound::{InboundOutcome, NewInboundRow, NewReply, finish_inbound, insert_reply},
    },
};

/// The trigger of a message that answers a reply.
pub(crate) const REPLY_TRIGGER: &str = "reply";
/// The channel of replies.
pub(crate) const REPLY_CHANNEL: Channel = Channel::Sms;
/// How far back a conversation reaches.
const CONVERSATION_US: i64 = 60 * 86_400_000_000;
/// Messages of a conversation that a reply is matched to.
const SENT_MESSAGES_MAX: i64 = 50;
/// Within this time a patient is asked once which visit a reply means; then a person reads the reply.
const ASK_ONCE_WITHIN_US: i64 = 86_400_000_000;

/// The result of handling a reply.
#[derive(Default)]
pub(crate) struct Handled {
    /// `done`, `asked`, `late`; empty: nothing was done.
    pub(crate) outcome: &'static str,
    /// Why a person must read the reply; empty: nobody has to.
    pub(crate) attention: &'static str,
    /// The message that the reply answers.
    pub(crate) answers: Option<SentMessage>,
    pub(crate) score: Option<u8>,
    /// The text to send in return.
    pub(crate) response: Option<String>,
    /// `true` blocks the sender's number for messages, `false` unblocks it.
    pub(crate) block: Option<bool>,
}

/// Receives a reply from a provider.
///
/// # Errors
/// `signature_invalid` for a wrong signature, `malformed_request` and `validation_failed` for an unreadable message, and the
/// store's failures, after which the provider may retry.
pub(crate) async fn receive(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReceiveRequest,
) -> Result<ReceiveResponse, Fault> {
    let Some(message) = callback::inbound_message(inner, &request)? else {
        tracing::warn!(provider = request.provider, "an inbound message has no sender's number and is dropped");
        return Ok(ReceiveResponse::default());
    };
    let last_contact = inner.store.organization_of(&message.from).await.map_err(db_error::fault)?;
    let organization = last_contact.map_or(ctx.organization, OrganizationId::new);
    inner.callbacks.take(&(message.provider, organization))?;
    // In a task of its own: a provider that disconnects does not interrupt the handling.
    let (owned, timeout) = (inner.clone(), ctx.remaining());
    let task = tokio::spawn(async move { handle(&owned, organization, &message, timeout).await });
    task.await.map_err(Fault::internal)?
}

async fn handle(
    inner: &Inner,
    organization: OrganizationId,
    message: &InboundMessage,
    timeout: Duration,
) -> Result<ReceiveResponse, Fault> {
    let parsed = parse::parse(&message.text);
    let now = inner.clock.now();
    let id = inner.ids.uuid(now);
    let received = ReceiveResponse { id: InboundId::new(id).to_string(), ..ReceiveResponse::default() };
    let provider_id = message.id.as_deref().unwrap_or(&received.id);
    let new = NewInboundRow {
        organization: organization.uuid(),
        id,
        provider: message.provider,
        provider_message_id: provider_id,
        received_at_us: now.as_microsecond(),
        sender: &message.from,
        body: &message.text,
        meaning: parsed.meaning.as_str(),
    };
    if !inner.store.insert_inbound(&new).await.map_err(db_error::fault)? {
        return Ok(ReceiveResponse { repeated: true, ..ReceiveResponse::default() });
    }
    // Two providers may give the same id to different messages.
    let key = format!("{}:{provider_id}", message.provider);
    let idempotency = Idempotency { fingerprint: key.clone(), key };
    let ctx = Context { idempotency: Some(idempotency), ..Context::new(organization, "patient", timeout) };
    let handled = match act::act(inner, &ctx, message, parsed).await {
        Ok(handled) => handled,
        Err(fault) => {
            let code = fault.code.as_str();
            tracing::error!(%organization, reply = received.id, code, "a reply was not handled and waits in the inbox");
            count(parsed.meaning, "failed");
            return Ok(received);
        }
    };
    count(parsed.meaning, if handled.outcome.is_empty() { "kept" } else { handled.outcome });
    let response_id = inner.ids.uuid(inner.clock.now());
    let now_us = inner.clock.now_us();
    finish(&inner.store, &new, &handled, response_id, now_us).await.map_err(db_error::fault)?;
    inner.planned.notify_waiters();
    Ok(received)
}

/// Stores the result of a reply, and schedules the response to it.
async fn finish(
    store: &Store,
    new: &NewInboundRow<'_>,
    handled: &Handled,
    response_id: Uuid,
    now_us: i64,
) -> Result<(), Failure> {
    let (organization, answers) = (new.organization, handled.answers.as_ref());
    let outcome = InboundOutcome {
        outcome: handled.outcome,
        attention: handled.attention,
        message: answers.map(|sent| sent.message),
        appointment: answers.map(|sent| sent.appointment),
        patient: answers.map(|sent| sent.patient),
        score: handled.score.map(i16::from),
    };
    let mut tx = store.of(organization).begin().await?;
    finish_inbound(&mut tx, organization, new.id, &outcome).await?;
    if let (Some(answers), Some(body)) = (answers, &handled.response) {
        let reply = NewReply { id: response_id, answers: answers.message, recipient: new.sender, body };
        insert_reply(&mut tx, organization, &reply, now_us).await?;
    }
    let address = Address { organization, channel: REPLY_CHANNEL.as_str().to_owned(), hash: address_hash(new.sender) };
    match handled.block {
        Some(true) => insert_blocked(&mut tx, &address, now_us).await?,
        Some(false) => delete_blocked(&mut tx, &address).await?,
        None => {}
    }
    tx.commit().await
}

fn count(meaning: parse::Meaning, outcome: &'static str) {
    metrics::counter!("reminder_replies_total", "meaning" => meaning.as_str(), "outcome" => outcome).increment(1);
}
