//! What patients answer: understood, matched to what they were told, and done.
//!
//! A reply is stored before anything is done with it, as one that a person must read; only what was done with success
//! takes it out of the clinic's inbox again. Whatever breaks in between, nothing that a patient wrote is lost. Start
//! reading at [`receive`]; what a word means is in `parse.rs`, what it answers in `matching.rs`, both pure.

mod act;
pub(crate) mod inbox;
mod matching;
mod parse;

use std::sync::Arc;

use domain::{
    id::{InboundId, OrganizationId},
    patient::{Channel, is_e164},
};
use rpc::{Context, Fault, Idempotency};
use uuid::Uuid;
use wire::reminder::{ReceiveRequest, ReceiveResponse};

pub(crate) use self::matching::Told;
use crate::{
    Inner, address_hash,
    providers::{callback, inbound::is_id},
    write,
};

/// The trigger of a message that answers a patient's own.
pub(crate) const REPLY: &str = "reply";
/// How far back a conversation reaches.
const CONVERSATION_US: i64 = 60 * 86_400_000_000;
/// Messages of a conversation that are looked at.
const TOLD_MAX: i64 = 50;
/// Who asks twice within so long is passed on to a person.
const ASKED_WITHIN_US: i64 = 86_400_000_000;
const TEXT_MAX: usize = 1600;

/// A message that came in.
pub(crate) struct Heard {
    pub(crate) provider: &'static str,
    /// The provider's own id of it; none where it gives none, and then it is a new message each time.
    pub(crate) id: Option<String>,
    pub(crate) from: String,
    pub(crate) text: String,
}

/// A message that came in, as it is stored at first.
pub(crate) struct NewInbound<'a> {
    pub(crate) organization: Uuid,
    pub(crate) id: Uuid,
    pub(crate) heard: &'a Heard,
    /// The provider's own id of it, else ours.
    pub(crate) provider_id: &'a str,
    pub(crate) meaning: &'static str,
    pub(crate) now_us: i64,
}

/// What became of it.
#[derive(Default)]
pub(crate) struct Dealt {
    pub(crate) outcome: &'static str,
    /// Why a person must read it; empty: nobody need.
    pub(crate) attention: &'static str,
    /// The message that it answers.
    pub(crate) about: Option<Told>,
    pub(crate) score: Option<u8>,
    /// What is said in return.
    pub(crate) reply: Option<String>,
    /// Whether nothing, or everything again, is sent to its sender.
    pub(crate) block: Option<bool>,
}

/// Takes in what a provider passes on.
///
/// # Errors
/// `signature_invalid` where it is not the provider's, `malformed_request` and `validation_failed` where it cannot be read,
/// and the database's failures: then the provider may try again.
pub(crate) async fn receive(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReceiveRequest,
) -> Result<ReceiveResponse, Fault> {
    let Some(heard) = callback::heard(inner, &request)? else {
        tracing::warn!("what a provider passed on comes from no number, so it is no patient's message");
        return Ok(ReceiveResponse::default());
    };
    let known = inner.store.organization_of(&heard.from).await.map_err(write::failure)?;
    let organization = known.map_or(ctx.organization, OrganizationId::new);
    // In a task of its own: a provider that hangs up cannot leave it half done.
    let (owned, within) = (inner.clone(), ctx.remaining());
    let task = tokio::spawn(async move { take_in(&owned, organization, &heard, within).await });
    task.await.map_err(Fault::internal)?
}

async fn take_in(
    inner: &Inner,
    organization: OrganizationId,
    heard: &Heard,
    within: std::time::Duration,
) -> Result<ReceiveResponse, Fault> {
    let said = parse::read(&heard.text);
    let now = inner.clock.now();
    let id = inner.ids.uuid(now);
    let received = ReceiveResponse { id: InboundId::new(id).to_string(), ..ReceiveResponse::default() };
    let provider_id = heard.id.as_deref().unwrap_or(&received.id);
    let new = NewInbound {
        organization: organization.uuid(),
        id,
        heard,
        provider_id,
        meaning: said.meaning.as_str(),
        now_us: now.as_microsecond(),
    };
    if !inner.store.hear(&new).await.map_err(write::failure)? {
        // It came before.
        return Ok(ReceiveResponse { repeated: true, ..ReceiveResponse::default() });
    }
    // Another provider may give the same id to another message.
    let key = format!("{}:{provider_id}", heard.provider);
    let idempotency = Idempotency { fingerprint: key.clone(), key };
    let ctx = Context { idempotency: Some(idempotency), ..Context::new(organization, "patient", within) };
    let settled = match act::act(inner, &ctx, heard, said).await {
        Ok(settled) => settled,
        Err(fault) => {
            tracing::error!(code = fault.code.as_str(), "a reply could not be dealt with; it waits in the inbox");
            metrics::counter!("reminder_replies_total", "meaning" => said.meaning.as_str(), "outcome" => "failed")
                .increment(1);
            return Ok(received);
        }
    };
    let outcome = if settled.outcome.is_empty() { "kept" } else { settled.outcome };
    metrics::counter!("reminder_replies_total", "meaning" => said.meaning.as_str(), "outcome" => outcome).increment(1);
    let reply_id = inner.ids.uuid(inner.clock.now());
    let hash = address_hash(&heard.from);
    inner.store.settle(&new, &settled, reply_id, &hash, inner.clock.now_us()).await.map_err(write::failure)?;
    inner.planned.notify_waiters();
    Ok(received)
}

impl Heard {
    /// What can be a reply: it comes from a number; not too long a text. An id that cannot be kept is none.
    pub(crate) fn new(provider: &'static str, id: &str, from: &str, text: &str) -> Option<Self> {
        let text = text.chars().filter(|c| *c != '\0').take(TEXT_MAX).collect();
        let id = is_id(id).then(|| id.to_owned());
        is_e164(from).then(|| Self { provider, id, from: from.to_owned(), text })
    }
}

/// The channel that replies come by.
pub(crate) const CHANNEL: Channel = Channel::Sms;
