//! What patients answer: understood, matched to what they were told, and done.
//!
//! A reply is stored before anything is done with it, as one that a person must read; only what was done with success
//! takes it out of the clinic's inbox again. Whatever breaks in between, nothing that a patient wrote is lost. Start
//! reading at [`receive`]; what a word means is in `meaning.rs`, what it answers in `matching.rs`, both pure.

mod act;
pub(crate) mod inbox;
mod matching;
mod meaning;

use std::sync::Arc;

use domain::{
    id::OrganizationId,
    patient::{Channel, is_e164},
};
use rpc::{Context, Fault, Idempotency};
use uuid::Uuid;
use wire::reminder::{ReceiveRequest, ReceiveResponse};

pub(crate) use self::matching::Told;
use crate::{Inner, address_hash, receive, write};

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
    /// The provider's own id of it.
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) text: String,
}

/// A message that came in, as it is stored at first.
pub(crate) struct NewInbound<'a> {
    pub(crate) organization: Uuid,
    pub(crate) id: Uuid,
    pub(crate) heard: &'a Heard,
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
/// `signature_invalid` where it is not the provider's, and the database's failures: then the provider may try again.
pub(crate) async fn receive(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: ReceiveRequest,
) -> Result<ReceiveResponse, Fault> {
    let Some(heard) = receive::heard(inner, &request)? else {
        tracing::warn!("what a provider passed on is no patient's message");
        return Ok(ReceiveResponse {});
    };
    let known = inner.store.organization_of(&heard.from).await.map_err(write::failure)?;
    let organization = known.map_or(ctx.organization, OrganizationId::new);
    // In a task of its own: a provider that hangs up cannot leave it half done.
    let (owned, within) = (inner.clone(), ctx.remaining());
    let task = tokio::spawn(async move { take_in(&owned, organization, &heard, within).await });
    task.await.map_err(Fault::internal)??;
    Ok(ReceiveResponse {})
}

async fn take_in(
    inner: &Inner,
    organization: OrganizationId,
    heard: &Heard,
    within: std::time::Duration,
) -> Result<(), Fault> {
    let said = meaning::read(&heard.text);
    let now = inner.clock.now();
    let new = NewInbound {
        organization: organization.uuid(),
        id: inner.ids.uuid(now),
        heard,
        meaning: said.meaning.as_str(),
        now_us: now.as_microsecond(),
    };
    if !inner.store.hear(&new).await.map_err(write::failure)? {
        // It came before.
        return Ok(());
    }
    let idempotency = Idempotency { key: heard.id.clone(), fingerprint: heard.id.clone() };
    let ctx = Context { idempotency: Some(idempotency), ..Context::new(organization, "patient", within) };
    let settled = match act::act(inner, &ctx, heard, said).await {
        Ok(settled) => settled,
        Err(fault) => {
            tracing::error!(code = fault.code.as_str(), "a reply could not be dealt with; it waits in the inbox");
            metrics::counter!("reminder_replies_total", "meaning" => said.meaning.as_str(), "outcome" => "failed")
                .increment(1);
            return Ok(());
        }
    };
    let outcome = if settled.outcome.is_empty() { "kept" } else { settled.outcome };
    metrics::counter!("reminder_replies_total", "meaning" => said.meaning.as_str(), "outcome" => outcome).increment(1);
    let reply_id = inner.ids.uuid(inner.clock.now());
    let hash = address_hash(&heard.from);
    inner.store.settle(&new, &settled, reply_id, &hash, inner.clock.now_us()).await.map_err(write::failure)?;
    inner.planned.notify_waiters();
    Ok(())
}

impl Heard {
    /// What can be a reply: it has an id and comes from a number; not too long a text.
    pub(crate) fn new(provider: &'static str, id: &str, from: &str, text: &str) -> Option<Self> {
        let text = text.chars().filter(|c| *c != '\0').take(TEXT_MAX).collect();
        let fits = (1..=100).contains(&id.len()) && is_e164(from);
        fits.then(|| Self { provider, id: id.to_owned(), from: from.to_owned(), text })
    }
}

/// The channel that replies come by.
pub(crate) const CHANNEL: Channel = Channel::Sms;
