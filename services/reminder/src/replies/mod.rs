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
use uuid::Uuid;
use wire::reminder::{ReceiveRequest, ReceiveResponse};

pub(crate) use self::matching::SentMessage;
use crate::{
    Inner, address_hash,
    providers::{callback, inbound::InboundMessage},
    write,
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

/// A reply to store before it is handled.
pub(crate) struct NewInbound<'a> {
    pub(crate) organization: Uuid,
    pub(crate) id: Uuid,
    pub(crate) message: &'a InboundMessage,
    /// The provider's id of the message, or `id` where it gave none.
    pub(crate) provider_id: &'a str,
    pub(crate) meaning: &'static str,
    pub(crate) now_us: i64,
}

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
    let last_contact = inner.store.organization_of(&message.from).await.map_err(write::failure)?;
    let organization = last_contact.map_or(ctx.organization, OrganizationId::new);
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
    let new = NewInbound {
        organization: organization.uuid(),
        id,
        message,
        provider_id,
        meaning: parsed.meaning.as_str(),
        now_us: now.as_microsecond(),
    };
    if !inner.store.insert_inbound(&new).await.map_err(write::failure)? {
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
    let hash = address_hash(&message.from);
    let now_us = inner.clock.now_us();
    inner.store.finish_inbound(&new, &handled, response_id, &hash, now_us).await.map_err(write::failure)?;
    inner.planned.notify_waiters();
    Ok(received)
}

fn count(meaning: parse::Meaning, outcome: &'static str) {
    metrics::counter!("reminder_replies_total", "meaning" => meaning.as_str(), "outcome" => outcome).increment(1);
}
