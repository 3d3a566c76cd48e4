//! One write from its idempotency key to its answer, and the database's failures in public words.

use prost::Message;
use rpc::{Code, Context, Fault};
use sql::Failure;
use tonic::Response;

use crate::{
    Inner,
    store::{Refusal, Remember},
    webhooks::ENDPOINTS_MAX,
};

/// The kept answer of this key, where there is one.
///
/// # Errors
/// `idempotency_key_reused` where the key came with another request.
pub(crate) async fn replay<T: Message + Default>(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
) -> Result<Option<Response<T>>, Fault> {
    let Some(idempotency) = &ctx.idempotency else { return Ok(None) };
    let kept = inner.store.replay(ctx.organization.uuid(), &ctx.caller, route, &idempotency.key).await;
    let Some(kept) = kept.map_err(failure)? else { return Ok(None) };
    if kept.fingerprint != idempotency.fingerprint {
        let detail = "this key came with another request before; use a new key for a new request";
        return Err(Fault::new(Code::IdempotencyKeyReused, detail));
    }
    let message = T::decode(kept.response.as_slice()).map_err(Fault::internal)?;
    Ok(Some(answer(message, &kept.revision, true)))
}

/// What to keep for the key of this request, with its answer.
pub(crate) fn remember(ctx: &Context, route: &'static str, answer: &impl Message, revision: &str) -> Option<Remember> {
    ctx.idempotency.as_ref().map(|idempotency| Remember {
        caller: ctx.caller.clone(),
        route,
        key: idempotency.key.clone(),
        fingerprint: idempotency.fingerprint.clone(),
        response: answer.encode_to_vec(),
        revision: revision.to_owned(),
    })
}

/// The answer to a write. Its revision is how far booking's feed is applied here, and is left out before the first
/// snapshot.
pub(crate) fn answer<T>(message: T, revision: &str, replayed: bool) -> Response<T> {
    let mut response = rpc::respond(message, revision, replayed);
    if revision.is_empty() {
        response.metadata_mut().remove("meridian-revision");
    }
    response
}

/// The answer after a write that was refused: that of the first request with this key, or the refusal in public words.
pub(crate) async fn refused<T: Message + Default>(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
    refusal: Refusal,
) -> Result<Response<T>, Fault> {
    match refusal {
        Refusal::Replay => replay(inner, ctx, route).await?.ok_or_else(|| Fault::internal("a replay has no answer")),
        Refusal::Stale => Err(stale()),
        Refusal::Full => {
            let detail = format!("an organisation has at most {ENDPOINTS_MAX} webhook endpoints; delete one first");
            Err(Fault::violation("", "too_many", &detail))
        }
        Refusal::Disabled => {
            Err(Fault::new(Code::InvalidTransition, "the webhook endpoint is disabled; enable it first"))
        }
        Refusal::Failure(error) => Err(failure(error)),
    }
}

/// A write that was made from an old version.
pub(crate) fn stale() -> Fault {
    Fault::new(Code::VersionMismatch, "it has changed since it was read; read it again and decide anew")
}

/// A failure of the database in public words.
pub(crate) fn failure(failure: Failure) -> Fault {
    match failure {
        Failure::Busy(_) | Failure::Serialization(_) => {
            Fault::new(Code::Overloaded, "the database is busy; try again shortly")
                .retry_after(std::time::Duration::from_secs(1))
        }
        Failure::Unstorable(_) => {
            Fault::new(Code::ValidationFailed, "a text holds the character U+0000, which cannot be stored")
        }
        other => {
            let source = std::error::Error::source(&other).map(ToString::to_string).unwrap_or_default();
            Fault::internal(format!("{other}: {source}"))
        }
    }
}
