//! One write from its idempotency key to its answer.

use std::sync::{Arc, PoisonError};

use prost::Message;
use rpc::{Code, Context, Fault};
use sql::{Failure, feed::Position};
use tonic::Response;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    Inner,
    store::{
        Committed,
        batch::{Batch, Hex, Refusal, Remember},
    },
};

/// The revision that a write answers: booking's part, a `b` and the position of its last change.
pub(crate) fn revision(position: Position) -> String {
    format!("b{position}")
}

/// Takes an idempotency key out of the running ones when its request ends, however it ends.
pub(crate) struct Running {
    inner: Arc<Inner>,
    key: Option<(Uuid, String, String, String)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

/// What an idempotency key leads to.
pub(crate) enum Begun<T> {
    /// The write is new: do it.
    New(Running),
    /// It was done: this was the answer.
    Replay(Response<T>),
}

/// Looks an idempotency key up before the write begins.
pub(crate) async fn begin<T: Message + Default>(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
) -> Result<Begun<T>, Fault> {
    let Some(idempotency) = &ctx.idempotency else {
        return Ok(Begun::New(Running { inner: inner.clone(), key: None }));
    };
    let key = (ctx.organization.uuid(), ctx.caller.clone(), route.to_owned(), idempotency.key.clone());
    if !inner.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
        return Err(Fault::new(Code::IdempotencyInProgress, "wait for the answer to the first request with this key")
            .retry_after(std::time::Duration::from_secs(1)));
    }
    let running = Running { inner: inner.clone(), key: Some(key) };
    match replay(inner, ctx, route).await? {
        Some(response) => Ok(Begun::Replay(response)),
        None => Ok(Begun::New(running)),
    }
}

/// The kept answer of this key, where there is one.
///
/// # Errors
/// `idempotency_key_reused` where the key came with another request.
async fn replay<T: Message + Default>(
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
    let position = kept.revision.parse().map_err(Fault::internal)?;
    Ok(Some(rpc::respond(message, &revision(position), true)))
}

/// What to keep for the key of this request, with its answer.
pub(crate) fn remember(ctx: &Context, route: &'static str, answer: &impl Message) -> Option<Remember> {
    ctx.idempotency.as_ref().map(|idempotency| Remember {
        caller: ctx.caller.clone(),
        route: route.to_owned(),
        key: idempotency.key.clone(),
        fingerprint: idempotency.fingerprint.clone(),
        response: Hex(answer.encode_to_vec()),
    })
}

/// Commits a batch, again where it lost to another transaction. It runs in a task of its own: a caller who hangs up
/// cannot leave it half known.
///
/// Followers of the feed in this process hear of it before the caller does.
pub(crate) async fn commit(inner: &Arc<Inner>, batch: Batch) -> Result<Position, Refusal> {
    let owned = inner.clone();
    let frees = !batch.release.is_empty() || batch.leave_group.is_some();
    let work = async move {
        let fraction = || owned.ids.fraction();
        let committed = sql::retry_serialization(fraction, || owned.store.commit(&batch)).await?;
        let position = committed.position;
        // It fails where nobody follows.
        let _ = owned.told.send(Arc::new(Committed { at_us: owned.clock.now_us(), ..committed }));
        if frees {
            owned.freed.notify_waiters();
        }
        Ok(position)
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Refusal::Failure(Failure::Other(sqlx::Error::Protocol(error.to_string())))),
    }
}

/// How often a write is made anew that lost to another one.
const TRIES_MAX: usize = 3;

/// Does a write, and again from what is there now where another one of the same appointment or plan was faster. A caller
/// who names the version that it must have is refused all the same: that is looked at each time.
pub(crate) async fn again<T, F: Future<Output = Result<T, Fault>>>(once: impl Fn() -> F) -> Result<T, Fault> {
    for _ in 1..TRIES_MAX {
        match once().await {
            Err(fault) if fault.code == Code::VersionMismatch => {}
            other => return other,
        }
    }
    once().await
}

/// Commits a batch and answers, or answers again where another request with the same key was faster.
pub(crate) async fn finish<T: Message + Default>(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    batch: Batch,
    answer: T,
) -> Result<Response<T>, Fault> {
    match commit(inner, batch).await {
        Ok(position) => Ok(rpc::respond(answer, &revision(position), false)),
        Err(Refusal::Replay) => replayed(inner, ctx, route).await,
        Err(other) => Err(refused(other)),
    }
}

/// The answer that another request with the same key has just been given.
pub(crate) async fn replayed<T: Message + Default>(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
) -> Result<Response<T>, Fault> {
    replay(inner, ctx, route).await?.ok_or_else(|| Fault::internal("a replay has no answer"))
}

impl sql::AsFailure for Refusal {
    fn as_failure(&self) -> Option<&Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            _ => None,
        }
    }
}

/// A failure of the database in public words.
pub(crate) fn failure(failure: Failure) -> Fault {
    match failure {
        Failure::Busy(error) => {
            tracing::warn!(%error, "the database is busy");
            Fault::new(Code::Overloaded, "the database is busy; try again shortly")
                .retry_after(std::time::Duration::from_secs(1))
        }
        Failure::Unstorable(_) => {
            Fault::new(Code::ValidationFailed, "a text holds the character U+0000, which cannot be stored")
        }
        other => Fault::internal(format!("{other}: {:?}", std::error::Error::source(&other).map(ToString::to_string))),
    }
}

/// A refusal that no handler treats by itself.
pub(crate) fn refused(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::HoldGone => Fault::new(Code::HoldExpired, "the hold has expired or was used; search and hold again"),
        Refusal::Stale => stale(),
        Refusal::Limit(code) => {
            Fault::new(code, "someone else was faster and the practitioner has no room for one more; search again")
        }
        Refusal::Zone => Fault::new(Code::Overloaded, "the location's time zone has just changed; search again")
            .retry_after(std::time::Duration::from_secs(1)),
        Refusal::Failure(error) => failure(error),
        Refusal::Replay | Refusal::GroupChanged | Refusal::Taken(_) => {
            Fault::new(Code::Overloaded, "others wrote at the same moment; try again")
        }
    }
}

/// A write that was made from an old version.
pub(crate) fn stale() -> Fault {
    Fault::new(Code::VersionMismatch, "it has changed since it was read; read it again and decide anew")
}
