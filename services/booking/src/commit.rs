//! Commits of batches under an idempotency key, and what a refused commit is to the caller.

use std::{sync::Arc, time::Duration};

use prost::Message;
use rpc::{Code, Context, Fault};
use service::{
    db_error,
    idempotency::{self, Begun},
};
use sql::{AsFailure, Failure, feed::Position};
use tonic::Response;
use tracing::Instrument;
use wire::booking::Change;

use crate::{
    Inner,
    store::{
        batch::{Batch, CommitError, Hex, IdempotencyRecord},
        changes::Committed,
    },
};

/// Most tries for a write that lost to another one.
const TRIES_MAX: usize = 3;

/// The revision that a write answers: booking's part, a `b` and the position of its last change.
pub(crate) fn revision(position: Position) -> String {
    format!("b{position}")
}

/// Looks the request's idempotency key up before its write begins.
///
/// # Errors
/// `idempotency_in_progress` while the first request with the key runs in this process; `idempotency_key_reused` where the
/// key came with another request.
pub(crate) async fn begin<T: Message + Default>(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
) -> Result<Begun<T>, Fault> {
    idempotency::begin(&inner.running_keys, inner.store.database(), &inner.keyring, ctx, route, replayed).await
}

/// A stored answer as a response. The stored revision is the position of the write.
fn replayed<T>(message: T, position: &str) -> Result<Response<T>, Fault> {
    let position: Position = position.parse().map_err(Fault::internal)?;
    Ok(rpc::respond(message, &revision(position), true))
}

/// The record that stores an answer under the request's key, where it has one.
///
/// # Errors
/// When the answer cannot be sealed.
pub(crate) fn idempotency_record(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
    answer: &impl Message,
) -> Result<Option<IdempotencyRecord>, Fault> {
    // The database fills in the position.
    let record = idempotency::remember(&inner.keyring, ctx, route, answer, "")?;
    Ok(record.map(|record| IdempotencyRecord {
        caller: record.caller,
        route: record.route.to_owned(),
        key: record.key,
        fingerprint: record.fingerprint,
        response: Hex(record.response),
    }))
}

/// Commits a batch, and again where it lost to another transaction. The commit runs in a task of its own, so that a
/// caller who hangs up cannot interrupt it.
///
/// Subscribers in this process receive the changes before the caller receives the answer.
pub(crate) async fn commit(inner: &Arc<Inner>, mut batch: Batch) -> Result<Position, CommitError> {
    add_trace(&mut batch, rpc::trace::parent());
    let owned = inner.clone();
    let frees_time = !batch.release.is_empty() || batch.leave_group.is_some();
    let work = async move {
        let fraction = || owned.ids.fraction();
        let committed = sql::retry_serialization(fraction, || owned.store.commit(&batch)).await?;
        let position = committed.position;
        // Sending fails where nobody subscribes.
        let _ = owned.local_commits.send(Arc::new(Committed { at_us: owned.clock.now_us(), ..committed }));
        if frees_time {
            owned.time_freed.notify_waiters();
        }
        Ok(position)
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => Err(CommitError::Failure(Failure::Other(sqlx::Error::Protocol(error.to_string())))),
    }
}

/// Adds the request's W3C `traceparent` to the changes of a batch; nothing outside of a trace.
fn add_trace(batch: &mut Batch, trace_parent: String) {
    if trace_parent.is_empty() {
        return;
    }
    // Protobuf merges a message with one whose bytes follow.
    let field = Change { trace_parent, ..Change::default() }.encode_to_vec();
    batch.payloads_mut().for_each(|payload| payload.0.extend_from_slice(&field));
}

/// The outcome of one try to commit an answer.
pub(crate) enum Attempt<T> {
    Answered(Response<T>),
    /// Another request with the same key was faster: this is its answer.
    Replayed(Response<T>),
    Refused(CommitError),
}

/// Commits a batch, with its answer under the request's idempotency key where it has one.
pub(crate) async fn attempt<T: Message + Default>(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    mut batch: Batch,
    answer: T,
) -> Result<Attempt<T>, Fault> {
    batch.idempotency = idempotency_record(inner, ctx, route, &answer)?;
    Ok(match commit(inner, batch).await {
        Ok(position) => Attempt::Answered(rpc::respond(answer, &revision(position), false)),
        Err(CommitError::Replay) => {
            let (database, keyring) = (inner.store.database(), &inner.keyring);
            Attempt::Replayed(idempotency::replay_winner(database, keyring, ctx, route, replayed).await?)
        }
        Err(error) => Attempt::Refused(error),
    })
}

/// Commits a batch and answers, or replays the answer of a request with the same key.
pub(crate) async fn answer<T: Message + Default>(
    inner: &Arc<Inner>,
    ctx: &Context,
    route: &'static str,
    batch: Batch,
    answer: T,
) -> Result<Response<T>, Fault> {
    match attempt(inner, ctx, route, batch, answer).await? {
        Attempt::Answered(response) | Attempt::Replayed(response) => Ok(response),
        Attempt::Refused(error) => Err(refused(error)),
    }
}

/// Repeats a write that lost to another write of the same appointment, patient or plan, from what is stored now. A caller
/// who names the version that must be there is refused all the same, since the write compares it each time.
pub(crate) async fn retry_stale<T, F: Future<Output = Result<T, Fault>>>(write: impl Fn() -> F) -> Result<T, Fault> {
    for _ in 1..TRIES_MAX {
        match write().await {
            Err(fault) if fault.code == Code::VersionMismatch => {}
            outcome => return outcome,
        }
    }
    write().await
}

impl AsFailure for CommitError {
    fn as_failure(&self) -> Option<&Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            _ => None,
        }
    }
}

/// A refused commit as a fault.
pub(crate) fn refused(error: CommitError) -> Fault {
    match error {
        CommitError::HoldGone => {
            Fault::new(Code::HoldExpired, "the hold has expired or was used; search and hold again")
        }
        CommitError::VersionMismatch => version_mismatch(),
        CommitError::LimitReached(code) => {
            Fault::new(code, "someone else was faster and the practitioner has no room for one more; search again")
        }
        CommitError::ZoneChanged => {
            Fault::new(Code::Overloaded, "the location's time zone has just changed; search again")
                .retry_after(Duration::from_secs(1))
        }
        CommitError::HoldLimit(..) | CommitError::MessageLimit(_) => contended(),
        CommitError::Failure(failure) => db_error::fault(failure),
        CommitError::Replay | CommitError::GroupChanged | CommitError::ClaimsConflict(_) => contended(),
    }
}

/// A write that was made from an old version.
pub(crate) fn version_mismatch() -> Fault {
    Fault::new(Code::VersionMismatch, "it has changed since it was read; read it again and decide anew")
}

/// A write that lost to others as often as it may.
pub(crate) fn contended() -> Fault {
    Fault::new(Code::Overloaded, "others wrote at the same moment; try again")
}
